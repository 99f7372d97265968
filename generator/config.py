"""How to paint: the YAML config, typed, with the bundle's own defaults beneath what the user wrote.

    bundle's card (generator/bundles/<name>/bundle.yaml)  <  config file  <  command line

A key that nobody knows is refused with the nearest right one, at its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator, model_validator

from generator.bundles import BUNDLES, CARD_FILE, BundleCard, DiffusionRef, ModelRef, load_card
from generator.foundation.errors import ConfigError
from generator.foundation.seeds import MAX_SEED
from generator.foundation.typed_yaml import Lines, fill_model, read_yaml

if TYPE_CHECKING:
    from generator.spec import Spec

Share = Annotated[float, Field(ge=0.0, le=1.0)]
MIN_LEVEL = 0.02
# Those of painting/blenders.py; "mixed" draws one for each object.
BlenderName = Literal["feather", "pyramid", "poisson", "mixed"]


class Section(BaseModel):
    """A part of the config: it knows its keys, and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_OTHER_NAME: dict[str, str] = {}


def _renamed(name: str, *, old: str, default: float, ge: float, le: float) -> Any:
    """A key whose old name is read for one more release, and stays in run.json, so that runs begun before can go on."""
    _OTHER_NAME.update({name: old, old: name})
    return Field(default=default, ge=ge, le=le, validation_alias=AliasChoices(name, old), serialization_alias=old)


class CanvasConfig(Section):
    """Size of the pictures in pixels."""

    width: int = Field(ge=64, le=8192)
    height: int = Field(ge=64, le=8192)


class PlacementConfig(Section):
    """Where boxes may lie."""

    margin: Annotated[float, Field(ge=0.0, le=0.25)] = 0.02
    """Free border of the canvas, as a share of its shorter side."""
    max_overlap: Share = 0.05
    """Most that two boxes may share, as a share of the smaller one."""
    max_tries: int = Field(default=60, ge=1, le=10_000)
    """Draws of a position before an object is given up and recorded as unplaced."""
    decoys: Share = 0.5
    """Decoys for each object: boxes painted with the scene's own prompt in the same way, and not labelled. With them a
    trace of painting says nothing of where an object is (Tripathi et al. 2019, arXiv 1904.05475, section 3)."""


class PaintingConfig(Section):
    """The denoising loop and the way back into the picture."""

    sampler: Literal["dpm", "consistency"] = "dpm"
    """dpm: DPM-Solver++. consistency: for models that were distilled to a few steps (LCM, SD-Turbo)."""
    steps: int = Field(default=25, ge=1, le=1000)
    cache_every: int = 1
    """Only 1: keeping the UNet's features between steps did not pay and is gone. run.json goes on saying so."""
    guidance_scale: float = Field(default=5.0, ge=1.0, le=50.0)
    guidance_interval: tuple[Share, Share] = (0.2, 1.0)
    """Noise levels (share of the training schedule; 1 is pure noise) with guidance: Kynkäänniemi et al. 2024, arXiv
    2404.07724."""
    background_negative_prompt: str = ""
    object_negative_prompt: str = ""
    box_share: Annotated[float, Field(gt=0.05, le=0.8)] = 0.4
    """Longer side of the box as a share of its crop's side: how much context the model sees."""
    mask_padding: Annotated[float, Field(ge=0.0, le=1.0)] = 0.12
    """Repainted border around the box, as a share of the box's longer side."""
    blend: BlenderName = "mixed"
    match_colour: bool = True
    harmonize_strength: float = _renamed("harmonize_strength", old="shared_history", default=0.2, ge=0.0, le=0.5)
    """Noise level (the strength of image-to-image) up to which a finished picture is noised and denoised as a whole, so
    that its finest detail comes from one hand, in and outside of what was painted (Meng et al. 2022, arXiv 2108.01073);
    0 leaves it as it is. Measured by benchmarks/leak.py."""
    sensor_noise: float = _renamed("sensor_noise", old="grain", default=1.5, ge=0.0, le=30.0)
    """Standard deviation, in grey levels, of the noise of a camera's sensor over the whole finished picture."""

    harmonize_area: Literal["all", "painted"] | None = None
    """Where scenes that are photos are drawn anew at the end: all over, or only around what was painted, which then
    gets the noise of the photo, and leaves the rest bit for bit. None: all, which leaks less (docs/benchmarks.md).
    A scene that was painted itself is always drawn anew all over."""

    @field_validator("cache_every")
    @classmethod
    def _keeps_no_features(cls, every: int) -> int:
        if every != 1:
            raise ValueError("kept features did not pay and were removed (docs/decisions/0012-speed.md); leave it out")
        return every

    @field_validator("harmonize_strength")
    @classmethod
    def _is_worth_a_step(cls, level: float) -> float:
        if 0 < level < MIN_LEVEL:
            raise ValueError(f"0 for none, or {MIN_LEVEL} and more: below that nothing changes")
        return level

    @field_validator("guidance_interval")
    @classmethod
    def _is_ordered(cls, interval: tuple[float, float]) -> tuple[float, float]:
        if interval[0] > interval[1]:
            raise ValueError(f"the first number ({interval[0]}) must not be above the second ({interval[1]})")
        return interval


