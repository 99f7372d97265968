"""The parts of a bundle: where each lies in its folder, what trains it and what measures it on unseen data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from generator.foundation.errors import BoxpaintError, RunMismatchError
from generator.foundation.run_folder import list_differences
from generator.foundation.storage import make_folder, write_json
from training.pocket import blip, clip, gpt2, inpaint, vae
from training.pocket.inpaint import save_samples
from training.pocket.session import Session, checkpoint_file

BYTES_PER_MB = 1e6


class Trainer(Protocol):
    """The module of a part."""

    @property
    def made_from(self) -> Callable[[Session, Path, Any], dict[str, str]]:
        """(session, out, recipe) -> what the part in `out` would be trained from."""

    @property
    def train(self) -> Callable[[Session, Path, Any], None]:
        """(session, out, recipe): train it and save it to `out`."""

    @property
    def evaluate(self) -> Callable[[Session, Path], dict[str, float]]:
        """(session, folder) -> numbers on unseen data."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part: its folder in the bundle, the file in it that says that the part is there, its module and recipe."""

    folder: str
    module: Trainer
    recipe: Any
    marker: str = "config.json"


PARTS: dict[str, Part] = {
    "vae": Part(folder="inpaint/vae", module=vae, recipe=vae.VaeRecipe()),
    "inpaint": Part(folder="inpaint", module=inpaint, recipe=inpaint.InpaintRecipe(), marker="unet/config.json"),
    "gpt2": Part(folder="gpt2", module=gpt2, recipe=gpt2.Gpt2Recipe()),
    "blip": Part(folder="blip", module=blip, recipe=blip.BlipRecipe()),
    "clip": Part(folder="clip", module=clip, recipe=clip.ClipRecipe()),
}


def numbers_file(bundle: Path, name: str) -> Path:
    """File whose being there says that a part is finished."""
    return bundle / f"{name}.numbers.json"


def train_part(bundle: Path, name: str, session: Session) -> None:
    """Train a part, measure it, write its numbers down and remove what only an interrupted training needs."""
    part = PARTS[name]
    folder = bundle / part.folder
    make_folder(folder.parent)
    part.module.train(session, folder, part.recipe)
    numbers = part.module.evaluate(session, folder)
    if name == "inpaint":
        save_samples(session, folder, bundle / "samples.png")
    made_from = part.module.made_from(session, folder, part.recipe)
    write_json(numbers_file(bundle, name), {"made_from": made_from, "numbers": numbers})
    remove_checkpoint(bundle, name)


def remove_checkpoint(bundle: Path, name: str) -> None:
    """Remove what the training of a part would go on from."""
    checkpoint_file((bundle / PARTS[name].folder).parent, name).unlink(missing_ok=True)


def is_finished(bundle: Path, name: str, session: Session) -> bool:
    """Say whether a part is trained. Raises BoxpaintError when it is, but from something else than is asked for."""
    path = numbers_file(bundle, name)
    if not path.exists():
        return False
    before, _ = _read_numbers_file(path)
    part = PARTS[name]
    differing = list_differences(before, part.module.made_from(session, bundle / part.folder, part.recipe))
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
