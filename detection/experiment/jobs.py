"""What has to be trained: jobs that may start from each other, each known by everything that decides its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from detection.datasets.types import DetectionDataset, digest_of_set
from detection.detectors.settings import FitSettings
from detection.experiment.config import (
    Arm,
    ExperimentConfig,
    Kind,
    Painter,
    RefineConfig,
    Scenes,
    Traits,
    ValueCurveConfig,
    how_painted,
    own_words,
)
from generator.foundation.seeds import derive_rng
from generator.foundation.version import __version__

# To be raised when equal settings train otherwise than before: old results are then not taken for new ones.
RECIPE = 2
# Of the settings of a training, those that change nothing but its speed or safety.
_INDIFFERENT = {"checkpoint_every", "workers", "validate_every", "patience"}
# Positions below the experiment's seed, see generator/foundation/seeds.py.
SUBSET, TRAINING, PAINTED_ORDER, PASTING, RESAMPLING, PAINTER, PAINTING = range(7)
# What a pretraining sees, and those that start from it.
_PRETRAINING = Traits(title="", colour="", real=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Painting:
    """Painted pictures that know real ones: who paints them into what, and the `number` real pictures of `subset`."""

    painter: Painter
    scenes: Scenes
    number: int
    subset: int

    @property
    def words(self) -> tuple[str, ...]:
        """How its arms are called beside their kind."""
        return own_words(self.painter, self.scenes)

    @property
    def title(self) -> str:
        """For people, such as "tuned in photos"."""
        return how_painted(self.painter, self.scenes)

    @property
    def name(self) -> str:
        """Unique within an experiment, such as tuned+photos-real5-seed0."""
        return f"{'+'.join(self.words)}-real{self.number}-seed{self.subset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training.

    `number`: real pictures that it sees; `painted`: painted pictures that it sees, the first so many; `subset`: which
    real pictures, and its seed; `measured`: real pictures that the scale of painted boxes is measured on; `refine`: how
    an arm that refines divides its steps; `start`: the job whose weights it goes on from; `painting`: which painted
    pictures, None for those that every arm may see.
    """

    kind: Kind | Literal["pretrain"]
    number: int
    painted: int
    subset: int
    measured: int = 0
    refine: RefineConfig | None = None
    start: Job | None = None
    painting: Painting | None = None

    @property
    def name(self) -> str:
        """Unique within an experiment."""
        before = f"-before{self.refine.steps}" if self.kind == "pretrain" and self.refine is not None else ""
        what = "+".join([self.kind, *(self.painting.words if self.painting is not None else ())])
        return f"{what}-real{self.known}-painted{self.painted}{before}-seed{self.subset}"

    @property
    def arm(self) -> Arm:
        """Of a job that is no pretraining."""
        if self.kind == "pretrain":
            raise ValueError(f"{self.name} is of no arm")
        if self.painting is None:
            return Arm(kind=self.kind)
        return Arm(kind=self.kind, painter=self.painting.painter, scenes=self.painting.scenes)

    @property
    def traits(self) -> Traits:
        """What it sees."""
        return _PRETRAINING if self.kind == "pretrain" else self.arm.traits

    @property
    def known(self) -> int:
        """Real pictures that it knows: those that it sees, or that its own painted pictures were made from."""
        return max(self.number, self.painting.number if self.painting is not None else 0)

    @property
    def all_measured(self) -> int:
        """Real pictures that its painted boxes are measured on, also those of the job that it starts from."""
        return max(self.measured, self.start.measured if self.start is not None else 0)

    def settings(self, config: ExperimentConfig) -> FitSettings:
        """How it trains: every arm as many steps in all."""
        if self.refine is None:
            return config.fit
        if self.kind == "pretrain":
            return config.fit.model_copy(update={"steps": config.fit.steps - self.refine.steps})
        return config.fit.model_copy(update=self.refine.model_dump())

    def to_json(self) -> dict[str, Any]:
        """Plain data that says the same."""
        refine = self.refine.model_dump(mode="json") if self.refine is not None else None
        start = self.start.to_json() if self.start is not None else None
        plain = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "painting"}
        painting = {"painting": asdict(self.painting)} if self.painting is not None else {}
        return {**plain, "refine": refine, "start": start, **painting}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How a painter was tuned: its folder, how long that took, its held-out figures, and what it says of itself."""

    folder: Path
    seconds: float
    numbers: Mapping[str, float]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaintedSet:
    """Painted pictures that know real ones, in the order in which a value curve takes them, and how they were made.

    `photos`: folder of the real ones, as a data set; `seconds`: of one process, for all pictures; `leak`: AUC with
    which the audit finds where was painted, None where it could not judge; `tuning`: None of a zero-shot painter.
    """

    data: DetectionDataset
    folder: Path
    photos: Path
    seconds: float
    leak: float | None
    tuning: Tuning | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Materials:
    """Everything that jobs are made from; sent once to every process."""

    config: ExperimentConfig
    train: DetectionDataset
    """All real training pictures."""
    test: DetectionDataset
    painted: DetectionDataset | None
    """Those that every arm may see, in the order in which a value curve takes them."""
    digests: Mapping[str, str]
    """SHA-256 of every picture's file, by its path."""
    device: str
    """The one that trainings run on, such as cpu or cuda:1: 'auto' says nothing of what decides their numbers."""
    torch_version: str
    weights: Mapping[str, str] = field(default_factory=dict)
    """Digests of the files of the checkpoint that fresh detectors start from, where it is one of the user's."""
    own: Mapping[Painting, PaintedSet] = field(default_factory=dict)
    """Painted pictures that know real ones."""
    remarks: tuple[str, ...] = ()
    """What reading the pictures brought up, for terminal and card."""

    @property
    def num_painted(self) -> int:
        """Painted pictures that an arm may see, whoever painted them."""
        return self.config.synthetic.num_images or len(self.painted or ())

    def real_of(self, job: Job) -> DetectionDataset | None:
        """The real pictures that a job may see."""
        return self.subset(job.subset, job.number) if job.number else None

    def measured_of(self, job: Job) -> DetectionDataset | None:
        """The real pictures that the scale of a job's painted boxes is measured on."""
        return self.subset(job.subset, job.measured) if job.measured else None

    def painted_of(self, job: Job) -> DetectionDataset | None:
        """The painted pictures that a job may see, with the boxes that they came with."""
        painted = self.painted if job.painting is None else self.own[job.painting].data
        return painted.choose(range(job.painted)) if painted is not None and job.painted else None

    def subset(self, subset: int, number: int) -> DetectionDataset:
        """So many real training pictures of a subset."""
        return choose_subset(self.train, self.config.seed, subset, number)

    def data_digest(self, data: DetectionDataset) -> str:
        """First 16 hex digits of what identifies pictures and labels."""
        return digest_of_set(data, (self.digests[str(sample.path)] for sample in data.samples))[:16]

    def identity(self, job: Job) -> dict[str, Any]:
        """Everything that decides the numbers of a job, as plain data."""
        config, real, painted = self.config, self.real_of(job), self.painted_of(job)
        identity: dict[str, Any] = {
            "recipe": RECIPE,
            "boxpaint": __version__,
            "kind": job.kind,
            "seed": [config.seed, job.subset],
            "detector": config.detector.model_dump(mode="json"),
            "device": self.device.partition(":")[0],
            "torch": self.torch_version,
            "fit": job.settings(config).model_dump(mode="json", by_alias=True, exclude=_INDIFFERENT),
            "test": self.data_digest(self.test),
        }
        if self.weights:
            identity["weights"] = dict(self.weights)
        if real is not None:
            identity["real"] = self.data_digest(real)
        if painted is not None:
            identity["painted"] = self.data_digest(painted)
            identity["boxes"] = config.synthetic.boxes
            measured = self.measured_of(job)
            if measured is not None and config.synthetic.boxes == "calibrated":
                identity["measured"] = self.data_digest(measured)
        if job.traits.pastes:
            identity["copy_paste"] = config.copy_paste.model_dump(mode="json")
        if job.kind == "mixed":
            identity["mixed"] = config.mixed.model_dump(mode="json")
        if job.painting is not None:
            identity["painting"] = {**asdict(job.painting), "words": job.painting.words}
        if job.start is not None:
            identity["start"] = self.digest(job.start)
        return identity

    def digest(self, job: Job) -> str:
        """First 12 hex digits of the SHA-256 of a job's identity."""
        return hashlib.sha256(json.dumps(self.identity(job), sort_keys=True).encode()).hexdigest()[:12]