class LabelConfig(Section):
    """When a painted object counts. A new key is None unless it is set: otherwise runs begun before it are refused."""

    max_attempts: int = Field(default=4, ge=1, le=100)
    min_area: Annotated[float, Field(gt=0.0, le=1.0)] = 0.08
    """Least changed area, as a share of the requested box."""
    max_edge_contact: Share = 0.12
    """Most of the painted region's edge that the object may touch before it counts as cut off."""
    min_visible: Share = 0.4
    """Least of an object that must stay visible when later ones are painted over it."""
    max_fragments: Share = 0.3
    """Most of an object that may lie apart from its largest part."""
    size_range: tuple[Annotated[float, Field(ge=0.0)], Annotated[float, Field(gt=0.0, le=10.0)]] = (0.3, 1.3)
    """Least and greatest side of what was painted, as a share of the side asked for."""
    max_sharpness: Annotated[float, Field(gt=0.0)] = 8.0
    """Most that the hardest edges of an object may be harder than those around it."""
    min_contrast: Annotated[float, Field(ge=0.0, le=100.0)] = 0.0
    """Least by which an object must stand out from what is around it (CIELAB units; 2.3 is just noticeable)."""
    verify: bool = True
    """Look at every object, decoy and background with a second model, if the bundle has one (models.clip)."""
    best_of: int = Field(default=1, ge=1, le=16)
    """Seeds that are painted of each object at once; of those that pass, the verifier's favourite stays."""
    min_margin: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.3
    """By how much an object must look likelier to be of its class than of any other, or background (probabilities)."""
    min_agreement: Share = 0.3
    """Least IoU of the verifier's own box with what was painted."""
    max_unlabelled: float = _renamed("max_unlabelled", old="max_stray", default=0.9, ge=0.0, le=1.0)
    """Probability from which on a class is seen where none was asked for: in backgrounds, decoys, beside objects."""
    background_prompts: tuple[str, ...] = ()
    """What else there may be to see that is no object; the prompts of the scenes are known anyway."""

    @field_validator("size_range")
    @classmethod
    def _is_a_range(cls, sides: tuple[float, float]) -> tuple[float, float]:
        if sides[0] >= sides[1]:
            raise ValueError(f"the first number ({sides[0]}) must be below the second ({sides[1]})")
        return sides


class OutputConfig(Section):
    """Files."""

    image_format: Literal["png", "jpg"] = "png"
    jpeg_quality: int = Field(default=95, ge=50, le=100)
    val_share: Annotated[float, Field(ge=0.0, le=0.9)] = 0.2
    segmentation: Literal["polygon", "rle"] = "polygon"


class AuditConfig(Section):
    """The leak audit at the end of a run: can a trained probe tell where was painted?"""

    scenes: int = Field(default=200, ge=0, le=100_000)
    """Scenes that are looked at, evenly spread; 0: none."""
    max_leak_auc: Annotated[float, Field(ge=0.5, le=1.0)] = 0.7
    """Above it, by all of its 95 % interval, no annotations are written (0.5 is guessing, 1 is knowing)."""


