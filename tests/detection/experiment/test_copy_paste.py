from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detection.datasets.read import read_rgb
from detection.datasets.types import DetectionDataset, Sample
from detection.experiment.config import CopyPasteConfig
from detection.experiment.copy_paste import cut_out, paste_pictures

GREY, RED = 200, (180, 20, 20)


def picture(folder: Path, name: str, discs: list[tuple[int, int, int]], wh: tuple[int, int] = (96, 80)) -> Sample:
    """Red discs (x, y, radius) on grey, each in a box 2 px larger than itself."""
    pixels = np.full((wh[1], wh[0], 3), GREY, np.uint8)
    rows, columns = np.mgrid[: wh[1], : wh[0]]
    for x, y, radius in discs:
        pixels[np.hypot(columns - x, rows - y) <= radius] = RED
    path = folder / name
    Image.fromarray(pixels).save(path)
    boxes = [[x - r - 2, y - r - 2, x + r + 3, y + r + 3] for x, y, r in discs]
    return Sample.of(path, wh, np.clip(np.array(boxes).reshape(-1, 4), 0, [*wh, *wh]), [1] * len(discs))


def real(folder: Path) -> DetectionDataset:
    folder.mkdir(exist_ok=True)
    samples = picture(folder, "a.png", [(30, 40, 10)]), picture(folder, "b.png", [(70, 20, 6), (20, 60, 8)])
    return DetectionDataset(categories=("disc", "never seen"), samples=samples)


def test_an_object_is_cut_by_its_mask_else_along_its_own_edge_else_as_an_ellipse(tmp_path: Path) -> None:
    disc = picture(tmp_path, "a.png", [(40, 40, 12)])
    square = [[30.0, 30.0, 50.0, 30.0, 50.0, 50.0, 30.0, 50.0]]
    masked = Sample.of(disc.path, (96, 80), disc.boxes_xyxy, [1], [square])
    Image.new("RGB", (60, 60), (90, 90, 90)).save(tmp_path / "flat.png")
    flat = Sample.of(tmp_path / "flat.png", (60, 60), [[20, 20, 40, 40]], [1])
    # The disc's area, not the ellipse's that fills the box: 441 against 661 pixels
    for sample, area in ((disc, 441), (masked, 20 * 20), (flat, np.pi * 10**2)):
        (item,) = cut_out(sample, read_rgb(sample.path))
        assert item.alpha.sum() == pytest.approx(area, rel=0.06)
        middle = item.alpha.shape[0] // 2
        assert item.alpha[middle, middle] == pytest.approx(1, abs=0.01)
    (item,) = cut_out(disc, read_rgb(disc.path))
    assert item.alpha.shape == (29, 29)
    assert item.alpha[:2, :2].max() < 0.05


@pytest.mark.parametrize(
    "segmentation",
    [
        [[30.0, 30.0, 50.0, 30.0]],
        {"size": [9, 9], "counts": [81]},
        {"size": [80, 96], "counts": [80 * 96]},
        {"size": [80, 96]},
        "mask",
    ],
    ids=["two points", "of another size", "empty", "half an encoding", "no mask at all"],
)
def test_a_mask_that_cannot_be_used_is_guessed(tmp_path: Path, segmentation: object) -> None:
    plain = picture(tmp_path, "a.png", [(40, 40, 12)])
    sample = Sample.of(plain.path, (96, 80), plain.boxes_xyxy, [1], [segmentation])
    (item,) = cut_out(sample, read_rgb(sample.path))
    (guessed,) = cut_out(plain, read_rgb(plain.path))
    np.testing.assert_array_equal(item.alpha, guessed.alpha)


def test_objects_at_the_edge_stay_unless_there_are_no_others(tmp_path: Path) -> None:
    both = picture(tmp_path, "a.png", [(4, 40, 10), (50, 40, 10)])
    assert [item.alpha.shape for item in cut_out(both, read_rgb(both.path))] == [(25, 25)]
    alone = picture(tmp_path, "b.png", [(4, 40, 10)])
    assert len(cut_out(alone, read_rgb(alone.path))) == 1


def test_labels_fit_what_was_pasted(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    settings = CopyPasteConfig(num_images=12, objects=(1, 3), max_overlap=0.0)
    pasted = paste_pictures(real(tmp_path), settings, tmp_path / "out", seed=5)
    assert len(pasted) == 12
    assert sum(pasted.counts().values()) > 12
    for sample in pasted.samples:
        pixels = read_rgb(sample.path)
        red = pixels[..., 1] < (GREY + RED[1]) / 2
        for x_min, y_min, x_max, y_max in np.rint(sample.boxes_xyxy).astype(int):
            inside = red[y_min:y_max, x_min:x_max]
            rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
            # 2 px of margin, scaled by at most a quarter, and a pixel of feather
            margins = rows[0], columns[0], inside.shape[0] - 1 - rows[-1], inside.shape[1] - 1 - columns[-1]
            assert max(margins) <= 4
            red[y_min:y_max, x_min:x_max] = False
        assert not red.any()  # nothing red without a label


def test_little_is_covered(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    settings = CopyPasteConfig(num_images=20, objects=(4, 4), max_overlap=0.2)
    for sample in paste_pictures(real(tmp_path), settings, tmp_path / "out", seed=1).samples:
        for earlier, later in combinations(sample.boxes_xyxy, 2):  # those of the original lie as they lie
            shared = np.minimum(later[2:], earlier[2:]) - np.maximum(later[:2], earlier[:2])
            assert np.prod(np.clip(shared, 0, None)) <= 0.2 * np.prod(earlier[2:] - earlier[:2]) + 1e-3


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / name).mkdir()
        pasted = paste_pictures(real(tmp_path), CopyPasteConfig(num_images=3), tmp_path / name, seed=seed)
        boxes = [sample.boxes_xyxy.tolist() for sample in pasted.samples]
        contents.append(([sample.path.read_bytes() for sample in pasted.samples], boxes))
    assert contents[0] == contents[1] != contents[2]


def test_pictures_without_objects_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    empty = DetectionDataset(categories=("disc",), samples=(picture(tmp_path, "a.png", []),))
    (sample,) = paste_pictures(empty, CopyPasteConfig(num_images=1), tmp_path / "out", seed=0).samples
    assert sample.boxes_xyxy.shape == (0, 4)
    np.testing.assert_array_equal(read_rgb(sample.path), read_rgb(tmp_path / "a.png"))
