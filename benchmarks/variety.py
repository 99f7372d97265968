"""Do the book's prompts vary the pictures? Spread of CLIP embeddings with the book and with the bare class prompts.

    python -m benchmarks.variety [--objects 64] [--classes classes.csv] [--out runs/variety]

The same scenes are painted twice with the same backgrounds, boxes and seeds: each object from its class's own prompt,
and from a text of the prompt book. Every object is cut out with a margin and embedded by the bundle's CLIP; the spread
is the mean cosine distance between two objects of a class. The interval is a paired bootstrap over objects. Sheets of
all crops, in the same order, are written to --out.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from generator import Config, Plan, load_spec
from generator.dataset.pictures import tile
from generator.foundation.geometry import square_around
from generator.foundation.storage import make_folder
from generator.foundation.vision_language import Clip
from generator.painting.chunk import paint_chunk
from generator.painting.painter import Painter
from generator.painting.stable_diffusion import StableDiffusionPainter
from generator.prompts.book import PromptBook
from generator.prompts.make import make_book
from generator.spec import Spec

MARGIN = 0.25
SIDE_PX = 112
BOOTSTRAPS = 2000
MAX_SCENES = 100

Crops = dict[tuple[str, int, int], tuple[np.ndarray, str]]


def main() -> None:
    """Paint, embed, print the table, write the sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=64, help="of each class")
    parser.add_argument("--classes", type=Path, default=Path("classes.csv"))
    parser.add_argument("--out", type=Path, default=Path("runs/variety"))
    arguments = parser.parse_args()
    config = Config()
    spec = _endless(load_spec(classes=arguments.classes, canvas_wh=config.canvas_wh))
    book = _for_classes_only(make_book(spec, config))
    painter = StableDiffusionPainter(config)
    if config.models.clip is None:
        raise SystemExit(f"the bundle {config.bundle} has no CLIP")
    clip = Clip("clip", config.models.clip, device=painter.device, offline=config.offline)
    plain = _paint(Plan(spec=spec, config=config), painter, arguments.objects)
    varied = _paint(Plan(spec=spec, config=config, book=book), painter, arguments.objects)
    table = Table("class", "objects", "texts", "spread, own prompt", "spread, book", "ratio", "95 % interval")
    folder = make_folder(arguments.out)
    for name in spec.categories:
        keys = sorted(key for key in plain.keys() & varied.keys() if key[0] == name)
        before, after = (clip.embed_pictures([crops[key][0] for key in keys]) for crops in (plain, varied))
        low, high = _interval(before, after)
        a, b = _spread(before @ before.T), _spread(after @ after.T)
        texts = len({varied[key][1] for key in keys})
        table.add_row(name, str(len(keys)), str(texts), f"{a:.4f}", f"{b:.4f}", f"{b / a:.2f}", f"{low:.2f}-{high:.2f}")
        for kind, crops in (("own_prompt", plain), ("book", varied)):
            pictures = [Image.fromarray(crops[key][0]).resize((SIDE_PX, SIDE_PX)) for key in keys]
            tile(pictures, columns=8, cell_width=SIDE_PX).save(folder / f"{name.replace(' ', '_')}_{kind}.png")
    Console().print(table)
    Console().print(f"sheets: {folder}")


def _endless(spec: Spec) -> Spec:
    """Ask for more scenes than will be painted."""
    return replace(
        spec, backgrounds=tuple(replace(row, num_imgs=MAX_SCENES * row.num_imgs) for row in spec.backgrounds)
    )


def _for_classes_only(book: PromptBook) -> PromptBook:
    """Leave the backgrounds with their own prompts, so that nothing but the objects differs."""
    rows = tuple(row for row in book.enriched.rows if row.table == "classes")
    return replace(book, enriched=book.enriched.model_copy(update={"rows": rows}))


def _paint(plan: Plan, painter: Painter, wanted: int) -> Crops:
    """Paint scenes until there are `wanted` objects of each class: (class, scene, object) -> crop and prompt."""
    crops: Crops = {}
    counts = Counter[str]()
    for start in range(0, len(plan), plan.config.chunk):
        scenes = [plan.scene(index) for index in range(start, min(start + plan.config.chunk, len(plan)))]
        for scene in paint_chunk(scenes, painter, None):
            for item in scene.objects:
                if item.label is not None:
                    square = square_around(item.placement.box, margin=MARGIN, size_wh=plan.config.canvas_wh)
                    name = item.placement.category
                    counts[name] += 1
                    if counts[name] <= wanted:
                        key = (name, scene.plan.index, item.placement.object_index)
                        crops[key] = (scene.image[square.slices].copy(), item.placement.prompt)
        if all(counts[name] >= wanted for name in plan.spec.categories):
            break
    return crops


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
