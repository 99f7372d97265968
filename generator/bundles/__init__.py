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
from generator.foundation.run_folder import PAINTER, add_kind, kind_of
from generator.foundation.typed_yaml import Lines, faults_of

if TYPE_CHECKING:
    from generator.spec import Spec

BUNDLES: dict[str, Path] = {
    "pocket": Path(__file__).parent / "pocket",
    "sd21": Path(__file__).parent / "sd21",
}
CARD_FILE = "bundle.yaml"
# The prompt of a scene without objects, where nobody has said anything better.
EMPTY_SCENE = "a photo of an empty scene"
_WORD = re.compile(r"[^\W\d_]+")
_SHOWN_WORDS = 6
# Name of a LoRA as diffusers writes it, and the endings of files that hold one.
_ADAPTER_NAME = "pytorch_lora_weights"
_ADAPTER_KINDS = (".safetensors", ".bin", ".pt")


class WeightsRef(BaseModel):
    """Where weights come from: `folder` (absolute, relative to the bundle's card or to the working folder) wins over
    `id`, a hub repository. `allow_pickle`: weights that are no safetensors may be read, too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | None = None
    revision: str | None = None
    folder: str | None = None
    allow_pickle: bool = False

    @model_validator(mode="after")
    def _has_a_source(self) -> WeightsRef:
        if not self.id and not self.folder:
            raise ValueError("a model needs an id (a hub repository) or a folder")
        return self

    def local_folder(self) -> Path | None:
        """Folder on this machine that holds, or should hold, the weights; None where there is none."""
        folder = Path(self.folder) if self.folder else self.hub_snapshot()
        return folder if folder is not None and folder.is_dir() else None

    def local_files(self) -> list[str]:
        """Names of the files in that folder, down to the second level ("unet/config.json")."""
        folder = self.local_folder()
        if folder is None:
            return []
        return [path.relative_to(folder).as_posix() for pattern in ("*", "*/*") for path in folder.glob(pattern)]

    def hub_snapshot(self) -> Path | None:
        """Folder of a hub repository in the cache of this machine, named by its commit."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            # Whatever it holds: files that nobody loads are not there.
            found = snapshot_download(self.id or "", revision=self.revision, local_files_only=True, ignore_patterns="*")
        except (LocalEntryNotFoundError, HFValidationError):  # of a name that the hub cannot have, loading it says so
            return None
        return Path(found)


class ModelRef(WeightsRef):
    """Where one model (a folder in the layout of diffusers, transformers or sentence-transformers) comes from.

    `variant` is tried first, then the plain files.
    """

    variant: str | None = None
    dtype: Literal["float32", "float16", "bfloat16"] | None = None

    def weight_files(self) -> list[Path]:
        """Weight files of a local model, sorted."""
        if not self.folder:
            return []
        folder = Path(self.folder)
        kinds = ({*folder.glob(f"*.{kind}"), *folder.glob(f"*/*.{kind}")} for kind in ("safetensors", "bin"))
        return sorted(next(filter(None, kinds), ()))


class AdapterRef(WeightsRef):
    """A LoRA (Hu et al. 2021, arXiv 2106.09685) that is added, `weight` times, to the weights of a model.

    `folder` may name the file itself; `file` names it in a folder or repository that has several.
    """

    file: str | None = None
    weight: Annotated[float, Field(ge=-10.0, le=10.0)] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _splits_a_path(cls, data: Any) -> Any:
        folder = data.get("folder") if isinstance(data, Mapping) else None
        if isinstance(folder, str) and folder.endswith(_ADAPTER_KINDS) and not data.get("file"):
            return {**data, "folder": str(Path(folder).parent), "file": Path(folder).name}
        return data

    def choose_files(self, files: Iterable[str]) -> list[str]:
        """Of the files of a folder or repository the one to load: none where it is not there, several where `file` has
        to say which.
        """
        if self.file is not None:
            return [name for name in files if name == self.file]
        found = sorted(name for name in files if "/" not in name and name.endswith(_ADAPTER_KINDS))
        found = [name for name in found if name.endswith(".safetensors")] or found
        return [name for name in found if name.startswith(f"{_ADAPTER_NAME}.")] or found

    def weight_files(self) -> list[Path]:
        """The file to load, where it is on this machine."""
        folder = self.local_folder()
        return [] if folder is None else [folder / name for name in self.choose_files(self.local_files())]


# What there may be to find, download and check.
AnyRef = ModelRef | AdapterRef


class DiffusionRef(ModelRef):
    """A model that paints, and how it wants to be sampled; what is left out is as in the section `painting`.

    Few-step models need it: `{id: stabilityai/sd-turbo, sampler: consistency, steps: 4, guidance_scale: 1}`.
    `adapters` are added to its UNet and text encoder when it is loaded.
    """

    sampler: Literal["dpm", "consistency"] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    guidance_scale: Annotated[float, Field(ge=1.0, le=50.0)] | None = None
    adapters: tuple[AdapterRef, ...] | None = None


class BundleCard(BaseModel):
    """What a bundle is, what it can paint, and the settings that suit it.

    `vocabulary` lists the words its prompts may use; None means any. A prompt with other words is of its world
    still when it names one of the `subjects`. `scene` is the prompt of a scene without objects, where there is one;
    decoys in photos that background.csv says nothing of are painted with it.
    `classes`, of a trained painter, are those it was taught, each with the words that it was taught of them:
    {"cat": {"size": ("large", "small")}}.
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
    scene: str = ""
    classes: dict[str, dict[str, tuple[str, ...]]] = {}
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
                    expected=f"one of {names}, or a folder with a readable {CARD_FILE}; {_advice(folder)}",
                )
            ]
        ) from None
    models = {role: _with_absolute_folder(model, folder) for role, model in card.models.items()}
    return card.model_copy(update={"models": models})


def _advice(folder: Path) -> str:
    if kind_of(folder) == PAINTER:
        return "the training of this painter is unfinished: the command that began it goes on"
    model = "for another model, keep bundle: sd21 and set models.inpaint.id or models.inpaint.folder"
    return add_kind(model, folder)


def _with_absolute_folder(model: Any, folder: Path) -> Any:
    if not isinstance(model, Mapping):
        return model
    absolute = dict(model)
    if model.get("folder") and (folder / str(model["folder"])).exists():
        absolute["folder"] = str((folder / str(model["folder"])).resolve())
    if isinstance(model.get("adapters"), list):
        absolute["adapters"] = [_with_absolute_folder(adapter, folder) for adapter in model["adapters"]]
    return absolute
