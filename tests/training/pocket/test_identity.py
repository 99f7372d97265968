"""No training goes on from the checkpoint of another one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from generator.foundation.errors import BoxpaintError
from tests.training.pocket.test_training import GPT2, INPAINT, VAE
from training.pocket import gpt2, inpaint, vae
from training.pocket.loop import Learner, Session, fit, identify

Sessions = Callable[[float], Session]


def test_what_is_learned_from_counts_and_not_where_it_lies(bccd: Path, captions: Path, tmp_path: Path) -> None:
    first = identify("gpt2", 0, GPT2, files={"captions": captions}, photos=bccd)
    assert {"part": "gpt2", "seed": "0", "recipe.width": "16"}.items() <= first.items()
    copy, text = shutil.copytree(bccd, tmp_path / "moved"), shutil.copy(captions, tmp_path / "moved.txt")
    again = identify("gpt2", 0, GPT2, files={"captions": Path(text)}, photos=copy)
    assert again == first
    annotation = copy / "annotations" / "train_0.xml"
    annotation.write_text(annotation.read_text().replace("WBC", "RBC"))
    Path(text).write_text("A man.\n")
    other = identify("gpt2", 1, replace(GPT2, width=32), files={"captions": Path(text)}, photos=copy)
    assert {name for name in first if first[name] != other[name]} == {"seed", "recipe.width", "captions", "data"}


def test_a_checkpoint_of_another_training_is_refused_and_stays(tmp_path: Path, session: Sessions) -> None:
    def train(made_from: dict[str, str], width: int) -> None:
        layer = nn.Linear(width, 1)
        learner = Learner(
            modules={"x": layer}, loss=lambda _rng, _share: layer(torch.ones(width)).sum(), learning_rate=0
        )
        fit("x", [learner], session(0.05), tmp_path, batch_size=1, made_from=made_from, say=lambda _: None)

    train({"seed": "0"}, 2)
    path = tmp_path / "x.checkpoint.pt"
    before = path.read_bytes()
    with pytest.raises(BoxpaintError, match=r"x\.checkpoint\.pt is of another .*\n  seed: \"0\" before, \"1\" now"):
        train({"seed": "1"}, 3)
    assert path.read_bytes() == before
    path.write_bytes(before[:100])
    with pytest.raises(BoxpaintError, match=r"x\.checkpoint\.pt cannot be read .*; remove it, or choose another --out"):
        train({"seed": "0"}, 2)


def test_another_seed_recipe_or_captions_is_refused(captions: Path, tmp_path: Path, session: Sessions) -> None:
    out, other = tmp_path / "gpt2", tmp_path / "other.txt"
    other.write_text(captions.read_text().replace("dog", "cow"))
    gpt2.train(captions, out, GPT2, session(0.1), say=print)
    for given, recipe, seed, named in (
        (captions, GPT2, 1, 'seed: "0" before, "1" now'),
        (captions, replace(GPT2, width=32), 0, r'recipe\.width: "16" before, "32" now'),
        (other, GPT2, 0, "captions: .*sha256:.* before, .*sha256:.* now"),
    ):
        with pytest.raises(BoxpaintError, match=rf"gpt2\.checkpoint\.pt is of another training; .*\n  {named}$"):
            gpt2.train(given, out, recipe, replace(session(0.2), seed=seed), say=print)


def test_another_vae_is_refused_before_the_bank_is_written_over(bccd: Path, tmp_path: Path, session: Sessions) -> None:
    out = tmp_path / "inpaint"
    vae.train(bccd, out / "vae", VAE, session(0.2), say=print)
    before = inpaint.made_from(bccd, out, INPAINT, 0)
    inpaint.train(bccd, out, INPAINT, session(0.5), say=print)
    # The pipeline saves its VAE over the one that it was given.
    assert inpaint.made_from(bccd, out, INPAINT, 0) == before
    bank = (tmp_path / inpaint.BANK_FILE).read_bytes()
    (tmp_path / "inpaint" / "vae.checkpoint.pt").unlink()
    vae.train(bccd, out / "vae", VAE, replace(session(0.2), seed=1), say=print)
    with pytest.raises(BoxpaintError, match=r"inpaint\.checkpoint\.pt is of another training; .*\n  vae: .sha256:"):
        inpaint.train(bccd, out, INPAINT, session(1.0), say=print)
    assert (tmp_path / inpaint.BANK_FILE).read_bytes() == bank
