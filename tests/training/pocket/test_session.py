"""No training goes on from the checkpoint of another one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from generator.foundation.errors import BoxpaintError
from tests.training.pocket.test_training import GPT2
from training.pocket import gpt2
from training.pocket.session import Session, identify, open_session

Sessions = Callable[..., Session]


def test_what_is_learned_from_counts_and_not_where_it_lies(bccd: Path, session: Sessions, tmp_path: Path) -> None:
    here = session()
    first = identify("gpt2", here, GPT2, captions=True)
    assert {"part": "gpt2", "seed": "0", "recipe.width": "16"}.items() <= first.items()
    copy, text = shutil.copytree(bccd, tmp_path / "moved"), Path(shutil.copy(here.captions, tmp_path / "moved.txt"))

    def there(seed: int) -> Session:
        return open_session(copy, tmp_path / "imported", text, seed, torch.device("cpu"), print)

    assert identify("gpt2", there(0), GPT2, captions=True) == first
    annotation = copy / "annotations" / "train_0.xml"
    annotation.write_text(annotation.read_text().replace("WBC", "RBC"))
    text.write_text("A man.\n")
    other = identify("gpt2", there(1), replace(GPT2, width=32), captions=True)
    assert {name for name in first if first[name] != other[name]} == {"seed", "recipe.width", "captions", "data"}


@pytest.mark.slow
def test_another_seed_recipe_or_captions_is_refused(tmp_path: Path, session: Sessions) -> None:
    out, other = tmp_path / "gpt2", tmp_path / "other.txt"
    other.write_text(session().captions.read_text().replace("dog", "cow"))
    gpt2.train(session(0.1), out, GPT2)
    for given, recipe, named in (
        (session(0.2, seed=1), GPT2, 'seed: "0" before, "1" now'),
        (session(0.2), replace(GPT2, width=32), r'recipe\.width: "16" before, "32" now'),
        (replace(session(0.2), captions=other), GPT2, 'captions: "[0-9a-f]+" before, "[0-9a-f]+" now'),
    ):
        with pytest.raises(BoxpaintError, match=rf"gpt2\.checkpoint\.pt is of another training; .*\n  {named}$"):
            gpt2.train(given, out, recipe)
