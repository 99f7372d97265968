"""No training goes on from the checkpoint of another one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from generator.foundation.errors import BoxpaintError
from tests.training.pocket.test_training import GPT2, INPAINT, VAE
from training.pocket import gpt2, inpaint, vae
from training.pocket.loop import Session, identify

Sessions = Callable[..., Session]


def test_what_is_learned_from_counts_and_not_where_it_lies(session: Sessions, tmp_path: Path) -> None:
    here = session()
    first = identify("gpt2", here, GPT2, captions=True)
    assert {"part": "gpt2", "seed": "0", "recipe.width": "16"}.items() <= first.items()
    copy, text = shutil.copytree(here.data, tmp_path / "moved"), shutil.copy(here.captions, tmp_path / "moved.txt")
    there = replace(here, data=copy, captions=Path(text))
    assert identify("gpt2", there, GPT2, captions=True) == first
    annotation = copy / "annotations" / "train_0.xml"
    annotation.write_text(annotation.read_text().replace("WBC", "RBC"))
    Path(text).write_text("A man.\n")
    other = identify("gpt2", replace(there, seed=1), replace(GPT2, width=32), captions=True)
    assert {name for name in first if first[name] != other[name]} == {"seed", "recipe.width", "captions", "data"}


def test_another_seed_recipe_or_captions_is_refused(tmp_path: Path, session: Sessions) -> None:
    out, other = tmp_path / "gpt2", tmp_path / "other.txt"
    other.write_text(session().captions.read_text().replace("dog", "cow"))
    gpt2.train(session(0.1), out, GPT2)
    for given, recipe, named in (
        (session(0.2, seed=1), GPT2, 'seed: "0" before, "1" now'),
        (session(0.2), replace(GPT2, width=32), r'recipe\.width: "16" before, "32" now'),
        (replace(session(0.2), captions=other), GPT2, "captions: .*sha256:.* before, .*sha256:.* now"),
    ):
        with pytest.raises(BoxpaintError, match=rf"gpt2\.checkpoint\.pt is of another training; .*\n  {named}$"):
            gpt2.train(given, out, recipe)


def test_another_vae_is_refused_before_the_bank_is_written_over(tmp_path: Path, session: Sessions) -> None:
    out = tmp_path / "inpaint"
    vae.train(session(0.2), out / "vae", VAE)
    before = inpaint.made_from(session(), out, INPAINT)
    inpaint.train(session(0.5), out, INPAINT)
    # The pipeline saves its VAE over the one that it was given.
    assert inpaint.made_from(session(), out, INPAINT) == before
    bank = (tmp_path / inpaint.BANK_FILE).read_bytes()
    (tmp_path / "inpaint" / "vae.checkpoint.pt").unlink()
    vae.train(session(0.2, seed=1), out / "vae", VAE)
    with pytest.raises(BoxpaintError, match=r"inpaint\.checkpoint\.pt is of another training; .*\n  vae: .sha256:"):
        inpaint.train(session(1.0), out, INPAINT)
    assert (tmp_path / inpaint.BANK_FILE).read_bytes() == bank
