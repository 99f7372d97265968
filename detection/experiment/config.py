"""What an experiment file says, typed; an unknown key is refused with the nearest right one, at its line."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from detection.datasets.boxes import BoxMode
from detection.detectors.settings import FitSettings, ModelOptions
from detection.painter.settings import PainterSettings
from generator.foundation.seeds import MAX_SEED
from generator.foundation.typed_yaml import fill_model, read_yaml
from generator.spec.photos import LEAST_CROP, Flip

Kind = Literal["real", "copy_paste", "synthetic", "calibrated", "refined", "refined_copy_paste", "mixed"]
Painter = Literal["zero-shot", "tuned"]
Scenes = Literal["painted", "photos"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What the trainings of a kind of arm see, and how the card shows it; training.py makes their batches."""

    title: str
    colour: str
    """Of Okabe and Ito 2008: told apart by colour-blind eyes as well."""
    real: bool = True
    painted: bool = True
    refines: bool = False
    """First learns from painted pictures, then from nothing but real ones."""
    pastes: bool = False
    """Sees real pictures with pasted objects, too."""
    measures: Literal["nothing", "fewest", "all"] = "nothing"
    """Real pictures that the scale of its own painted boxes is measured on: the fewest that any training sees, or all
    that it sees itself."""


KINDS: dict[Kind, Traits] = {
    "real": Traits(title="real only", colour="#000000", painted=False),
    "copy_paste": Traits(title="real with copy-paste", colour="#E69F00", painted=False, pastes=True),
    "synthetic": Traits(title="painted only", colour="#009E73", real=False),
    "calibrated": Traits(title="painted only, boxes measured", colour="#56B4E9", real=False, measures="fewest"),
    "refined": Traits(title="painted, then refined on real", colour="#0072B2", refines=True),
    "refined_copy_paste": Traits(
        title="painted, then refined on real with copy-paste", colour="#D55E00", refines=True, pastes=True
    ),
    "mixed": Traits(title="painted and real mixed", colour="#CC79A7", measures="all"),
}


class Arm(BaseModel):
    """What a training sees: a kind, and of painted pictures who painted them, and into what scenes.

    In a file the name of a kind, or `{kind: refined, painter: tuned, scenes: photos}`. What is tuned, and the photos
    that are painted into, are the real pictures of the arm itself: it knows nothing that it does not own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    painter: Painter = "zero-shot"
    """zero-shot: as `synthetic` says; tuned: one that `boxpaint train painter` makes of the arm's own photos."""
    scenes: Scenes = "painted"

    @model_validator(mode="before")
    @classmethod
    def _reads_a_name(cls, data: Any) -> Any:
        if not isinstance(data, str):
            return data
        if data not in KINDS:
            names = ", ".join(map(repr, KINDS))
            raise ValueError(f"Input should be {names}, or {{kind: one of them, painter: tuned, scenes: photos}}")
        return {"kind": data}

    @model_validator(mode="after")
    def _fits_together(self) -> Arm:
        if self.is_own and not self.traits.painted:
            raise ValueError(f"{self.kind} sees no painted pictures: painter and scenes say nothing of it")
        if self.is_own and self.kind == "calibrated":
            raise ValueError(
                "with a painter or scenes of its own, kind synthetic measures its boxes already: take that"
            )
        return self

    @model_serializer
    def _written(self) -> Any:
        plain = {"kind": self.kind, "painter": self.painter, "scenes": self.scenes}
        return plain if self.is_own else self.kind

    @property
    def name(self) -> str:
        """Unique among arms, such as refined+tuned+photos."""
        return "+".join([self.kind, *own_words(self.painter, self.scenes)])

    @property
    def title(self) -> str:
        """For people, such as "tuned in photos, then refined on real"."""
        return self.traits.title.replace("painted", how_painted(self.painter, self.scenes), 1)

    @property
    def traits(self) -> Traits:
        """What it sees."""
        return KINDS[self.kind]

    @property
    def is_own(self) -> bool:
        """Whether its painted pictures are its own: they know its real photos, and no other arm may see them."""
        return bool(own_words(self.painter, self.scenes))

    @property
    def is_compared(self) -> bool:
        """Whether it joins painted pictures and real ones, in one way or another: its gain is over those without."""
        return self.traits.painted and (self.traits.real or self.is_own)

    @property
    def place(self) -> tuple[int, bool, bool]:
        """Where it stands in an order of all arms."""
        return [*KINDS].index(self.kind), self.painter == "tuned", self.scenes == "photos"


