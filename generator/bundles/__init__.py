"""Bundles: the sets of models behind a run, each described by a card (`bundle.yaml`) that needs no torch to read.

A bundle is named by one of `BUNDLES` or by a folder that holds a `bundle.yaml` of the same form.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from generator.foundation.errors import ConfigError, DomainError, Fault
from generator.foundation.typed_yaml import Lines, faults_of

if TYPE_CHECKING:
    from generator.spec import Spec

BUNDLES: dict[str, Path] = {
    "pocket": Path(__file__).parent / "pocket",
    "sd21": Path(__file__).parent / "sd21",
}
CARD_FILE = "bundle.yaml"
_WORD = re.compile(r"[^\W\d_]+")
_SHOWN_WORDS = 6


class ModelRef(BaseModel):
    """Where one model (a folder in the layout of diffusers, transformers or sentence-transformers) comes from.

    `folder` (absolute, relative to the bundle's card or to the working folder) wins over `id`, a hub repository.
    `variant` is tried first, then the plain files. `allow_pickle`: weights that are no safetensors may be read, too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | None = None
    revision: str | None = None
    variant: str | None = None
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    folder: str | None = None
    allow_pickle: bool = False

    @model_validator(mode="after")
    def _has_a_source(self) -> ModelRef:
        if not self.id and not self.folder:
            raise ValueError("a model needs an id (a hub repository) or a folder")
        return self

    def weight_files(self) -> list[Path]:
        """Weight files of a local model, sorted."""
        if not self.folder:
            return []
        folder = Path(self.folder)
        kinds = ({*folder.glob(f"*.{kind}"), *folder.glob(f"*/*.{kind}")} for kind in ("safetensors", "bin"))
        return sorted(next(filter(None, kinds), ()))

    def hub_snapshot(self) -> Path | None:
        """Folder of a hub model in the cache of this machine, named by its commit."""
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        for marker in ("config.json", "unet/config.json"):
            try:
                cached = try_to_load_from_cache(self.id or "", marker, revision=self.revision or "main")
            except HFValidationError:  # no name that the hub can have; loading it says so
                return None
            if isinstance(cached, str):
                return Path(cached.removesuffix(marker))
        return None


class DiffusionRef(ModelRef):
    """A model that paints, and how it wants to be sampled; what is left out is as in the section `painting`.

    Few-step models need it: `{id: stabilityai/sd-turbo, sampler: consistency, steps: 4, guidance_scale: 1}`.
    """

    sampler: Literal["dpm", "consistency"] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    guidance_scale: Annotated[float, Field(ge=1.0, le=50.0)] | None = None


class BundleCard(BaseModel):
    """What a bundle is, what it can paint, and the settings that suit it.

    `vocabulary` lists the words its prompts may use; None means any. A prompt with other words is of its world
    still when it names one of the `subjects`. `scene` says what photos show that objects are painted into, where
    background.csv does not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    paints: str
    licence: str
    source: str
    vocabulary: frozenset[str] | None = None
    subjects: frozenset[str] = frozenset()
    instead: str = ""
    scene: str | None = None
    defaults: dict[str, Any]
    models: dict[str, Any]

    def unknown_words(self, texts: Iterable[str]) -> list[str]:
        """Words of `texts` that the bundle has not learned, in order, each once."""
        if self.vocabulary is None:
            return []
        words = dict.fromkeys(word for text in texts for word in _WORD.findall(text.lower()))
        return [word for word in words if word not in self.vocabulary]

    def check_domain(self, spec: Spec) -> list[str]:
        """Raise DomainError, with every row and what to do, where prompts name nothing that the bundle can paint.

        Returns a warning, or none, on words beside the subject that it has never seen.
        """
        rows = [(spec.background_file, row.line, row.prompt) for row in spec.backgrounds]
        rows += [(spec.classes_file, row.line, row.prompt) for row in spec.classes]
        foreign: list[str] = []
        strange: list[str] = []
        for file, line, prompt in rows:
            if words := self.unknown_words([prompt]):
                shown = ", ".join(f"'{word}'" for word in words[:_SHOWN_WORDS])
                place = f"{file}:{line}: {shown}{' ...' if len(words) > _SHOWN_WORDS else ''}"
                names_subject = bool(self.subjects & {*_WORD.findall(prompt.lower())})
                (strange if names_subject else foreign).append(place)
        if foreign:
            raise DomainError(
                f"the bundle '{self.name}' paints {self.paints}, and has never seen these words:",
                foreign,
                f"{self.instead} To go on all the same: boxpaint prompts --force, boxpaint generate --force".lstrip(),
            )
        return [f"the bundle '{self.name}' does not know these words: {'; '.join(strange)}"] if strange else []


@functools.cache
def load_card(bundle: str) -> BundleCard:
    """Read the card of a bundle, by name or folder.

    Folders in its models are made absolute where they lie beside the card. Raises ConfigError.
    """
    folder = BUNDLES.get(bundle, Path(bundle))
    path = folder / CARD_FILE
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        card = BundleCard.model_validate(data)
    except ValidationError as error:
        raise ConfigError(faults_of(BundleCard, error, file=str(path), lines=Lines())) from None
    except (OSError, yaml.YAMLError, ValueError):  # 2026-13-01 is a ValueError of yaml's
        names = ", ".join(BUNDLES)
        raise ConfigError(
            [
                Fault(
                    file=str(path) if folder.is_dir() else "config",
                    column="bundle",
                    found=bundle,
                    expected=f"one of {names}, or a folder with a readable {CARD_FILE}; "
                    "for another model, keep bundle: sd21 and set models.inpaint.id or models.inpaint.folder",
                )
            ]
        ) from None
    models = {role: _with_absolute_folder(model, folder) for role, model in card.models.items()}
    return card.model_copy(update={"models": models})


def _with_absolute_folder(model: Any, folder: Path) -> Any:
    if isinstance(model, Mapping) and model.get("folder") and (folder / str(model["folder"])).is_dir():
        return {**model, "folder": str((folder / str(model["folder"])).resolve())}
    return model
