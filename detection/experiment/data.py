"""The pictures of an experiment: real ones read or imported, painted ones read or painted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import torch

from detection.datasets.categories import choose_categories, rename_categories
from detection.datasets.near_duplicates import near_duplicate_groups
from detection.datasets.read import read_detection_set
from detection.datasets.types import DetectionDataset
from detection.experiment.checks import check_numbers, check_training
from detection.experiment.config import ExperimentConfig, RealConfig, SyntheticConfig
from detection.experiment.jobs import Materials
from detection.experiment.subsets import shuffle_painted
from detection.formats.importing import ImportOptions, ImportReport, import_set
from detection.runs.folder import digests_of, read_used
from generator.config import Config
from generator.foundation.coco import find_annotation_files, read_coco
from generator.foundation.errors import BoxpaintError, DatasetError, Fault, RunMismatchError
from generator.foundation.storage import sha256_of
from generator.run import Listener, generate
from generator.spec import load_spec

IMPORTED, PAINTED = "real", "painted"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealPictures:
    """Real pictures to train with and to score on; `remarks` is what a reader of the scores must know of them."""

    train: DetectionDataset
    test: DetectionDataset
    remarks: tuple[str, ...]


def gather(config: ExperimentConfig, out: Path, *, listener: Listener) -> Materials:
    """Get all pictures ready; paints what is to be painted, if everything else fits. Raises BoxpaintError."""
    real = read_real(config.real, config.categories, out)
    device = check_training(config)
    check_numbers(config, available=len(real.train), painted=config.synthetic.num_images)
    painted = None
    if config.uses_painted:
        painted = read_painted(config, out, listener=listener)
        check_numbers(config, available=len(real.train), painted=len(painted))
    sets = [data for data in (real.train, real.test, painted) if data is not None]
    paths = dict.fromkeys(str(sample.path) for data in sets for sample in data.samples)
    digests = {path: sha256_of(Path(path)) for path in paths}
    seen = {digests[str(sample.path)] for sample in real.test.samples}
    leaked = [sample for sample in (painted.samples if painted else ()) if digests[str(sample.path)] in seen]
    if leaked:
        expected = f"{len(leaked)} painted pictures are test pictures, too; they must not be"
        raise DatasetError([Fault(file=str(leaked[0].path), expected=expected)])
    weights = config.detector.checkpoint
    if weights is not None:
        _check_not_seen(weights, seen)
    return Materials(
        config=config,
        train=real.train,
        test=real.test,
        painted=painted,
        digests=digests,
        device=str(device),
        torch_version=torch.__version__,
        weights=digests_of(weights) if weights is not None else {},
        remarks=real.remarks,
    )


def _check_not_seen(weights: Path, test: Collection[str]) -> None:
    """Raise DatasetError when the training of a checkpoint has seen one of the test pictures (digests)."""
    seen = [used for used in read_used(weights) if used.sha256 in test]
    if seen:
        expected = f"{len(seen)} test pictures were trained or validated on there, such as {seen[0].picture}"
        raise DatasetError([Fault(file=str(weights), column="detector.pretrained", expected=expected)])


def read_real(real: RealConfig, categories: tuple[str, ...], out: Path) -> RealPictures:
    """Read real pictures; what is not a folder in whole COCO form is imported into out/real.

    Training pictures that show nearly the same as a test picture are left out. Raises DatasetError, also when a
    category has no object on one of the sides.
    """
    folder, remarks = real.data, []
    if not _is_coco(folder):
        # Anew each time, in seconds: nobody needs to know whether the source has changed since.
        report = import_set(real.data, out / IMPORTED, ImportOptions(overwrite=True))
        folder, remarks = report.folder, _of_import(report)

    def read(split: str) -> DetectionDataset:
        data = rename_categories(read_detection_set(folder, split=split), real.rename)
        return choose_categories(data, categories, where=f"{folder}, split {split}", rename_with="real.rename")

    train, test = reduce(DetectionDataset.joined, map(read, real.train)), read(real.test)
    train, leaks = _without_seen(train, test)
    for data, name in ((train, "training"), (test, "test")):
        missing = [category for category, count in data.counts().items() if not count]
        if missing:
            expected = f"the {name} pictures hold no {' and no '.join(missing)}; check real.rename and categories"
            expected += f"; {leaks[0]}" if leaks else ""
            raise DatasetError([Fault(file=str(folder), expected=expected)])
    return RealPictures(train=train, test=test, remarks=(*remarks, *leaks))


def read_painted(config: ExperimentConfig, out: Path, *, listener: Listener) -> DetectionDataset:
    """Read painted pictures, painted first where no data set is given; in an order of the seed's."""
    settings = config.synthetic
    folder = settings.data or _paint(settings, out / PAINTED, listener=listener)
    data = choose_categories(
        read_detection_set(folder), config.categories, where=str(folder), rename_with="categories in the YAML"
    )
    if settings.num_images is not None and settings.num_images > len(data):
        expected = f"synthetic.num_images: {settings.num_images} are asked for, {len(data)} are there"
        raise DatasetError([Fault(file=str(folder), expected=expected)])
    return shuffle_painted(data, config.seed, settings.num_images or len(data))


