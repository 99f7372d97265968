"""Painted pictures that know real ones: by a painter that was tuned on an arm's own photos, or painted into these.

All of it hangs on the photos of one subset and on nothing else, so that no arm knows what it does not own. What is
finished is recognised by the digest of what decides it, and shared by the arms that need it:

photos/<digest>/         the photos of one number and subset, as a data set
painters/<digest>/       the bundle that was tuned on them
scenarios/<digest>/      CSV files and calibration.json, measured on them; trial/: pictures that were painted to measure
paintings/<digest>/      the painted data set
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from detection.calibration.classes import measure_classes
from detection.calibration.scale import OVERLAY, measure_scales, write_overlay
from detection.calibration.scenario import class_rows, tables
from detection.datasets.boxes import painted_only, tight_boxes
from detection.datasets.categories import choose_categories
from detection.datasets.read import read_detection_set
from detection.datasets.sources import Source
from detection.datasets.types import DetectionDataset, digest_of_set
from detection.datasets.write import write_coco
from detection.experiment.config import ExperimentConfig, PhotosConfig, SyntheticConfig, TunedConfig
from detection.experiment.jobs import (
    PAINTER,
    PAINTING,
    Job,
    PaintedSet,
    Painting,
    Tuning,
    choose_subset,
    shuffle_painted,
)
from detection.painter.run import base_of, train_painter
from detection.painter.settings import SCRATCH
from detection.painter.settings import Listener as PainterListener
from generator.audit.files import read_audit
from generator.config import AuditConfig, Config, ModelsConfig
from generator.dataset.folder import RunFolder
from generator.foundation.errors import BoxpaintError
from generator.foundation.seeds import derive_seed
from generator.foundation.storage import atomic_folder, make_folder, translate_os_errors, write_text
from generator.foundation.version import __version__
from generator.models.weights import fingerprint
from generator.plan import Plan
from generator.run import Listener, generate
from generator.spec import Spec, load_spec
from generator.spec.calibration import CALIBRATION, write_calibration
from generator.spec.photos import find_photos
from generator.spec.references import COCO_PREFIX

PHOTOS, PAINTERS, SCENARIOS, PAINTINGS = "photos", "painters", "scenarios", "paintings"
_SPLIT, _TRIAL = "train", "trial"


class PaintingListener(Listener):
    """What is told while painters are tuned and their pictures painted; override what is of interest."""

    def on_painting(self, painting: Painting, done: int, total: int) -> None:
        """One more set of painted pictures begins; `done` of `total` are there."""

    def on_paintings_end(self, total: int) -> None:
        """All of them are there."""

    def on_tuning(self, step: int, steps: int, loss: float) -> None:
        """A painter was tuned for so many steps."""

    def on_measuring(self, what: str, done: int, total: int) -> None:
        """Real and painted objects are measured."""


class _Tuned(PainterListener):
    def __init__(self, listener: PaintingListener):
        self._listener, self._steps = listener, 0

    def on_stage(self, text: str, /) -> None:
        self._listener.on_note(text)

    def on_start(self, steps: int, _finished: int, /) -> None:
        self._steps = steps

    def on_step(self, step: int, loss: float, /) -> None:
        self._listener.on_tuning(step, self._steps, loss)


def check_paintings(
    config: ExperimentConfig, train: DetectionDataset, jobs: Iterable[Job], device: torch.device
) -> list[Painting]:
    """List what has to be painted for `jobs`, the simplest first. Raises BoxpaintError where that cannot be."""
    wanted = {job.painting for job in jobs if job.painting is not None}
    ordered = sorted(wanted, key=lambda each: (each.number, each.subset, each.painter == "tuned", each.scenes))
    for painting in ordered:
        if painting.painter == "tuned":
            counts = choose_subset(train, config.seed, painting.subset, painting.number).counts()
            missing = [name for name, count in counts.items() if not count]
            if missing:
                raise BoxpaintError(
                    f"real_images: the {painting.number} pictures of subset {painting.subset} hold no "
                    f"{' and no '.join(missing)}, and a painter cannot be tuned on what it never saw; take more of them"
                )
    if tuned := config.synthetic.tuned:
        base, _ = base_of(tuned.start, device)
        Config.load(tuned.config, bundle=base.bundle)
    if any(painting.painter == "zero-shot" for painting in ordered):
        how, spec = _given(config.synthetic)
        how.check_domain(spec)
    return ordered


def paint(
    paintings: Iterable[Painting],
    config: ExperimentConfig,
    train: DetectionDataset,
    out: Path,
    *,
    digests: Mapping[str, str],
    device: torch.device,
    listener: PaintingListener,
) -> dict[Painting, PaintedSet]:
    """Tune and paint what is not there yet, one after the other; `digests` are SHA-256 of the pictures of `train`.

    Raises BoxpaintError; KeyboardInterrupt leaves what is finished, and the same call goes on.
    """
    studio = _Studio(config=config, train=train, out=out, digests=digests, device=device, listener=listener)
    wanted, made = list(paintings), dict[Painting, PaintedSet]()
    for painting in wanted:
        listener.on_painting(painting, len(made), len(wanted))
        made[painting] = studio.paint(painting)
    if made:
        listener.on_paintings_end(len(made))
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Studio:
    """Where pictures are painted, and all that decides them."""

    config: ExperimentConfig
    train: DetectionDataset
    out: Path
    digests: Mapping[str, str]
    device: torch.device
    listener: PaintingListener

    def paint(self, painting: Painting) -> PaintedSet:
        photos = choose_subset(self.train, self.config.seed, painting.subset, painting.number)
        digest = digest_of_set(photos, (self.digests[str(sample.path)] for sample in photos.samples))[:12]
        folder = self.out / PHOTOS / digest
        _write_photos(photos, folder)
        photos = self._read(folder)
        settings, seed = self.config.synthetic, derive_seed(self.config.seed, PAINTING, painting.subset)
        tuning = None
        if painting.painter == "tuned":
            if settings.tuned is None:  # ExperimentConfig refuses that
                raise ValueError("synthetic.tuned")
            tuning = self._tune(photos, digest, settings.tuned, painting.subset)
            how = Config.load(settings.tuned.config, bundle=str(tuning.folder), seed=seed)
            spec = self._scenario(photos, folder, settings.tuned, how, painting)
        else:
            how, spec = _given(settings)
            how, spec = how.model_copy(update={"seed": seed}), self._into_photos(spec, folder)
        place = self.out / PAINTINGS / _digest([spec.digest, *_identity(how)])
        dataset = generate(spec, how, place, allow_leak=True, listener=self.listener)
        if dataset.problem:
            raise BoxpaintError(dataset.problem)
        data, audit = self._read(place), read_audit(place)
        timings = RunFolder.open(place, Plan(spec=spec, config=how)).read_timings()
        return PaintedSet(
            data=shuffle_painted(data, self.config.seed, len(data)),
            folder=place,
            photos=folder,
            seconds=sum(sum(line["seconds"].values()) for line in timings),
            leak=audit.leak.value if audit is not None and audit.leak is not None else None,
            tuning=tuning,
        )

    def _tune(self, photos: DetectionDataset, digest: str, tuned: TunedConfig, subset: int) -> Tuning:
        seed = derive_seed(self.config.seed, PAINTER, subset)
        base, is_large = base_of(tuned.start, self.device)
        decides = [
            *(__version__, torch.__version__, self.device.type, digest, seed, tuned.start == SCRATCH),
            tuned.settings.model_dump(mode="json"),
            # Of one that may have to be downloaded first, what it is called.
            *(_settings_of(base) if is_large else _identity(base)),
        ]
        result = train_painter(
            photos,
            self.out / PAINTERS / _digest(decides),
            tuned.settings,
            start=tuned.start,
            device=self.device,
            seed=seed,
            listener=_Tuned(self.listener),
        )
        return Tuning(folder=result.folder, seconds=result.seconds, numbers=result.numbers, remarks=result.remarks)

    def _scenario(
        self, photos: DetectionDataset, photos_folder: Path, tuned: TunedConfig, how: Config, painting: Painting
    ) -> Spec:
        """Measure a scenario on photos, paint a few pictures with it, and calibrate it by these."""
        varied = self._varied.model_dump(mode="json") if painting.scenes == "photos" else None
        decides = photos_folder.name, *_identity(how), varied, tuned.calibrate_on, self._num_images, __version__
        digest = _digest(decides)
        folder = make_folder(self.out / SCENARIOS / digest)
        source = Source(role="real", path=photos_folder, splits=(_SPLIT,), data=photos)
        # What a captioner says of crops, the painter's own words say better.
        rows = class_rows(source, folder, how.canvas_wh, with_references=False)
        files = tables(rows, scene=how.card.scene, num_imgs=self._num_images, words=how.card.classes)
        for name, text in files.items():
            write_text(folder / name, text)

        def read() -> Spec:
            spec = load_spec(folder / "background.csv", folder / "classes.csv", canvas_wh=how.canvas_wh)
            return self._into_photos(spec, photos_folder) if painting.scenes == "photos" else spec

        if tuned.calibrate_on and not (folder / CALIBRATION).exists():
            self._calibrate(folder, photos, read(), how, tuned.calibrate_on)
        return read()

    def _calibrate(self, folder: Path, photos: DetectionDataset, spec: Spec, how: Config, scenes: int) -> None:
        """As `boxpaint calibrate`, by a few pictures that are painted for it."""
        quiet = how.model_copy(update={"audit": AuditConfig(scenes=0)})
        dataset = generate(spec, quiet, folder / _TRIAL, limit=scenes, listener=self.listener)
        if dataset.problem:
            raise BoxpaintError(dataset.problem)
        painted = tight_boxes(painted_only(self._read(dataset.folder)))
        readings = measure_scales(photos, painted, on_progress=self.listener.on_measuring)
        scales = {name: reading.scale for name, reading in readings.items()}
        found = measure_classes(photos, painted, scales, on_progress=self.listener.on_measuring)
        write_overlay(folder / OVERLAY, readings)
        write_calibration(folder / CALIBRATION, found, real=f"{len(photos)} photos of the arm")

    def _into_photos(self, spec: Spec, photos: Path) -> Spec:
        found = find_photos(f"{COCO_PREFIX}{photos}#{_SPLIT}", Path())
        return spec.in_photos(found, self._num_images, min_crop=self._varied.crop, flip=self._varied.flip)

    @property
    def _varied(self) -> PhotosConfig:
        return self.config.synthetic.photos or PhotosConfig()

    @property
    def _num_images(self) -> int:
        return self.config.synthetic.num_images or 0  # ExperimentConfig refuses that

    def _read(self, folder: Path) -> DetectionDataset:
        return choose_categories(read_detection_set(folder), self.config.categories, where=str(folder))


def _given(settings: SyntheticConfig) -> tuple[Config, Spec]:
    """How a zero-shot painter paints, and what."""
    how = Config.load(settings.config)
    if settings.background is None or settings.classes is None:  # ExperimentConfig refuses that
        raise ValueError("synthetic.background")
    return how, load_spec(settings.background, settings.classes, canvas_wh=how.canvas_wh)


def _write_photos(photos: DetectionDataset, folder: Path) -> None:
    """Lay a subset down as a data set, unless it is there."""
    if folder.is_dir():
        return
    with atomic_folder(folder) as new:
        images, samples = make_folder(new / "images"), []
        for position, sample in enumerate(photos.samples):
            path = images / f"{position:03d}-{sample.path.name}"
            with translate_os_errors(sample.path):
                shutil.copyfile(sample.path, path)
            samples.append(replace(sample, path=path))
        write_coco({_SPLIT: replace(photos, samples=tuple(samples))}, new, description="photos of an experiment")


def _identity(how: Config) -> list[Any]:
    """All that decides what is painted, besides the spec; where a bundle lies does not count."""
    models = {role: fingerprint(ref) for role in ModelsConfig.model_fields if (ref := getattr(how.models, role))}
    return [*_settings_of(how), models]


def _settings_of(how: Config) -> list[Any]:
    return [{key: value for key, value in how.identity().items() if key != "bundle"}]


def _digest(decides: Any) -> str:
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]
