"""Does the memory of a run grow with its length? Peak of a short and of a long one, painted with the pocket bundle.

    python -m benchmarks.memory [--scenes 8 256] [--quick] [--workers 2] [--out runs/memory]

Each run is a process of its own; "parent" is the peak (ru_maxrss) of the one that hands out chunks, exports and
reports, "worker" that of the largest of those that paint (one chunk alone is painted by the parent). The prompt book is
the rows' own prompts, and the audit is left out: it loads models of its own, and holds the pictures of its sample,
audit.scenes at most. --quick paints small pictures in two steps, whatever comes of them: what a run keeps of a scene is
the same, and 256 scenes take minutes, not an hour.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Paint and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, nargs="+", default=[8, 256])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/memory"))
    parser.add_argument("--step", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(_paint(arguments.scenes[0], arguments.workers, arguments.out, quick=arguments.quick)))
        return
    from rich.console import Console  # not in the runs, whose memory is measured
    from rich.table import Table

    table = Table(title=f"Peak memory, pocket bundle, {arguments.workers} workers")
    for column in ("scenes", "parent", "worker", "seconds"):
        table.add_column(column, justify="right")
    results = []
    for scenes in arguments.scenes:
        out = arguments.out.resolve() / str(scenes)
        command = [sys.executable, "-m", "benchmarks.memory", "--step", "--out", str(out)]
        command += ["--scenes", str(scenes), "--workers", str(arguments.workers)]
        command += ["--quick"] if arguments.quick else []
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        results.append(json.loads(done.stdout.splitlines()[-1]))
        figures = results[-1]
        cells = (f"{figures['parent_mb']:.0f} MB", f"{figures['worker_mb']:.0f} MB", f"{figures['s']:.0f}")
        table.add_row(str(scenes), *cells)
    first, last = results[0], results[-1]
    grown = (f"{last[key] - first[key]:+.0f} MB" for key in ("parent_mb", "worker_mb"))
    table.add_row("growth", *grown, "")
    Console(width=80).print(table)


def _paint(scenes: int, workers: int, out: Path, *, quick: bool) -> dict[str, float]:
    from generator.config import Config
    from generator.run import generate
    from generator.spec import load_spec

    keys: dict[str, Any] = {"workers": workers, "prompts": {"enrich": "none"}, "audit": {"scenes": 0}}
    if quick:
        keys |= {"canvas": {"width": 128, "height": 96}, "painting": {"steps": 2}, "labels": {"max_attempts": 1}}
    config = Config(**keys)
    spec = load_spec(ROOT / "background.csv", ROOT / "classes.csv", canvas_wh=config.canvas_wh)
    backgrounds = (dataclasses.replace(spec.backgrounds[0], num_imgs=scenes),)
    start = time.perf_counter()
    generate(dataclasses.replace(spec, backgrounds=backgrounds), config, out, overwrite=True)
    peaks = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    parent_mb, worker_mb = peaks
    return {"parent_mb": parent_mb, "worker_mb": worker_mb, "s": time.perf_counter() - start}


if __name__ == "__main__":
    main()
