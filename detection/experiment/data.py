"""The pictures of an experiment: real ones read or imported, painted ones read or painted.

What an experiment cannot do is said before hours of painting and training, not in the middle of them.
"""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import torch

from detection.datasets.categories import choose_categories, rename_categories
from detection.datasets.near_duplicates import near_duplicate_groups
from detection.datasets.read import read_detection_set
from detection.datasets.types import DetectionDataset
from detection.detectors.registry import make_detector
from detection.experiment.config import ExperimentConfig, RealConfig, SyntheticConfig
from detection.experiment.jobs import Job, Materials, plan_grid, plan_point, shuffle_painted
from detection.experiment.paintings import PaintingListener, check_paintings, paint
from detection.formats.importing import ImportOptions, ImportReport, import_set
from detection.runs.folder import digests_of, read_used
from generator.config import Config
from generator.foundation.coco import find_annotation_files, read_coco
from generator.foundation.device import choose_device
from generator.foundation.errors import BoxpaintError, DatasetError, Fault, RunMismatchError
from generator.foundation.storage import sha256_of
from generator.run import Listener, generate
from generator.spec import load_spec

IMPORTED, PAINTED = "real", "painted"


def gather(config: ExperimentConfig, out: Path, *, listener: PaintingListener) -> Materials:
    """Get all pictures ready; paints what is to be painted, if everything else fits. Raises BoxpaintError."""
    train, test, remarks = read_real(config.real, config.categories, out)
    device = choose_device(config.device)
    # Made once with its weights, to know that it can be.
    wish = config.detector
    make_detector(wish.name, config.categories, wish.options, seed=config.seed, device=torch.device("cpu"))
    jobs = _check_numbers(config, available=len(train), painted=config.synthetic.num_images)
    paintings = check_paintings(config, train, jobs, device)
    digests = _digests(train, test)
    tested = {digests[str(sample.path)] for sample in test.samples}
    weights = wish.checkpoint
    seen = [used for used in read_used(weights) if used.sha256 in tested] if weights is not None else []
    if seen:
        expected = f"{len(seen)} test pictures were trained or validated on there, such as {seen[0].picture}"
        raise DatasetError([Fault(file=str(weights), column="detector.pretrained", expected=expected)])
    painted = None
    if config.uses_painted:
        painted = _read_painted(config, out, listener=listener)
        _check_numbers(config, available=len(train), painted=len(painted))
    own = paint(paintings, config, train, out, digests=digests, device=device, listener=listener)
    sets = [*([painted] if painted is not None else []), *(each.data for each in own.values())]
    digests |= _digests(*sets)
    leaked = [sample for data in sets for sample in data.samples if digests[str(sample.path)] in tested]
    if leaked:
        expected = f"{len(leaked)} painted pictures are test pictures, too; they must not be"
        raise DatasetError([Fault(file=str(leaked[0].path), expected=expected)])
    return Materials(
        config=config,
        train=train,
        test=test,
        painted=painted,
        own=own,
        digests=digests,
        device=str(device),
        torch_version=torch.__version__,
        weights=digests_of(weights) if weights is not None else {},
        remarks=remarks,
    )


def read_real(
    real: RealConfig, categories: tuple[str, ...], out: Path
) -> tuple[DetectionDataset, DetectionDataset, tuple[str, ...]]:
    """Read real pictures to train with and to score on, and what a reader of the scores must know of them.

    What is not a folder in whole COCO form is imported into out/real. Training pictures that show nearly the same as a
    test picture are left out. Raises DatasetError, also when a category has no object on one of the sides.
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
    return train, test, (*remarks, *leaks)


def _read_painted(config: ExperimentConfig, out: Path, *, listener: Listener) -> DetectionDataset:
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


def _digests(*sets: DetectionDataset) -> dict[str, str]:
    """SHA-256 of each picture's file, by its path."""
    paths = dict.fromkeys(str(sample.path) for data in sets for sample in data.samples)
    return {path: sha256_of(Path(path)) for path in paths}


def _check_numbers(config: ExperimentConfig, *, available: int, painted: int | None) -> list[Job]:
    """Compare the numbers asked for with the real pictures and the painted ones, as far as known, that there are.

    Returns the jobs of all arms, also those of the value curve. Raises BoxpaintError, also when one number is meant
    twice.
    """
    jobs, curve = plan_grid(config, available, painted or 0), config.value_curve
    most = max(max(job.number, job.all_measured) for job in jobs)
    if curve is not None:
        most = max(most, curve.real_images)
        if painted is not None and curve.numbers[-1] > painted:
            raise BoxpaintError(f"value_curve.numbers: {curve.numbers[-1]} painted images; there are {painted}")
    if most > available:
        raise BoxpaintError(f"real_images: {most} real training pictures are asked for; there are {available}")
    if len(set(jobs)) < len(jobs):
        raise BoxpaintError(f"real_images: 'all' and {available} are the same number; leave one of them out")
    return [*jobs, *(plan_point(config, curve, curve.numbers[-1], available) if curve is not None else ())]


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
    spec = load_spec(settings.background, settings.classes, canvas_wh=painting.canvas_wh, scene=painting.card.scene)
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
