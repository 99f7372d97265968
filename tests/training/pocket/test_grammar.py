from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.bundles import load_card
from generator.foundation.errors import BoxpaintError
from training.pocket.grammar import (
    OBJECT_KINDS,
    SIZES,
    STAINED,
    TONES,
    clip_tokenizer,
    documents,
    domain_line,
    empty_caption,
    name_cell,
    object_caption,
    read_captions,
    scene_caption,
    split_captions,
)

PROPERTY = settings(max_examples=200, deadline=None, derandomize=True)
SEEDS = st.integers(0, 2**32)


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({}, "a platelet"),
        ({"size": "small", "tone": "pale"}, "a small pale platelet"),
        ({"single": True, "size": "large", "tone": "dark", "purple": True}, "a single large dark purple platelet"),
    ],
)
def test_names_put_attributes_in_one_order(attributes, name: str) -> None:
    assert name_cell("platelet", **attributes) == name


def test_a_red_cell_is_never_purple() -> None:
    assert name_cell("red blood cell", purple=True) == "a red blood cell"


@PROPERTY
@given(SEEDS, st.sampled_from([*OBJECT_KINDS, "scene"]), st.integers(0, 40), st.sets(st.sampled_from(STAINED)))
def test_only_words_of_the_card_are_used_and_pale(seed: int, kind: str, num_red: int, others: set[str]) -> None:
    rng = np.random.default_rng(seed)
    said = [domain_line(rng, kind), scene_caption(num_red, sorted(others), rng), empty_caption(rng)]
    # Real cells are pale, too, and the models learn it; the card keeps the word from prompts, since painted ones fade.
    assert set(load_card("pocket").unknown_words(said)) <= {"pale"}


@PROPERTY
@given(SEEDS, st.sampled_from(OBJECT_KINDS), st.sampled_from(SIZES), st.sampled_from(TONES), st.booleans())
def test_an_object_is_called_nothing_that_it_is_not(seed: int, kind: str, size: str, tone: str, purple: bool) -> None:
    caption = object_caption(kind, size, tone, purple, np.random.default_rng(seed))
    assert caption.endswith(kind)
    words = set(caption.split())
    assert words & {"large", "small"} <= {size}
    assert words & {"dark", "pale"} <= {tone}
    assert purple or "purple" not in words


@PROPERTY
@given(SEEDS, st.integers(1, 40), st.lists(st.sampled_from(STAINED), unique=True))
def test_a_scene_denies_only_what_is_not_in_view(seed: int, num_red: int, others: list[str]) -> None:
    caption = scene_caption(num_red, others, np.random.default_rng(seed))
    amount = "many" if num_red >= 12 else "some" if num_red >= 5 else "a few"
    assert f"with {amount} red blood cells" in caption
    for kind in STAINED:
        assert (f"and a {kind}" in caption) == (kind in others)
    if others:
        assert "no white" not in caption
        assert "only" not in caption


def test_captions_are_lower_case_without_a_full_stop(tmp_path: Path) -> None:
    path = tmp_path / "captions.txt"
    path.write_text("A  Dog on a mat. \n\n \nTwo cats\n")
    assert read_captions(path) == ["a dog on a mat", "two cats"]
    with pytest.raises(BoxpaintError, match="there is no such file"):
        read_captions(tmp_path / "absent.txt")


@pytest.mark.parametrize("count", [1, 99, 101, 1234, 4000])
def test_held_out_captions_are_never_trained_on(count: int) -> None:
    lines = [f"caption {number}" for number in range(count)]
    train, held_out = split_captions(lines, seed=3)
    assert held_out
    assert set(train).isdisjoint(held_out)
    assert sorted([*train, *held_out]) == sorted(lines)
    assert split_captions(lines, seed=3) == (train, held_out)


def test_a_document_is_of_neighbouring_captions_or_of_one_kind() -> None:
    lines = [f"caption {number}" for number in range(50)]
    for document in itertools.islice(documents(lines, 0.5, np.random.default_rng(0)), 50):
        assert 2 <= len(document) <= 7
        if document[0].startswith("caption"):
            start = lines.index(document[0])
            assert document == lines[start : start + len(document)]
        else:
            assert not any(line.startswith("caption") for line in document)


def test_the_tokenizer_gives_back_what_it_was_given() -> None:
    tokenizer = clip_tokenizer(600, 32, seed=0)
    assert len(tokenizer) <= 600
    text = "a single large dark purple white blood cell"
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True).strip() == text
    assert len(tokenizer(text, padding="max_length", truncation=True).input_ids) == 32
