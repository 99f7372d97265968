import itertools
from pathlib import Path

import numpy as np
import pytest

from generator.foundation.errors import BoxpaintError
from training.pocket.grammar import clip_tokenizer, documents, read_captions, split_captions


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