def plan_grid(config: ExperimentConfig, available: int, painted: int) -> list[Job]:
    """Jobs of the arms at every number of real pictures; `available` real ones and `painted` ones are there.

    An arm that sees no real pictures but was painted by a tuned painter, or into photos, is at their number, too.
    """
    jobs = []
    if Arm(kind="synthetic") in config.arms:
        jobs += [
            Job(kind="synthetic", number=0, painted=painted, subset=seed) for seed in range(config.synthetic_seeds)
        ]
    fewest = config.fewest_real or available
    for wish in config.real_images:
        number = available if wish.number == "all" else wish.number
        for arm in config.arms:
            if arm.name != "synthetic" and (arm.kind != "calibrated" or number == fewest):
                of_arm = painted if arm.traits.painted else 0
                jobs += [job_of(config, arm, number, of_arm, subset, available) for subset in range(wish.subsets)]
    return jobs


def plan_point(config: ExperimentConfig, curve: ValueCurveConfig, painted: int, available: int) -> list[Job]:
    """Jobs of one point of the value curve.

    Without painted pictures it is the arm `real`, and `copy_paste` where that is among the arms: the better of the two
    is what painted pictures have to beat.
    """
    arms = [curve.arm]
    if not painted:
        copying = Arm(kind="copy_paste")
        arms = [Arm(kind="real"), *([copying] if copying in config.arms else [])]
    return [
        job_of(config, arm, curve.real_images, painted, subset, available)
        for arm in arms
        for subset in range(curve.subsets)
    ]


