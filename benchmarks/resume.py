"""kill -9 at random moments, resume, compare every byte with an uninterrupted run.

    python -m benchmarks.resume [--scenes 32] [--kills 10] [--seed 1]

Also `--limit 8` followed by the whole. Compared is every file but report.html and logs/timings.jsonl, which hold
seconds. The exit code is 1 when a byte differs.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import ROOT, Results, make_parser, timed
from generator.foundation.storage import sha256_of

# Small, so that kills come in the middle of many chunks, and some between them.
CHUNK = 2
TIMED = ("report.html", "timings.jsonl", ".lock")


def main() -> None:
    """Run, kill, compare and print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--scenes", type=int, default=32)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prompt = "a blood smear with many red blood cells"
        (folder / "background.csv").write_text(f"prompt,num_imgs\n{prompt},{arguments.scenes}\n")
        (folder / "classes.csv").write_bytes((ROOT / "classes.csv").read_bytes())

        def begin(out: str, limit: int = arguments.scenes) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "boxpaint", "generate", "--out", out]
            command += ["--limit", str(limit), "--chunk", str(CHUNK)]
            return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)

        seconds = timed(lambda: {"code": begin("whole").wait()})["s"]
        for kill in range(arguments.kills):
            wait = draw.uniform(6, max(8, 2 * seconds / arguments.kills))
            process = begin("killed")
            try:
                process.wait(timeout=wait)
                print(f"kill {kill + 1}: the run had ended before {wait:.1f} s")
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                done = len(list((folder / "killed" / "records").glob("*.json")))
                print(f"kill {kill + 1}: after {wait:.1f} s, {done} scenes on disk")
        for out, limit in (("killed", arguments.scenes), ("limited", 8), ("limited", arguments.scenes)):
            begin(out, limit).wait()
        expected = digests(folder / "whole")
        title = f"{arguments.scenes} scenes, {seconds:.0f} s without interruption, {len(expected)} files"
        differing: list[str] = []
        with Results(title, "run", "files", "differ from the uninterrupted one") as table:
            for other in ("killed", "limited"):
                found = digests(folder / other)
                paths = sorted(path for path in expected | found if expected.get(path) != found.get(path))
                table.add(other, len(found), len(paths))
                differing += (f"{other}/{path}" for path in paths[:10])
    print(*differing, sep="\n")
    sys.exit(1 if differing else 0)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that holds no seconds."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in TIMED)
    return {str(path.relative_to(folder)): sha256_of(path) for path in files}


if __name__ == "__main__":
    main()
