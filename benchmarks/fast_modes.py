"""What faster ways of painting cost: the same scenes, painted in each of them, and what the checks say of the objects.

    python -m benchmarks.fast_modes [--scenes 8] [--tiny-vae FOLDER] [--out runs/fast_modes] [--only "as it is" ...]

Scenes of the root scenario with the embedded model, the same plan, prompt book and seeds in every row. Columns: seconds
of one process for each settled object, in the stages of UNet and VAE alone; objects accepted at the first try; the
verifier's median score of what was kept; and how far the kept crops lie from those of the first row (Fréchet distance
in the verifier's own space, Heusel et al. 2017, arXiv 1706.08500), next to that of the first row with another seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.linalg import sqrtm

from benchmarks import Results, make_parser, object_crops, root_spec
from generator.config import Config
from generator.dataset.folder import RunFolder
from generator.models.vision_language import Clip
from generator.plan import Plan
from generator.prompts.book import read_book
from generator.run import generate

PAINTING_STAGES = ("backgrounds", "objects", "finishing")
FIRST, AGAIN = "as it is", "as it is, another seed"
ROWS: dict[str, dict[str, Any]] = {
    FIRST: {},
    AGAIN: {"seed": 1},
    "six steps for eight": {"painting": {"steps": 6}},
    "four steps for eight": {"painting": {"steps": 4}},
    "without guidance": {"painting": {"guidance_scale": 1.0}},
}


def main() -> None:
    """Paint, look and print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--tiny-vae", type=Path, help="folder of an AutoencoderTiny for the bundle's latents")
    parser.add_argument("--out", type=Path, default=Path("runs/fast_modes"))
    parser.add_argument("--only", nargs="+", help="rows to print, the first one is always painted")
    arguments = parser.parse_args()
    rows = dict(ROWS)
    if arguments.tiny_vae is not None:
        rows["a tiny VAE"] = {"models": {"vae": {"folder": str(arguments.tiny_vae)}}}
    book, first = None, None
    columns = ("way", "seconds an object", "at the first try", "median score", "distance")
    with Results(f"{arguments.scenes} scenes, the embedded model", *columns) as table:
        for name, changes in rows.items():
            if arguments.only and name not in (FIRST, *arguments.only):
                continue
            run = _paint(changes, arguments.out / name.replace(" ", "_").replace(",", ""), arguments.scenes, book)
            book = book or run.folder / "prompts"
            features = _features(run)
            first = features if first is None else first
            table.add(name, *_figures(run), f"{frechet_distance(first, features):.3f}" if name != FIRST else "")


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of two sets of features (N, D) and (M, D), each taken for a normal distribution."""
    both = [np.cov(each, rowvar=False) + 1e-6 * np.eye(each.shape[1]) for each in (a, b)]
    shift = float(((a.mean(0) - b.mean(0)) ** 2).sum())
    return shift + float(np.trace(both[0] + both[1] - 2 * np.real(sqrtm(both[0] @ both[1]))))


def _paint(changes: Mapping[str, Any], out: Path, scenes: int, book: Path | None) -> RunFolder:
    config = Config(**{"audit": {"scenes": 0}, "threads": 1, **changes})
    spec = root_spec(config.canvas_wh)
    dataset = generate(spec, config, out, prompts=book, limit=scenes)
    return RunFolder.open(dataset.folder, Plan(spec=spec, config=config, book=read_book(out / "prompts", spec)))


def _figures(run: RunFolder) -> list[str]:
    seconds = sum(line["seconds"].get(stage, 0.0) for line in run.read_timings() for stage in PAINTING_STAGES)
    records = list(run.records())
    settled = [item for record in records for item in (*record.objects, *record.decoys)]
    objects = [item for record in records for item in record.objects]
    at_once = sum(item.painted_box is not None and len(item.attempts) == 1 for item in objects)
    scores = [item.verified_score for item in objects if item.verified_score is not None]
    return [f"{seconds / len(settled):.2f}", f"{at_once / len(objects):.0%}", f"{np.median(scores):.3f}"]


def _features(run: RunFolder) -> np.ndarray:
    config = run.plan.config
    assert config.models.clip is not None
    clip = Clip("clip", config.models.clip, device=torch.device("cpu"), offline=True)
    return clip.embed_pictures(list(object_crops(run).values()))


if __name__ == "__main__":
    main()
