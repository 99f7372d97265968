"""Do the book's prompts vary the pictures? Spread of CLIP embeddings with the book and with the bare class prompts.

    python -m benchmarks.variety [--objects 64] [--classes classes.csv] [--out runs/variety]

The same scenes are painted twice with the same backgrounds, boxes and seeds: each object from its class's own prompt,
and from a text of the prompt book; nobody verifies. Every object is cut out with a margin and embedded by the bundle's
CLIP; the spread is the mean cosine distance between two objects of a class. The interval is a paired bootstrap over
objects. Data sets, and sheets of all crops in the same order, are written to --out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks import ROOT, Results, make_parser, object_crops, root_spec
from generator import Config, Plan, generate
from generator.dataset.folder import RunFolder
from generator.dataset.pictures import tile
from generator.dataset.record import ObjectRecord
from generator.models.vision_language import Clip
from generator.prompts.book import PromptBook, write_book
from generator.prompts.make import make_book
from generator.spec import Spec

SIDE_PX = 112
BOOTSTRAPS = 2000
# More than will be painted: which scene is where in a plan depends on its length.
MAX_SCENES = 2400


def main() -> None:
    """Paint, embed, print the table, write the sheets."""
    parser = make_parser(__doc__)
    parser.add_argument("--objects", type=int, default=64, help="planned ones of each class")
    parser.add_argument("--classes", type=Path, default=ROOT / "classes.csv")
    parser.add_argument("--out", type=Path, default=Path("runs/variety"))
    arguments = parser.parse_args()
    config = Config(labels={"verify": False}, audit={"scenes": 0})
    if config.models.clip is None:
        raise SystemExit(f"the bundle {config.bundle} has no CLIP")
    clip = Clip("clip", config.models.clip, device=torch.device("cpu"), offline=config.offline)
    spec = root_spec(config.canvas_wh, MAX_SCENES, arguments.classes)
    plain = make_book(spec, Config(prompts={"enrich": "none"}))
    before = paint(spec, config, plain, arguments.out / "own_prompt", arguments.objects)
    after = paint(spec, config, varied(plain, make_book(spec, config)), arguments.out / "book", arguments.objects)
    crops = object_crops(before), object_crops(after)
    texts = {(each.category, i, each.object_index): each.prompt for i, each in _objects(after)}
    columns = ("class", "objects", "texts", "spread, own prompt", "spread, book", "ratio", "95 % interval")
    with Results("spread of the embeddings of painted objects", *columns) as table:
        for name in spec.categories:
            keys = sorted(key for key in crops[0].keys() & crops[1].keys() if key[0] == name)[: arguments.objects]
            features = [clip.embed_pictures([each[key] for key in keys]) for each in crops]
            a, b = (_spread(each @ each.T) for each in features)
            low, high = _interval(*features)
            figures = (f"{a:.4f}", f"{b:.4f}", f"{b / a:.2f}", f"{low:.2f}-{high:.2f}")
            table.add(name, len(keys), len({texts[key] for key in keys}), *figures)
            for run, each in zip((before, after), crops, strict=True):
                pictures = [Image.fromarray(each[key]).resize((SIDE_PX, SIDE_PX)) for key in keys]
                sheet = tile(pictures, columns=8, cell_width=SIDE_PX)
                sheet.save(arguments.out / f"{name.replace(' ', '_')}_{run.folder.name}.png")


def varied(plain: PromptBook, book: PromptBook) -> PromptBook:
    """The texts of the book for classes only, so that nothing but the objects differs."""
    backgrounds = [row for row in plain.enriched.rows if row.table == "background"]
    classes = [row for row in book.enriched.rows if row.table == "classes"]
    return replace(book, enriched=book.enriched.model_copy(update={"rows": (*backgrounds, *classes)}))


def paint(spec: Spec, config: Config, book: PromptBook, out: Path, wanted: int) -> RunFolder:
    """Paint scenes until there are `wanted` objects of each class."""
    write_book(book, out.with_name(f"{out.name}_prompts"), overwrite=True)
    plan, planned = Plan(spec=spec, config=config, book=book), Counter[str]()
    for scene in plan:
        planned.update(placement.category for placement in scene.placements)
        if all(planned[name] >= wanted for name in spec.categories):
            break
    scenes = scene.index
    while True:  # until those that failed have others in their place
        scenes += config.chunk
        generate(spec, config, out, prompts=out.with_name(f"{out.name}_prompts"), limit=scenes)
        run = RunFolder.open(out, plan)
        counts = Counter(item.category for _, item in _objects(run))
        if all(counts[name] >= wanted for name in spec.categories):
            return run


def _objects(run: RunFolder) -> Iterator[tuple[int, ObjectRecord]]:
    for record in run.records():
        yield from ((record.index, item) for item in record.objects if item.painted_box is not None)


def _spread(products: np.ndarray, counts: np.ndarray | None = None) -> float:
    """Mean cosine distance of two different objects; (N, N) products of unit vectors, each object counted so often."""
    counts = np.ones(len(products)) if counts is None else counts
    weights = np.outer(counts, counts)
    np.fill_diagonal(weights, 0.0)
    return float((weights * (1 - products)).sum() / weights.sum())


def _interval(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """95 % interval of the ratio of spreads: objects drawn with replacement, the same on both sides."""
    rng = np.random.default_rng(0)
    count = len(before)
    products = before @ before.T, after @ after.T
    ratios = []
    for _ in range(BOOTSTRAPS):
        counts = np.bincount(rng.integers(0, count, count), minlength=count).astype(float)
        a, b = (_spread(item, counts) for item in products)
        ratios.append(b / a)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
