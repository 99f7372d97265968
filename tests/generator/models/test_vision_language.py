"""OWLv2, tiny and of random weights: where it sees things. And the pocket's CLIP."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from generator.bundles import ModelRef
from generator.config import Config
from generator.foundation.geometry import Box
from generator.models.vision_language import MIN_SCORE, Clip, Owl
from tests.generator.models.tiny_owl import save_tiny_owl

TEXTS = ("a platelet", "a white blood cell", "a red blood cell")


def load(folder: Path | str) -> Owl:
    return Owl("detector", ModelRef(folder=str(folder)), device=torch.device("cpu"), offline=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_owl(tmp_path_factory.mktemp("tiny") / "owl")


@pytest.fixture(scope="module")
def owl(folder: Path) -> Owl:
    return load(folder)


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# A quarter of the longer side (the picture is padded to a square below and to the right) around each quarter of it.
@pytest.mark.parametrize(
    ("size_wh", "columns", "rows"),
    [
        pytest.param(
            (64, 64),
            [(8, 24), (24, 40), (40, 56), (56, 64)],
            [(8, 24), (24, 40), (40, 56), (56, 64)],
            id="square: the last one is cut in two",
        ),
        pytest.param(
            (96, 64),
            [(12, 36), (36, 60), (60, 84), (84, 96)],
            # The third is cut at the picture's end, the fourth lies in the padding.
            [(12, 36), (36, 60), (60, 64)],
            id="wide",
        ),
        pytest.param(
            (40, 96), [(12, 36), (36, 40)], [(12, 36), (36, 60), (60, 84), (84, 96)], id="high: two lie in the padding"
        ),
    ],
)
def test_boxes_are_in_pixels_of_the_picture_and_end_where_it_ends(
    owl: Owl, size_wh: tuple[int, int], columns: list[tuple[int, int]], rows: list[tuple[int, int]]
) -> None:
    found = [box for box, _ in owl.find(noise(*size_wh), TEXTS)]
    expected = {Box(x_min=x[0], y_min=y[0], x_max=x[1], y_max=y[1]) for x in columns for y in rows}
    assert len(found) == len(expected)
    assert set(found) == expected


@pytest.mark.parametrize("size_wh", [(8, 8), (64, 64), (33, 200), (500, 80)])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_best_comes_first_and_all_lie_inside_the_picture(owl: Owl, size_wh: tuple[int, int], seed: int) -> None:
    found = owl.find(noise(*size_wh, seed), TEXTS)
    assert found
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    # The sigmoid of a cosine; plain numbers, which go into JSON.
    assert all(type(score) is float and 0.26 < score < 0.74 for score in scores)
    whole = Box.from_xywh(0, 0, *size_wh)
    assert all(whole.contains(box) for box, _ in found)
    assert all(type(edge) is int for box, _ in found for edge in box.xyxy)


def test_of_several_texts_the_likeliest_counts(owl: Owl) -> None:
    picture = noise(96, 64)
    alone = [dict(owl.find(picture, [text])) for text in TEXTS]
    together = dict(owl.find(picture, TEXTS))
    assert alone[0] != alone[1]
    for box, score in together.items():
        assert score == pytest.approx(max(each[box] for each in alone), abs=1e-5)


def test_a_part_of_a_picture_is_a_picture(owl: Owl) -> None:
    # A view with gaps between its rows, as crops are.
    picture = noise(200, 100)
    assert owl.find(picture[10:74, 50:114], TEXTS) == owl.find(picture[10:74, 50:114].copy(), TEXTS)


def test_a_text_that_is_too_long_is_cut(owl: Owl) -> None:
    picture = noise(64, 64)
    long = "a small purple platelet " * 20
    assert owl.find(picture, [long]) == owl.find(picture, [long + "and a white blood cell"])


def test_what_it_does_not_believe_itself_is_not_found(tmp_path: Path) -> None:
    # Cosines of -1 to 1 less 5: scores of 0.002 to 0.018.
    faint = load(save_tiny_owl(tmp_path / "faint", shift=-5.0))
    assert MIN_SCORE > 0.018
    assert faint.find(noise(64, 64), TEXTS) == []


def test_the_vocabulary_may_come_as_the_two_files_of_older_repositories(folder: Path, tmp_path: Path, owl: Owl) -> None:
    older = shutil.copytree(folder, tmp_path / "older")
    words = json.loads((older / "tokenizer.json").read_text())["model"]
    (older / "tokenizer.json").unlink()
    (older / "vocab.json").write_text(json.dumps(words["vocab"]))
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in words["merges"]]
    (older / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    assert load(older).find(noise(64, 64), TEXTS) == owl.find(noise(64, 64), TEXTS)


# CLIP's answers for a picture depend on that picture alone.


@pytest.fixture(scope="module")
def clip() -> Clip:
    ref = Config().models.clip
    assert ref is not None
    return Clip("clip", ref, device=torch.device("cpu"), offline=True)


def test_a_picture_is_the_same_in_any_company(clip: Clip) -> None:
    rng = np.random.default_rng(0)
    shapes = [(64, 64, 3), (64, 64, 3), (3, 40, 3), (100, 30, 3), (64, 64, 3)] * 4
    pictures = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    together = clip.embed_pictures(pictures)
    assert together.shape == (20, clip.model.config.projection_dim)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([clip.embed_pictures([picture]) for picture in pictures])
    assert np.array_equal(together, alone)
    assert np.array_equal(clip.embed_pictures(pictures[::-1])[::-1], together)


def test_no_pictures_are_no_rows(clip: Clip) -> None:
    assert clip.embed_pictures([]).shape == (0, clip.model.config.projection_dim)