def job_of(config: ExperimentConfig, arm: Arm, number: int, painted: int, subset: int, available: int) -> Job:
    """Make a job with real pictures.

    One that refines starts from the pretraining of its seed and length. The pretraining's boxes are measured on the
    fewest real pictures that any job of this subset sees, so that all numbers of pictures share it. Painted pictures
    that know real ones are each number's own, and so is the pretraining on them: what they are measured on is all that
    they know.
    """
    traits, fewest = arm.traits, min(number, config.fewest_real or available)
    refine = config.refine_of(number, available) if traits.refines else None
    painting, start = None, None
    if arm.is_own:
        painting = Painting(painter=arm.painter, scenes=arm.scenes, number=number, subset=subset)
    if refine is not None:
        start = Job(
            kind="pretrain",
            number=0,
            painted=painted,
            subset=subset,
            measured=number if arm.is_own else fewest,
            # Of `refine` only what decides the pretraining, so that equal ones are one job.
            refine=RefineConfig(steps=refine.steps),
            painting=painting,
        )
    measured = {"nothing": 0, "fewest": fewest, "all": number}[traits.measures]
    return Job(
        kind=arm.kind,
        number=number if traits.real else 0,
        painted=painted,
        subset=subset,
        measured=number if arm.is_own and not traits.refines else measured,
        refine=refine,
        start=start,
        painting=painting,
    )


def subset_order(data: DetectionDataset, seed: int, subset: int) -> list[int]:
    """Positions of all pictures in the order in which subset number `subset` takes them, the same for every arm.

    A shuffle; but pictures that bring a category which none before them shows come first, so that three pictures hold
    every category wherever that is possible. The first n of the order are the subset of n pictures: a larger subset
    of the same number holds the smaller one.
    """
    shuffled = [int(position) for position in derive_rng(seed, SUBSET, subset).permutation(len(data))]
    first: list[int] = []
    seen: set[int] = set()
    for position in shuffled:
        labels = {int(label) for label in data.samples[position].labels}
        if not labels <= seen:
            first.append(position)
            seen |= labels
    return [*first, *(position for position in shuffled if position not in first)]


def choose_subset(data: DetectionDataset, seed: int, subset: int, number: int) -> DetectionDataset:
    """Subset `subset` of `number` pictures. Raises ValueError when there are not so many."""
    if number > len(data):
        raise ValueError(f"{number} of {len(data)} pictures")
    return data.choose(subset_order(data, seed, subset)[:number])


def shuffle_painted(data: DetectionDataset, seed: int, number: int) -> DetectionDataset:
    """The first so many painted pictures by name, in an order of the seed's.

    By name, so that a folder that holds more gives what one that was painted with so many does; shuffled, since scenes
    of one prompt lie together on disk, and the value curve takes the first ones.
    """
    names = [sample.path.name for sample in data.samples]
    by_name = sorted(range(len(data)), key=names.__getitem__)[:number]
    order = derive_rng(seed, PAINTED_ORDER).permutation(number)
    return data.choose(int(position) for position in np.array(by_name)[order])
