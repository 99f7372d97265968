"""Does the memory of a run grow with its length? Peak of a short and of a long one, painted with the pocket bundle.

    python -m benchmarks.memory [--scenes 8 256] [--quick] [--workers 2] [--out runs/memory]

Each run is a process of its own; "parent" is the peak (ru_maxrss) of the one that hands out chunks, exports and
reports, "worker" that of the largest of those that paint (one chunk alone is painted by the parent). The prompt book is
the rows' own prompts, and the audit is left out: it loads models of its own, and holds the pictures of its sample,
audit.scenes at most. --quick paints small pictures in two steps, whatever comes of them: what a run keeps of a scene is
the same, and 256 scenes take minutes, not an hour.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import Figures, Results, in_own_process, make_parser, root_spec, timed


def main() -> None:
    """Paint and print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--scenes", type=int, nargs="+", default=[8, 256])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/memory"))
    arguments = parser.parse_args()
    title = f"Peak memory, MB, pocket bundle, {arguments.workers} workers"
    peaks: list[tuple[float, float]] = []
    with Results(title, "scenes", "parent", "worker", "seconds") as table:
        for scenes in arguments.scenes:
            found = in_own_process(paint, scenes, arguments.workers, arguments.out / str(scenes), arguments.quick)
            peaks.append((found["peak_mb"], found["child_peak_mb"]))
            table.add(scenes, *(f"{peak:.0f}" for peak in peaks[-1]), f"{found['s']:.0f}")
        table.add("growth", *(f"{last - first:+.0f}" for first, last in zip(peaks[0], peaks[-1], strict=True)))


def paint(scenes: int, workers: int, out: Path, quick: bool) -> Figures:
    """Paint a run anew; seconds."""
    from generator.config import Config
    from generator.run import generate

    keys: dict[str, Any] = {"workers": workers, "prompts": {"enrich": "none"}, "audit": {"scenes": 0}}
    if quick:
        keys |= {"canvas": {"width": 128, "height": 96}, "painting": {"steps": 2}, "labels": {"max_attempts": 1}}
    config = Config(**keys)
    spec = root_spec(config.canvas_wh, scenes)

    def run() -> None:
        generate(spec, config, out, overwrite=True)

    return timed(run)


if __name__ == "__main__":
    main()
