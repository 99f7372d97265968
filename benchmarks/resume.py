"""kill -9 at random moments, resume, compare every byte with an uninterrupted run.

    python -m benchmarks.resume [--scenes 32] [--kills 10] [--seed 1]

Also `--limit 8` followed by the whole. Compared is every file but report.html and logs/timings.jsonl, which hold
seconds.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from generator.foundation.storage import sha256_of

# Small, so that kills come in the middle of many chunks, and some between them.
CHUNK = 2
TIMED = ("report.html", "timings.jsonl", ".lock")


def main() -> None:
    """Run and print what was compared; exit code 1 when a byte differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=32)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_spec(folder, arguments.scenes)
        start = time.monotonic()
        _generate(folder, "whole", arguments.scenes).wait()
        length = time.monotonic() - start
        print(f"uninterrupted: {arguments.scenes} scenes in {length:.0f} s")
        for kill in range(arguments.kills):
            wait = draw.uniform(6, max(8, 2 * length / arguments.kills))
            process = _generate(folder, "killed", arguments.scenes)
            try:
                process.wait(timeout=wait)
                print(f"kill {kill + 1}: the run had ended before {wait:.1f} s")
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                done = len(list((folder / "killed" / "records").glob("*.json")))
                print(f"kill {kill + 1}: after {wait:.1f} s, {done} scenes on disk")
        _generate(folder, "killed", arguments.scenes).wait()
        _generate(folder, "limited", 8).wait()
        _generate(folder, "limited", arguments.scenes).wait()
        expected = _digests(folder / "whole")
        same = True
        for other in ("killed", "limited"):
            found = _digests(folder / other)
            differing = sorted(path for path in expected | found if expected.get(path) != found.get(path))
            same = same and not differing
            print(f"{other}: {len(found)} files, {len(differing)} differ from an uninterrupted run of {len(expected)}")
            for path in differing[:10]:
                print(f"  {path}")
    sys.exit(0 if same else 1)


def _write_spec(folder: Path, scenes: int) -> None:
    (folder / "background.csv").write_text(f'prompt,num_imgs\n"a blood smear with many red blood cells",{scenes}\n')
    classes = Path(__file__).parent.parent / "classes.csv"
    (folder / "classes.csv").write_bytes(classes.read_bytes())


def _generate(folder: Path, out: str, limit: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "boxpaint", "generate", "--out", out, "--limit", str(limit), "--chunk", str(CHUNK)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in TIMED)
    return {str(path.relative_to(folder)): sha256_of(path) for path in files}


if __name__ == "__main__":
    main()
