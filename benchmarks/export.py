"""How long each format of `boxpaint export` takes, and how much memory.

    python -m benchmarks.export [--images 10000] [--formats coco,yolo] [--side 512] [--folder DIR]

The data set is made by linking: a hundred pictures of noise under as many names as are asked for, three octagons each.
Every export runs in a process of its own, whose largest resident memory is read when it ends; "on disk" is what the
export takes beside the pictures that it links. Times are of one run; on a busy machine believe those of the CPU.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import Figures, Results, in_own_process, make_parser, timed
from detection.formats.exporting import export_set
from detection.formats.registry import WRITERS
from generator.foundation.storage import write_json

DIFFERENT_PICTURES, OBJECTS = 100, 3
CATEGORIES = ("red", "green", "blue")


def make_set(folder: Path, count: int, side_px: int) -> None:
    """Write a data set of `count` pictures in two splits, of which most are links to others."""
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    rng = np.random.default_rng(0)
    images: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    for number in range(count):
        path = folder / "images" / f"{number:06d}.png"
        if number < DIFFERENT_PICTURES:
            coarse = rng.integers(0, 256, (side_px // 4, side_px // 4, 3), np.uint8)
            Image.fromarray(coarse).resize((side_px, side_px), Image.Resampling.BICUBIC).save(path, compress_level=1)
        else:
            os.link(folder / "images" / f"{number % DIFFERENT_PICTURES:06d}.png", path)
        images.append({"id": number + 1, "file_name": path.name, "width": side_px, "height": side_px})
        labels += [_label(number * OBJECTS + place, number + 1, side_px, rng) for place in range(OBJECTS)]
    categories = [{"id": number, "name": name} for number, name in enumerate(CATEGORIES, start=1)]
    train = count * 9 // 10
    for split, chosen in (("train", images[:train]), ("val", images[train:])):
        ids = {item["id"] for item in chosen}
        own = [item for item in labels if item["image_id"] in ids]
        content = {"images": chosen, "annotations": own, "categories": categories}
        write_json(folder / "annotations" / f"instances_{split}.json", content, indent=None)


def export(source: Path, out: Path, form: str) -> Figures:
    """Export; seconds without imports, and MB that the export takes beside the pictures that it links."""

    def run() -> None:
        export_set(source, out, form)

    seconds = timed(run)
    own = (path.stat().st_size for path in out.rglob("*") if path.stat().st_nlink == 1)
    return {**seconds, "disk_mb": sum(own) / 2**20}


def main() -> None:
    """Measure and print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--formats", default=",".join(WRITERS))
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--folder", type=Path, help="where to work (default: the temporary folder)")
    arguments = parser.parse_args()
    title = f"{arguments.images} pictures of {arguments.side} px, {OBJECTS} objects each"
    columns = ("format", "seconds", "CPU seconds", "pictures a CPU second", "peak memory, MB", "on disk, MB")
    with Results(title, *columns) as table, tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        make_set(folder / "set", arguments.images, arguments.side)
        for form in arguments.formats.split(","):
            found = in_own_process(export, folder / "set", folder / form, form)
            seconds = (f"{found['s']:.1f}", f"{found['cpu_s']:.1f}", f"{arguments.images / found['cpu_s']:.0f}")
            table.add(form, *seconds, f"{found['peak_mb']:.0f}", f"{found['disk_mb']:.0f}")


def _label(number: int, image: int, side_px: int, rng: np.random.Generator) -> dict[str, Any]:
    """An octagon somewhere in the picture."""
    radius = float(rng.integers(side_px // 20, side_px // 6))
    x, y = (float(value) for value in rng.uniform(radius, side_px - radius, 2))
    angles = np.arange(8) * np.pi / 4
    points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
    return {
        "id": number + 1,
        "image_id": image,
        "category_id": number % len(CATEGORIES) + 1,
        "bbox": [round(x - radius, 2), round(y - radius, 2), 2 * radius, 2 * radius],
        "area": round(2 * 2**0.5 * radius**2),
        "segmentation": [[round(float(value), 2) for value in points.reshape(-1)]],
        "iscrowd": 0,
        "verified_score": round(float(rng.random()), 4),
    }


if __name__ == "__main__":
    main()