class PromptsConfig(Section):
    """How the prompt book is made: many faithful texts for each row of the CSV files."""

    enrich: Literal["gpt2", "none"] = "gpt2"
    """none: only captions of reference photos and attributes.csv vary the prompts."""
    variants: int = Field(default=16, ge=1, le=1000)
    """Texts wanted for each row, its own prompt among them."""
    patience: int = Field(default=128, ge=1, le=100_000)
    """Texts tried in a row without keeping one, before a row makes do with what it has."""
    max_references: int = Field(default=64, ge=1, le=100_000)
    """Reference photos captioned for each class, evenly spread over the folder."""
    caption_prefix: str = ""
    """Words that every caption begins with; the captioner goes on from them."""
    temperature: Annotated[float, Field(gt=0.0, le=5.0)] = 1.0
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    """Nucleus sampling: Holtzman et al. 2020, arXiv 1904.09751."""
    repetition_penalty: Annotated[float, Field(ge=1.0, le=5.0)] = 1.1
    """Keskar et al. 2019, arXiv 1909.05858; on what is being written, not on what it follows."""
    max_words: int = Field(default=24, ge=3, le=200)
    max_similarity: Share = 0.97
    """Above it, to a text that is kept already, a text is a near-duplicate (cosine of embeddings)."""
    min_similarity: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.4
    """Below it, to the row's own prompt, a text is off-topic (cosine of embeddings)."""
    block_words: bool = True
    """Keep out what should not be painted: generator/prompts/blocked_words.txt."""


class ModelsConfig(Section):
    """The models of a run.

    `background` may be none: the inpainting model then paints scenes with everything masked. `vae`, a tiny one
    (`AutoencoderTiny`, such as madebyollin/taesd), takes the place of those in both, for previews. The others are
    loaded only when they are needed: `captioner` (BLIP) for reference photos, `enricher` (GPT-2) and `embedder`
    (sentence-transformers, or CLIP's text tower) for the prompt book; `clip` compares pictures with words and
    `detector` (OWLv2) finds in a picture what words describe: the two that verify.
    """

    inpaint: DiffusionRef
    background: DiffusionRef | None = None
    vae: ModelRef | None = None
    captioner: ModelRef | None = None
    enricher: ModelRef | None = None
    embedder: ModelRef | None = None
    clip: ModelRef | None = None
    detector: ModelRef | None = None

    @field_validator("captioner", "enricher", "embedder", "clip", "detector")
    @classmethod
    def _has_no_dtype(cls, model: ModelRef | None) -> ModelRef | None:
        if model is not None and model.dtype is not None:
            raise ValueError("leave dtype out: models that read or write words compute in float32, for equal bytes")
        return model


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
                if isinstance(model.get("adapters"), list):
                    model["adapters"] = [
                        {"allow_pickle": True, **each} if isinstance(each, Mapping) else each
                        for each in model["adapters"]
                    ]
        return merged

    @classmethod
    def load(cls, path: str | Path | None = None, **overrides: object) -> Config:
        """Read a YAML file (None: the embedded defaults) and put `overrides` of top-level keys over it.

        The folder of a bundle is absolute, relative to the file or to the working folder.
        Raises ConfigError naming file, line, key and what would be right.
        """
        data: Mapping[str, Any] = {}
        lines = Lines()
        if path is not None:
            data, lines = read_yaml(Path(path))
            bundle = data.get("bundle")
            if isinstance(bundle, str) and bundle not in BUNDLES:
                beside = Path(path).parent / bundle
                data = {**data, "bundle": str(beside) if (beside / CARD_FILE).is_file() else bundle}
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
                adapters = model.pop("adapters", None)
                if adapters:
                    model["adapters"] = [{key: each[key] for key in ("id", "revision", "weight")} for each in adapters]
        if data["painting"]["harmonize_area"] is None:  # it says what it said before there was such a key
            del data["painting"]["harmonize_area"]
        return data


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = {key: value for key, value in below.items() if _OTHER_NAME.get(key) not in above}
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
