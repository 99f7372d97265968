"""The pictures of an experiment: real ones read or imported, painted ones read or painted."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

from detection.datasets.read import read_detection_set
from detection.datasets.types import DetectionSet
from detection.experiment.config import ExperimentConfig, RealConfig, SyntheticConfig
from detection.experiment.jobs import Materials
from detection.experiment.subsets import shuffle_painted
from detection.importers.run import import_set
from detection.importers.types import ImportOptions
from generator.config import Config
from generator.errors import BoxpaintError, DatasetError, Fault
from generator.run import Listener, generate
from generator.spec import load_spec
from generator.storage import sha256_of
from generator.validation import find_annotation_files

IMPORTED, PAINTED = "real", "painted"


def gather(config: ExperimentConfig, out: Path, *, listener: Listener) -> Materials:
    """Get all pictures ready; paints what is to be painted. Raises BoxpaintError."""
    train, test = read_real(config.real, config.categories, out)
    painted = None
    if config.uses_painted:
        painted = read_painted(config, out, listener=listener)
    sets = [data for data in (train, test, painted) if data is not None]
    paths = dict.fromkeys(str(sample.path) for data in sets for sample in data.samples)
    digests = {path: sha256_of(Path(path)) for path in paths}
    seen = {digests[str(sample.path)] for sample in test.samples}
    leaked = [
        sample for data in (train, painted) if data for sample in data.samples if digests[str(sample.path)] in seen
    ]
    if leaked:
        expected = f"{len(leaked)} training pictures are test pictures, too; they must not be"
        raise DatasetError([Fault(file=str(leaked[0].path), expected=expected)])
    return Materials(config=config, train=train, test=test, painted=painted, digests=digests)


def read_real(real: RealConfig, categories: tuple[str, ...], out: Path) -> tuple[DetectionSet, DetectionSet]:
    """Read real pictures to train with, and those to score on; what is not in COCO form is imported into out/real.

    Raises DatasetError, also when a category has no object on one of the sides.
    """
    try:
        find_annotation_files(real.data)
        folder = real.data
    except DatasetError:
        # Anew each time, in seconds: nobody needs to know whether the source has changed since.
        folder = import_set(real.data, out / IMPORTED, ImportOptions(overwrite=True)).folder

    def read(split: str) -> DetectionSet:
        return read_detection_set(folder, split=split, categories=categories, rename=real.rename)

    train, test = reduce(DetectionSet.joined, map(read, real.train)), read(real.test)
    for data, name in ((train, "training"), (test, "test")):
        missing = [category for category, count in data.counts().items() if not count]
        if missing:
            expected = f"the {name} pictures hold no {' and no '.join(missing)}; check real.rename and categories"
            raise DatasetError([Fault(file=str(folder), expected=expected)])
    return train, test


def read_painted(config: ExperimentConfig, out: Path, *, listener: Listener) -> DetectionSet:
    """Read painted pictures, painted first where no data set is given; in an order of the seed's."""
    settings = config.synthetic
    folder = settings.data or _paint(settings, out / PAINTED, listener=listener)
    data = shuffle_painted(read_detection_set(folder, categories=config.categories), config.seed)
    if settings.num_images is not None and settings.num_images > len(data):
        expected = f"synthetic.num_images: {settings.num_images} are asked for, {len(data)} are there"
        raise DatasetError([Fault(file=str(folder), expected=expected)])
    return data.choose(range(settings.num_images or len(data)))


def _paint(settings: SyntheticConfig, folder: Path, *, listener: Listener) -> Path:
    if settings.background is None or settings.classes is None:
        raise BoxpaintError(
            "synthetic: name a painted data set (data, or --synthetic), or background and classes to paint one from"
        )
    painting = Config.load(settings.config)
    spec = load_spec(settings.background, settings.classes, canvas_wh=painting.canvas_wh)
    return generate(spec, painting, folder, limit=settings.num_images, listener=listener).folder
