"""The parts of a bundle: where each lies in its folder, what trains it and what measures it on unseen data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from generator.foundation.errors import BoxpaintError, RunMismatchError
from generator.foundation.run_folder import list_differences
from generator.foundation.storage import make_folder, write_json
from training.pocket import blip, clip, gpt2, inpaint, vae
from training.pocket.grammar import read_captions
from training.pocket.inpaint import save_samples
from training.pocket.loop import Session, checkpoint_file
from training.pocket.samples import remove_bank
from training.pocket.smears import CELL_KINDS, read_smears

Say = Callable[[str], None]
BYTES_PER_MB = 1e6


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What is learned from: a folder of labelled photos (smears.py) and a file of captions (texts.py)."""

    data: Path
    captions: Path

    def check(self) -> None:
        """Raise BoxpaintError when something is missing, before hours are spent on the rest."""
        smears = [read_smears(self.data, (split,)) for split in ("train", "val", "test")]
        for kind in CELL_KINDS:
            if not any(smear.of_kind(kind) for smear in smears[0]) or not any(s.of_kind(kind) for s in smears[2]):
                raise BoxpaintError(f"{self.data}: no {kind} is labelled in the photos of train.txt or of test.txt")
        read_captions(self.captions)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part: its folder in the bundle, the file in it that says that the part is there, and what to do with it.

    `made_from` names what the part in a folder would be trained from, with a seed (identity.py).
    """

    folder: str
    marker: str
    train: Callable[[Sources, Path, Session, Say], None]
    made_from: Callable[[Sources, Path, int], dict[str, str]]
    evaluate: Callable[[Path, Sources, int, torch.device], dict[str, float]]


PARTS: dict[str, Part] = {
    "vae": Part(
        folder="inpaint/vae",
        marker="config.json",
        train=lambda given, out, session, say: vae.train(given.data, out, vae.VaeRecipe(), session, say=say),
        made_from=lambda given, _out, seed: vae.made_from(given.data, vae.VaeRecipe(), seed),
        evaluate=lambda folder, given, seed, device: vae.evaluate(folder, given.data, seed, device),
    ),
    "inpaint": Part(
        folder="inpaint",
        marker="unet/config.json",
        train=lambda given, out, session, say: inpaint.train(
            given.data, out, inpaint.InpaintRecipe(), session, say=say
        ),
        made_from=lambda given, out, seed: inpaint.made_from(given.data, out, inpaint.InpaintRecipe(), seed),
        evaluate=lambda folder, given, seed, device: inpaint.evaluate(folder, given.data, seed, device),
    ),
    "gpt2": Part(
        folder="gpt2",
        marker="config.json",
        train=lambda given, out, session, say: gpt2.train(given.captions, out, gpt2.Gpt2Recipe(), session, say=say),
        made_from=lambda given, _out, seed: gpt2.made_from(given.captions, gpt2.Gpt2Recipe(), seed),
        evaluate=lambda folder, given, seed, device: gpt2.evaluate(folder, given.captions, seed, device),
    ),
    "blip": Part(
        folder="blip",
        marker="config.json",
        train=lambda given, out, session, say: blip.train(
            given.data, given.captions, out, blip.BlipRecipe(), session, say=say
        ),
        made_from=lambda given, _out, seed: blip.made_from(given.data, given.captions, blip.BlipRecipe(), seed),
        evaluate=lambda folder, given, seed, device: blip.evaluate(folder, given.data, seed, device),
    ),
    "clip": Part(
        folder="clip",
        marker="config.json",
        train=lambda given, out, session, say: clip.train(given.data, out, clip.ClipRecipe(), session, say=say),
        made_from=lambda given, _out, seed: clip.made_from(given.data, clip.ClipRecipe(), seed),
        evaluate=lambda folder, given, seed, device: clip.evaluate(folder, given.data, seed, device),
    ),
}


def numbers_file(bundle: Path, name: str) -> Path:
    """File whose being there says that a part is finished."""
    return bundle / f"{name}.numbers.json"


def train_part(bundle: Path, name: str, given: Sources, session: Session, say: Say) -> None:
    """Train a part, measure it, write its numbers down and remove what only an interrupted training needs."""
    part = PARTS[name]
    folder = bundle / part.folder
    make_folder(folder.parent)
    part.train(given, folder, session, say)
    numbers = part.evaluate(folder, given, session.seed, session.device)
    if name == "inpaint":
        save_samples(folder, bundle / "samples.png", session.seed, session.device)
        remove_bank(folder.parent / inpaint.BANK_FILE)
    write_json(
        numbers_file(bundle, name), {"made_from": part.made_from(given, folder, session.seed), "numbers": numbers}
    )
    remove_checkpoint(bundle, name)


def remove_checkpoint(bundle: Path, name: str) -> None:
    """Remove what the training of a part would go on from."""
    checkpoint_file((bundle / PARTS[name].folder).parent, name).unlink(missing_ok=True)


def is_finished(bundle: Path, name: str, given: Sources, seed: int) -> bool:
    """Say whether a part is trained. Raises BoxpaintError when it is, but from something else than is asked for."""
    path = numbers_file(bundle, name)
    if not path.exists():
        return False
    before, _ = _read_numbers_file(path)
    differing = list_differences(before, PARTS[name].made_from(given, bundle / PARTS[name].folder, seed))
    if differing:
        advice = f"remove it to train {name} again, or choose another --out"
        raise RunMismatchError(f"{path} is of another training; {advice}. The differences:", differing)
    return True


def read_numbers(bundle: Path, name: str) -> dict[str, float]:
    """Read the numbers of a part; empty when it is not finished, or came from another bundle."""
    path = numbers_file(bundle, name)
    return _read_numbers_file(path)[1] if path.exists() else {}


def _read_numbers_file(path: Path) -> tuple[dict[str, str], dict[str, float]]:
    """What a part was made from, and its numbers."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return dict(content["made_from"]), dict(content["numbers"])
    except (ValueError, KeyError, TypeError):
        message = f"{path} does not say what its part was made from; remove it to train the part again"
        raise BoxpaintError(message) from None


def parts_in(bundle: Path) -> list[str]:
    """Name the parts that a bundle's folder holds. Raises BoxpaintError when it holds none."""
    names = [name for name, part in PARTS.items() if (bundle / part.folder / part.marker).is_file()]
    if not names:
        raise BoxpaintError(f"{bundle}: there is no part of a bundle in this folder; looked for {_places()}")
    return names


def size_mb(bundle: Path, name: str) -> float:
    """Megabytes (10^6 bytes) of a part's files, those of parts within its folder left out."""
    folder = bundle / PARTS[name].folder
    inner = [bundle / part.folder for part in PARTS.values() if folder in (bundle / part.folder).parents]
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith((".pt", ".part")))
    return sum(path.stat().st_size for path in files if not set(inner) & set(path.parents)) / BYTES_PER_MB


def _places() -> str:
    return ", ".join(f"{part.folder}/{part.marker}" for part in PARTS.values())
