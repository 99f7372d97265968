"""A whole experiment: pictures, jobs, value curve, card. The same call again goes on where the last one stopped.

experiment.json          the settings that were declared before there were scores
real/ painted/           data sets that were imported or painted here
photos/ painters/ scenarios/ paintings/    of arms whose painted pictures know their real ones, see paintings.py
jobs/<name>-<digest>/    one training each, see results.py; other settings make other folders beside them
card.md card.csv summary.csv card.png failures.jpg
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from detection.experiment.config import Arm, ExperimentConfig, ValueCurveConfig
from detection.experiment.data import gather
from detection.experiment.jobs import Job, Materials, plan_grid, plan_point
from detection.experiment.paintings import PaintingListener
from detection.experiment.results import (
    JOB,
    Cell,
    Gain,
    JobResult,
    TrialFolder,
    best_of,
    cells_of,
    gain_of,
    paired_arms,
    read_results,
    share_of,
)
from detection.experiment.training import run_job
from detection.experiment.verdict import ValueCurve, curve_of
from detection.proof.jobs import ProofListener, run_jobs
from detection.proof.statistics import Interval
from generator.foundation.errors import StorageError
from generator.foundation.processes import Workers
from generator.foundation.run_folder import EXPERIMENT, working_in
from generator.foundation.storage import translate_os_errors

JOBS = "jobs"
# Of these the scores do not hang: speed, words, and where files lie. Other pictures are other trainings anyway.
_FREE: Any = {
    "workers": True,
    "device": True,
    "keep_models": True,
    "notes": True,
    "real": {"data"},
    "synthetic": {"data": True, "background": True, "classes": True, "config": True, "tuned": {"config"}},
}
_SHOWN = 100


class ExperimentListener(PaintingListener, ProofListener[Job]):
    """What an experiment tells: painting, then trainings, whose score is mAP; override what is of interest."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """All that an experiment found, for the card."""

    materials: Materials
    results: tuple[JobResult, ...]
    cells: tuple[Cell, ...]
    """Of the grid of arms and numbers of real pictures."""
    gains: tuple[Gain, ...]
    """Of every arm with painted and real pictures, at every number, over the best arm without painted ones there."""
    pairs: tuple[Gain, ...]
    """Of every arm with painted pictures of its own, over the one that differs in the painter, or the scenes, alone."""
    shares: dict[Arm, Interval]
    """mAP of the arms on painted pictures alone, as a share of that of all real ones."""
    curve: ValueCurve | None
    changes: tuple[str, ...] = ()
    """What the file says otherwise than it did before there were scores."""
    not_shown: int = 0
    """Scored trainings in the folder that are none of `results`."""

    @property
    def seconds(self) -> float:
        """Of one thread, of all jobs together, pretrainings included, each once, whenever they ran."""
        return sum({name: each for result in self.results for name, each in result.seconds.items()}.values())


def run_experiment(config: ExperimentConfig, out: Path, *, listener: ExperimentListener | None = None) -> Outcome:
    """Do all that a config asks for and return what was found.

    What is finished is not done again. The same config and pictures on the same machine give the same numbers, with
    any number of workers and after any number of stops. Raises BoxpaintError; KeyboardInterrupt leaves what is
    finished.
    """
    listener, folder = listener or ExperimentListener(), out / JOBS
    EXPERIMENT.read(out, overwrite=True)
    with working_in(out):
        changes = declare(config, out)
        materials = gather(config, out, listener=listener)
        for remark in materials.remarks:
            listener.on_stage(remark)
        grid = plan_grid(config, len(materials.train), materials.num_painted)
        step = partial(run_job, materials=materials, jobs=folder)
        with Workers(config.workers, step, waits_for=attrgetter("start")) as workers:
            do = partial(
                run_jobs,
                workers=workers,
                is_finished=lambda job: TrialFolder.of(folder, job, materials).is_finished(config.bootstrap),
                steps_of=lambda job: job.settings(config).steps,
                listener=listener,
            )
            do(grid)
            curve, further = None, list[JobResult]()
            if config.value_curve is not None:
                curve, further = _trace_curve(config.value_curve, materials, folder, do, listener)
        results = read_results(grid, materials, folder)
        outcome = summarise(materials, results, [result for result in further if result.job not in grid], curve)
        shown = {result.folder.path.name for result in outcome.results}
        return replace(outcome, changes=changes, not_shown=len(scored_folders(out, shown=shown)))


def summarise(
    materials: Materials, results: Sequence[JobResult], further: Sequence[JobResult], curve: ValueCurve | None
) -> Outcome:
    """Compare the arms. `results` are those of the grid, `further` ones of the value curve."""
    cells = cells_of(results, materials.config)
    gains = []
    for number in sorted({cell.number for cell in cells if cell.number}):
        here = sorted((cell for cell in cells if cell.number == number), key=lambda cell: cell.arm.place)
        baselines = [cell for cell in here if not cell.arm.traits.painted]
        gains += [gain_of(cell, best_of(baselines)) for cell in here if cell.arm.is_compared and baselines]
    whole = next((cell for cell in cells if (cell.arm.name, cell.number) == ("real", len(materials.train))), None)
    alone = {cell.arm: cell for cell in cells if not cell.number}
    return Outcome(
        materials=materials,
        results=(*results, *further),
        cells=tuple(cells),
        gains=tuple(gains),
        pairs=tuple(gain_of(*pair) for pair in paired_arms(cells)),
        shares={arm: share for arm, cell in alone.items() if whole and (share := share_of(cell, whole))},
        curve=curve,
    )


def _trace_curve(
    settings: ValueCurveConfig,
    materials: Materials,
    folder: Path,
    do: Callable[[Sequence[Job]], None],
    listener: ExperimentListener,
) -> tuple[ValueCurve, list[JobResult]]:
    """Train point after point until a step brings nothing that shows."""
    results: list[JobResult] = []
    cells: list[Cell] = []
    curve = curve_of(cells, settings)
    for painted in settings.numbers:
        listener.on_stage(f"value curve: {painted} painted images")
        point = plan_point(materials.config, settings, painted, len(materials.train))
        do(point)
        found = read_results(point, materials, folder)
        results += found
        cells.append(best_of(cells_of(found, materials.config)))
        curve = curve_of(cells, settings)
        if curve.is_over:
            break
    return curve, results


def declare(config: ExperimentConfig, out: Path) -> tuple[str, ...]:
    """Write what the file says into experiment.json, unless trainings were scored: then that file stays as it was.

    A claim that is chosen after the scores is no claim. Returns what is said otherwise now, such as
    "claim: 'mixed', before 'refined'". Raises StorageError.
    """
    before = EXPERIMENT.read(out, overwrite=True)
    if before is None or not scored_folders(out):
        EXPERIMENT.begin(out, config.model_dump(mode="json", by_alias=True))
        return ()
    if not before:
        path = out / EXPERIMENT.marker
        raise StorageError(f"{path}: is damaged, so what was declared is lost; choose another folder with --out")
    now = config.model_dump(mode="json", by_alias=True, exclude=_FREE)
    return tuple(
        _change(key, before[key], value)
        for key, value in now.items()
        # Absent: written before this setting was there.
        if key in before and _comparable(before[key], value) != value
    )


def scored_folders(out: Path, *, shown: Collection[str] = ()) -> list[str]:
    """Names of the folders of finished trainings that were scored, without those `shown`. Raises StorageError."""
    with translate_os_errors(out / JOBS):
        names = sorted(path.parent.name for path in (out / JOBS).glob(f"*/{JOB}"))
    return [name for name in names if not name.startswith("pretrain") and name not in shown]


def _comparable(before: Any, now: Any) -> Any:
    """Of a section only what is in both: paths are left out of `now`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return {key: _comparable(before.get(key, value), value) for key, value in now.items()}
    return before


def _change(key: str, before: Any, now: Any) -> str:
    texts = [json.dumps(value, ensure_ascii=False) for value in (now, _comparable(before, now))]
    return f"{key}: {texts[0]}, before {texts[1]}" if max(map(len, texts)) <= _SHOWN else key