def _is_coco(path: Path) -> bool:
    """Whether it is a folder that can be read as it is: annotations with all that they need, split by their files."""
    if not path.is_dir():
        return False
    try:
        for file in find_annotation_files(path):
            read_coco(file)
    except DatasetError:
        return False
    return True


def _of_import(report: ImportReport) -> list[str]:
    """What came in, and each kind of case."""
    counts = ", ".join(
        f"{found.written} of {found.source} {name}"
        for found, name in ((report.pictures, "pictures"), (report.objects, "objects"))
    )
    lines = [f"imported as {report.format} ({report.evidence}): {counts}; splits {report.splits_are}"]
    for what, done, cases, lost_pictures, lost_objects, example in report.kinds():
        lost = f", {lost_pictures} pictures and {lost_objects} objects lost" if done == "dropped" else ""
        lines.append(f"import: {cases} x {what} ({done}{lost}), such as {example}")
    return lines


def _without_seen(train: DetectionDataset, test: DetectionDataset) -> tuple[DetectionDataset, list[str]]:
    """Leave out training pictures that look like a test picture: the score would be of what was learnt by heart."""
    groups = near_duplicate_groups(sample.path for data in (test, train) for sample in data.samples)
    of_test = dict(zip(groups[: len(test)], test.samples, strict=True))
    of_train = groups[len(test) :]
    left_out = [
        f"{sample.path.name} (as {of_test[group].path.name})"
        for sample, group in zip(train.samples, of_train, strict=True)
        if group in of_test
    ]
    if not left_out:
        return train, []
    kept = train.choose(number for number, group in enumerate(of_train) if group not in of_test)
    what = f"{len(left_out)} training pictures show nearly the same as a test picture and are left out"
    return kept, [f"{what}: {', '.join(left_out)}"]


def _paint(settings: SyntheticConfig, folder: Path, *, listener: Listener) -> Path:
    if settings.background is None or settings.classes is None:
        raise BoxpaintError(
            "synthetic: name a painted data set (data, or --synthetic), or background and classes to paint one from"
        )
    painting = Config.load(settings.config)
    spec = load_spec(settings.background, settings.classes, canvas_wh=painting.canvas_wh)
    try:
        dataset = generate(spec, painting, folder, limit=settings.num_images, listener=listener)
    except RunMismatchError as error:
        if not error.differences:
            raise
        advice = "remove that folder to paint anew, or choose another --out. The differences:"
        raise RunMismatchError(f"{folder} was painted with other settings; {advice}", error.differences) from None
    if dataset.problem:
        raise BoxpaintError(dataset.problem)
    return dataset.folder