def own_words(painter: Painter, scenes: Scenes) -> tuple[str, ...]:
    """What sets painted pictures apart from those that all arms may see; () for these."""
    return tuple(word for word in (painter, scenes) if word in ("tuned", "photos"))


def how_painted(painter: Painter, scenes: Scenes) -> str:
    """For people, such as "tuned in photos"."""
    return ("tuned" if painter == "tuned" else "painted") + (" in photos" if scenes == "photos" else "")


Share = Annotated[float, Field(gt=0.0, lt=1.0)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


def _distinct(items: tuple[Any, ...]) -> tuple[Any, ...]:
    names = [getattr(item, "number", item) for item in items]
    if not names:
        raise ValueError("at least one is needed")
    if len(set(names)) < len(names):
        raise ValueError("the same one stands here twice")
    return items


# After the items, unlike a least length, which pydantic would also miss where an item is wrong.
_Distinct = AfterValidator(_distinct)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RealConfig(_Section):
    """Real pictures; paths are relative to the experiment file."""

    data: Path
    """A COCO set, or any form that `boxpaint import` reads."""
    rename: dict[str, str] = {}
    """Names of categories in the data -> names here."""
    train: Annotated[tuple[str, ...], _Distinct] = ("train",)
    """Splits that real training pictures come from."""
    test: str = "test"
    """The split that is only ever scored on."""

    @model_validator(mode="after")
    def _keeps_the_test_apart(self) -> RealConfig:
        if self.test in self.train:
            raise ValueError(f"the split '{self.test}' is both trained and tested on")
        return self


class TunedConfig(PainterSettings):
    """How the painter of the arms with `painter: tuned` is made of an arm's own photos, and how it paints."""

    start: str = "pocket"
    """As `boxpaint train painter --from`: a bundle, scratch, or a model's folder or id."""
    config: Path | None = None
    """How it paints; without it, the tuned bundle's defaults. Its `bundle` is that of each arm."""
    calibrate_on: Annotated[int, Field(ge=0, le=10_000)] = 24
    """Pictures that are painted to measure sizes, places and boxes by, beside the arm's photos; 0: none is measured."""

    @property
    def settings(self) -> PainterSettings:
        """Those of the training alone."""
        return PainterSettings.model_validate(self.model_dump(include=set(PainterSettings.model_fields)))


class PhotosConfig(_Section):
    """How the arms with `scenes: photos` vary their photos, so that a few give many scenes."""

    crop: Annotated[float, Field(ge=LEAST_CROP, le=1)] = 0.7
    """Least share of a photo's sides that a scene shows."""
    flip: Flip = "none"
    """none: photos have an up."""


class SyntheticConfig(_Section):
    """Painted pictures: a data set that is there, or what to paint."""

    data: Path | None = None
    """A painted data set's folder; without it, one is painted from the CSV files."""
    background: Path | None = None
    classes: Path | None = None
    config: Path | None = None
    """How to paint; without it, the embedded pocket bundle's defaults."""
    num_images: Count | None = None
    """How many to use, or to paint; all where nothing is said."""
    boxes: BoxMode = "calibrated"
    """tight: of the painted pixels; requested: as asked for; calibrated: tight, scaled to how people draw boxes. The
    scale is measured on the real pictures that a training sees; of one on painted pictures alone, on its subset's first
    few (the least of `real_images`), and of the arm `synthetic`, which knows nothing real, boxes stay tight."""
    tuned: TunedConfig | None = None
    photos: PhotosConfig | None = None

    @model_validator(mode="after")
    def _has_a_source(self) -> SyntheticConfig:
        if (self.background is None) != (self.classes is None):
            raise ValueError("background and classes go together")
        return self

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What is not set is not declared: experiment.json stays as it was before there were painters.
        written: dict[str, Any] = write(self)
        return {key: value for key, value in written.items() if value is not None or key not in ("tuned", "photos")}


class DetectorConfig(ModelOptions):
    """Which detector, and what is chosen when it is made."""

    name: str

    @property
    def options(self) -> ModelOptions:
        """All but the name."""
        return ModelOptions.model_validate(self.model_dump(exclude={"name"}))


class RefineConfig(_Section):
    """The second part of the arms `refined`: real pictures only, with a learning rate of its own."""

    steps: Count
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 1e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 10
    freeze_backbone: bool = False
    start_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the weights before in those that are kept: less is forgotten of the painted pictures."""


class MixedConfig(_Section):
    """The arm `mixed`."""

    real_share: Share = 0.5
    """Share of each batch that is real."""


class CopyPasteConfig(_Section):
    """The arm `copy_paste`: objects of the real subset, cut out and pasted on pictures of the same subset.

    The arm `refined_copy_paste` sees the same in its second part.
    """

    num_images: Count = 60
    """Pictures made for each subset."""
    share: Share = 0.5
    """Share of each batch that is pasted pictures; the rest are the originals."""
    objects: tuple[Count, Count] = (1, 4)
    """Least and most objects pasted on a picture."""
    scale: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.8, 1.25)
    max_overlap: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Most of any object's box that a pasted one may cover."""

    @field_validator("objects", "scale")
    @classmethod
    def _is_ordered(cls, pair: tuple[float, float]) -> tuple[float, float]:
        if pair[0] > pair[1]:
            raise ValueError(f"the first number ({pair[0]}) must not be above the second ({pair[1]})")
        return pair


class RealImages(_Section):
    """A number of real training pictures, and how many subsets of that size are drawn."""

    number: Count | Literal["all"]
    subsets: Annotated[int, Field(ge=1, le=1000)] = 3
    refine: RefineConfig | None = None
    """How to refine on so many, where it is not as `refine` says for all."""


class ValueCurveConfig(_Section):
    """How the score grows with the number of painted pictures, next to a few real ones."""

    numbers: tuple[Annotated[int, Field(ge=0)], ...]
    real_images: Count = 5
    subsets: Annotated[int, Field(ge=1, le=1000)] = 3
    arm: Arm = Arm(kind="refined")
    flat_below: Annotated[float, Field(ge=0)] = 0.02
    """A step whose interval has its upper end below this (in AP) is called flat, not only unclear."""

    @field_validator("arm")
    @classmethod
    def _sees_both(cls, arm: Arm) -> Arm:
        if not (arm.traits.real and arm.traits.painted):
            raise ValueError("an arm with painted and real pictures is needed, such as refined")
        return arm

    @field_validator("numbers")
    @classmethod
    def _rises(cls, numbers: tuple[int, ...]) -> tuple[int, ...]:
        if any(after <= before for before, after in itertools.pairwise(numbers)):
            raise ValueError("the numbers must rise")
        if len(numbers) < 2:
            raise ValueError("two numbers or more are needed")
        return numbers


class ExperimentConfig(_Section):
    """A whole experiment. `ExperimentConfig.load(path)` reads YAML."""

    real: RealConfig
    categories: Annotated[tuple[str, ...], _Distinct]
    synthetic: SyntheticConfig
    detector: DetectorConfig
    fit: FitSettings
    refine: RefineConfig
    mixed: MixedConfig = MixedConfig()
    copy_paste: CopyPasteConfig = CopyPasteConfig()
    arms: Annotated[tuple[Arm, ...], _Distinct] = tuple(Arm(kind=kind) for kind in KINDS)
    claim: Arm = Arm(kind="refined")
    """The arm that the verdict speaks of: named before the scores are known, not the one that came out best."""
    real_images: Annotated[tuple[RealImages, ...], _Distinct]
    synthetic_seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    """Trainings of the arm `synthetic`, which has no subsets."""
    bootstrap: Annotated[int, Field(ge=100, le=1_000_000)] = 2000
    """Resamples behind each interval."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that train side by side, each on one thread; the numbers are the same with any number."""
    device: str = "auto"
    value_curve: ValueCurveConfig | None = None
    keep_models: bool = False
    """Keep the weights of every training, not only those that another one starts from."""
    notes: tuple[str, ...] = ()
    """Lines that the card repeats: what a reader must know to judge the numbers."""
    seed: int = Field(default=0, ge=0, le=MAX_SEED)

    @model_validator(mode="after")
    def _fits_together(self) -> ExperimentConfig:
        compared = [arm for arm in self.arms if arm.is_compared]
        if compared and all(arm.traits.painted for arm in self.arms):
            raise ValueError(
                "arms: those on painted and real pictures are compared with one without painted pictures: add real"
            )
        if compared and self.claim not in compared:
            known = ", ".join(arm.name for arm in compared)
            raise ValueError(f"claim: '{self.claim.name}' is not among the arms that the card can speak of: {known}")
        if Arm(kind="calibrated") in self.arms and self.synthetic.boxes != "calibrated":
            raise ValueError(
                f"arms: calibrated is painted pictures with measured boxes, and synthetic.boxes is "
                f"'{self.synthetic.boxes}': name the arms without it"
            )
        own = [arm for arm in self.used_arms if arm.is_own]
        if own and self.synthetic.num_images is None:
            raise ValueError(f"synthetic.num_images: say how many are painted for each arm such as {own[0].name}")
        if self.synthetic.tuned is None and any(arm.painter == "tuned" for arm in own):
            raise ValueError("synthetic.tuned: say how a painter is tuned; {} takes its defaults")
        if self.synthetic.background is None and any(arm.painter == "zero-shot" for arm in own):
            raise ValueError("synthetic: name background and classes, which are painted into photos")
        if any(refine.steps >= self.fit.steps for refine in self._refinings()):
            raise ValueError(f"refine.steps are part of fit.steps ({self.fit.steps}); fewer than those are needed")
        return self

    @classmethod
    def load(
        cls, path: Path, *, real: Path | None = None, synthetic: Path | None = None, workers: int | None = None
    ) -> ExperimentConfig:
        """Read a YAML file; `real`, `synthetic` (data sets) and `workers` go before what it says. Raises ConfigError.

        Paths in the file count from its folder.
        """
        data, lines = read_yaml(path)
        config = fill_model(cls, data, file=str(path), lines=lines)
        of_painted: dict[str, Any] = {
            key: path.parent / value
            for key in ("data", "background", "classes", "config")
            if (value := getattr(config.synthetic, key)) is not None
        }
        tuned = config.synthetic.tuned
        if tuned is not None:
            beside = path.parent / tuned.start
            start = str(beside) if beside.exists() else tuned.start
            how = path.parent / tuned.config if tuned.config is not None else None
            of_painted["tuned"] = tuned.model_copy(update={"start": start, "config": how})
        detector, weights = config.detector, config.detector.checkpoint
        if weights is not None:
            detector = detector.model_copy(update={"pretrained": str(path.parent / weights)})
        return config.model_copy(
            update={
                "detector": detector,
                "real": config.real.model_copy(update={"data": real or path.parent / config.real.data}),
                "synthetic": config.synthetic.model_copy(
                    update={**of_painted, **({"data": synthetic} if synthetic else {})}
                ),
                "workers": workers or config.workers,
            }
        )

    @property
    def used_arms(self) -> tuple[Arm, ...]:
        """Those of the grid, and that of the value curve."""
        return (*self.arms, *((self.value_curve.arm,) if self.value_curve is not None else ()))

    @property
    def uses_painted(self) -> bool:
        """Whether any part of it needs the painted pictures that all arms may see."""
        return any(arm.traits.painted and not arm.is_own for arm in self.used_arms)

    @property
    def fewest_real(self) -> int | None:
        """The least number of real pictures that a training sees; None where each sees all."""
        return min((wish.number for wish in self.real_images if wish.number != "all"), default=None)

    def refine_of(self, number: int, available: int) -> RefineConfig:
        """How the arms `refined` go on with `number` of `available` real pictures."""
        wishes = {available if wish.number == "all" else wish.number: wish for wish in self.real_images}
        wish = wishes.get(number)
        return wish.refine if wish is not None and wish.refine is not None else self.refine

    def _refinings(self) -> list[RefineConfig]:
        return [self.refine, *(wish.refine for wish in self.real_images if wish.refine is not None)]
