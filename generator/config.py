"""How to paint: the YAML config, typed, with the bundle's own defaults beneath what the user wrote.

    bundle's card (generator/bundles/<name>/bundle.yaml)  <  config file  <  command line

A key that nobody knows is refused with the nearest right one, at its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from generator.bundles import BundleCard, load_card
from generator.config_sections import (
    AuditConfig,
    CanvasConfig,
    LabelConfig,
    ModelsConfig,
    OutputConfig,
    PaintingConfig,
    PlacementConfig,
    PromptsConfig,
    Section,
)
from generator.foundation.errors import ConfigError
from generator.foundation.seeds import MAX_SEED
from generator.foundation.typed_yaml import fill_model
from generator.foundation.yaml_lines import Lines, read_yaml

if TYPE_CHECKING:
    from generator.spec.spec import Spec

# Where and how fast a run goes, and how it is watched: no part of what is painted.
_INDIFFERENT = {
    *("chunk", "engine", "workers", "threads", "device", "dtype", "batch_size", "compile", "offline", "audit"),
    "allow_pickle",
}
# By how much a canvas may be larger than the bundle's own. On one 4.4 times as large the pocket paints red cells a
# third as wide beside the objects, and purple ones at the edges that nobody asked for.
_MAX_CANVAS = 2.0


class Config(Section):
    """Everything but the CSV files. Keys left out come from the bundle's card.

    `Config()` is the embedded pocket bundle; `Config.load(path)` reads YAML. Raises pydantic's ValidationError from
    Python, ConfigError (with file and line) from a file.
    """

    bundle: str = "pocket"
    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    chunk: int = Field(default=8, ge=1, le=4096)
    """Scenes painted together: the unit of batching and of resume."""
    engine: Literal["local", "ray"] = "local"
    """Who paints: processes of this machine, or Ray."""
    workers: Annotated[int, Field(ge=1, le=65_536)] | Literal["auto"] = "auto"
    """Processes that paint chunks side by side; auto: a few for each GPU, or one a core. The files are the same."""
    threads: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    """Threads of each on a CPU; auto: all cores, of one worker."""
    device: str = "auto"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    batch_size: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = "auto"
    """Pictures that go through a UNet together; auto: as many as the device's memory holds."""
    compile: Literal["auto", "on", "off"] = "auto"
    """torch.compile for the UNets; auto: on a GPU, for plans that are long enough to pay for the minutes it takes."""
    offline: bool = False
    allow_pickle: bool = False
    """Read weights that are no safetensors, of all models: they may hold code of whoever made them."""
    canvas: CanvasConfig
    placement: PlacementConfig = PlacementConfig()
    prompts: PromptsConfig = PromptsConfig()
    painting: PaintingConfig = PaintingConfig()
    labels: LabelConfig = LabelConfig()
    output: OutputConfig = OutputConfig()
    audit: AuditConfig = AuditConfig()
    models: ModelsConfig

    @model_validator(mode="before")
    @classmethod
    def _fill_from_card(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        bundle = data.get("bundle", "pocket")
        # Of a bundle that is no name, only that is said, not what its card would have filled in.
        card = load_card(bundle if isinstance(bundle, str) else "pocket")
        models = {role: dict(model) if model else None for role, model in card.models.items()}
        chosen = data.get("models")
        for role, model in chosen.items() if isinstance(chosen, Mapping) else ():
            below = models.get(role)
            if isinstance(model, Mapping) and model.get("id") and below:
                below.pop("folder", None)  # a hub id in place of the card's own folder
        merged = _merge({**card.defaults, "models": models}, data)
        for model in merged["models"].values() if merged.get("allow_pickle") is True else ():
            if isinstance(model, dict):
                model.setdefault("allow_pickle", True)
        return merged

    @classmethod
    def load(cls, path: str | Path | None = None, **overrides: object) -> Config:
        """Read a YAML file (None: the embedded defaults) and put `overrides` of top-level keys over it.

        Raises ConfigError naming file, line, key and what would be right.
        """
        data: Mapping[str, Any] = {}
        lines = Lines()
        if path is not None:
            data, lines = read_yaml(Path(path))
        name = str(path) if path is not None else "config"
        given = {key: value for key, value in overrides.items() if value is not None}
        try:
            return fill_model(cls, {**data, **given}, file=name, lines=lines)
        except ConfigError as error:  # the bundle's card; where the bundle is named is where the mend is
            raise ConfigError(
                replace(fault, file=name, line=lines.get(("bundle",))) if fault.column == "bundle" else fault
                for fault in error.faults
            ) from None

    @property
    def canvas_wh(self) -> tuple[int, int]:
        """(width, height) of the pictures in pixels."""
        return (self.canvas.width, self.canvas.height)

    @property
    def card(self) -> BundleCard:
        """Card of the bundle."""
        return load_card(self.bundle)

    def check_domain(self, spec: Spec) -> list[str]:
        """As the card's `check_domain`; warns of a canvas much larger than the bundle's own, too."""
        warnings = self.card.check_domain(spec)
        width, height = self.canvas_wh
        own = CanvasConfig.model_validate({**self.canvas.model_dump(), **self.card.defaults.get("canvas", {})})
        if width * height > _MAX_CANVAS * own.width * own.height:
            warnings.append(
                f"canvas: the bundle '{self.bundle}' was made for about {own.width} x {own.height} px; on {width} x "
                f"{height} it paints things too small for the objects, and some that nobody asked for"
            )
        return warnings

    def identity(self) -> dict[str, Any]:
        """What decides the pictures, as plain data: everything but where and how fast it runs.

        Folders of models are left out as well: the weights in them are compared instead.
        """
        data: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude=_INDIFFERENT)
        for model in data["models"].values():
            if model is not None:
                del model["folder"], model["allow_pickle"]
        return data


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
