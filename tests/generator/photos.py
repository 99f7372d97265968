"""Photos on disk with labels in COCO form, for tests of scenes that are photos."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from generator.foundation.geometry import Box
from generator.spec.photos import Photo, RealObject, measure_photo

SIZE_WH = (120, 90)
Labels = Sequence[tuple[str, tuple[float, float, float, float]]]


def save_photo(path: Path, seed: int, size_wh: tuple[int, int] = SIZE_WH) -> Path:
    """A picture like no other: coarse colours, and the grain of a sensor."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(60, 200, (6, 8, 3), np.uint8)).resize(size_wh, Image.Resampling.BICUBIC)
    grainy = np.asarray(coarse, float) + rng.normal(0, 4, (*size_wh[::-1], 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8)).save(path)
    return path


def photo_of(folder: Path, *objects: RealObject, seed: int = 0, size_wh: tuple[int, int] = SIZE_WH) -> Photo:
    """One photo with these labels."""
    name = f"{seed}.png"
    return measure_photo(save_photo(folder / name, seed, size_wh), name=name, objects=objects)


def lay_down_set(root: Path, splits: Mapping[str, Mapping[str, Labels]], **image_keys: Any) -> Path:
    """A COCO data set: split -> picture -> (category, box as x, y, width, height); pictures differ by their names."""
    names = dict.fromkeys(name for pictures in splits.values() for labels in pictures.values() for name, _ in labels)
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    ids = {name: number for number, name in enumerate(names, start=1)}
    (root / "annotations").mkdir(parents=True)
    for split, pictures in splits.items():
        images, annotations = [], []
        for number, (picture, labels) in enumerate(pictures.items(), start=1):
            save_photo(root / "images" / picture, sum(picture.encode()))
            size = dict(zip(("width", "height"), SIZE_WH, strict=True))
            images.append({"id": number, "file_name": picture, **size, **image_keys})
            for name, (x, y, width, height) in labels:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": ids[name],
                        "bbox": [x, y, width, height],
                        "area": width * height,
                        "iscrowd": 0,
                    }
                )
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return root


def box_object(category: str, box: Box, **more: Any) -> RealObject:
    """A labelled object of whole pixels."""
    x_min, y_min, x_max, y_max = map(float, box.xyxy)
    return RealObject(category=category, box_xyxy=(x_min, y_min, x_max, y_max), **more)
