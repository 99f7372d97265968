"""A drawn data set in the layout of BCCD: discs for cells, on photos just large enough for the crops that are cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.pocket.session import Session, open_session

SIZE_WH = (320, 280)
# name -> (radius in pixels, RGB)
DISCS = {"WBC": (40, (110, 70, 170)), "Platelets": (11, (130, 110, 190)), "RBC": (27, (205, 150, 145))}
# Two rows of stained cells at the left, red cells at the right, and whatever a photo lacks.
LAYOUT = (
    ("WBC", 55, 60),
    ("Platelets", 30, 150),
    ("Platelets", 75, 165),
    ("RBC", 190, 60),
    ("RBC", 265, 70),
    ("RBC", 180, 150),
    ("RBC", 255, 160),
    ("RBC", 200, 230),
)
SPLITS = {"train": 3, "val": 1, "test": 2}


def voc(name: str, xyxy: tuple[int, int, int, int]) -> str:
    corners = "".join(
        f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), xyxy, strict=True)
    )
    return f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>"


def draw_photo(folder: Path, stem: str, rng: np.random.Generator) -> None:
    image = np.full((SIZE_WH[1], SIZE_WH[0], 3), (228, 226, 222), np.uint8)
    objects = []
    for name, x, y in LAYOUT:
        radius, colour = DISCS[name]
        radius = round(radius * rng.uniform(0.8, 1.2))
        shade = tuple(int(value * rng.uniform(0.93, 1.07)) for value in colour)
        cv2.circle(image, (x, y), radius, shade, -1, cv2.LINE_AA)
        # VOC counts from 1 and includes the last pixel.
        objects.append(voc(name, (x - radius + 1, y - radius + 1, x + radius + 1, y + radius + 1)))
    objects.append(voc("RBC", (0, 0, 0, 0)))  # degenerate, as BCCD has them
    cv2.imwrite(str(folder / "images" / f"{stem}.jpg"), image[..., ::-1])
    (folder / "annotations" / f"{stem}.xml").write_text(f"<annotation>{''.join(objects)}</annotation>")


@pytest.fixture(scope="session")
def bccd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos in images/ and annotations/, named in train.txt, val.txt and test.txt."""
    folder = tmp_path_factory.mktemp("bccd")
    for name in ("images", "annotations"):
        (folder / name).mkdir()
    rng = np.random.default_rng(0)
    for split, count in SPLITS.items():
        stems = [f"{split}_{number}" for number in range(count)]
        for stem in stems:
            draw_photo(folder, stem, rng)
        (folder / f"{split}.txt").write_text("\n".join(stems) + "\n")
    return folder


@pytest.fixture(scope="session")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 300 made-up captions."""
    path = tmp_path_factory.mktemp("captions") / "captions.txt"
    who, what, where = ("A man", "A dog", "Two cats"), ("sitting", "running", "eating food"), ("table", "park")
    path.write_text("".join(f"{who[i % 3]} {what[i // 3 % 3]} near a {where[i % 2]}.\n" for i in range(300)))
    return path


@pytest.fixture(scope="session")
def opened(bccd: Path, captions: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """What is learned from, on the CPU."""
    return open_session(bccd, tmp_path_factory.mktemp("imported"), captions, 0, torch.device("cpu"), print)


@pytest.fixture()
def session(opened: Session) -> Callable[..., Session]:
    """Return a function: seconds -> that much training."""

    def make(seconds: float = 0.0, say: Callable[[str], None] = print, seed: int = 0) -> Session:
        return replace(opened, minutes=seconds / 60, seed=seed, say=say)

    return make
