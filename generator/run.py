"""The main job: plan, paint, label, check and write, chunk by chunk, resumable by the same call."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from generator.audit.files import Audit, read_audit
from generator.config import Config
from generator.dataset.coco import export_coco
from generator.dataset.folder import Dataset, RunFolder
from generator.engines import make_engine
from generator.engines.chunk import Chunk, ChunkPainter, ChunkReport, Progress
from generator.foundation.errors import BoxpaintError, LeakError, StorageError
from generator.foundation.processes import JobListener
from generator.foundation.run_folder import working_in
from generator.models.weights import check_run
from generator.plan import Plan
from generator.prompts.book import BookRow, PromptBook, read_book
from generator.prompts.make import RowProgress, make_book
from generator.report import write_report
from generator.report.statistics import Statistics
from generator.spec import Spec
from generator.spec.photos import examine_photos

# Annotations are written again after a chunk unless that would take more than this share of the time.
EXPORT_TIME_SHARE = 0.05
# Where that takes longer, they are written at the end only: nobody is handed a chunk meanwhile.
LONGEST_EXPORT_S = 30.0


class Listener:
    """What a run tells while it runs; override what is of interest."""

    def on_start(self, total: int, finished: int) -> None:
        """`total` scenes are asked for, `finished` of them are on disk already."""

    def on_row_progress(self, progress: RowProgress) -> None:
        """Texts are looked for, for one row of the CSV files."""

    def on_row(self, row: BookRow) -> None:
        """Texts were found for one row of the CSV files."""

    def on_prompts(self, book: PromptBook) -> None:
        """The prompt book is there: made, given, or that of the run's first part."""

    def on_background(self, count: int) -> None:
        """Backgrounds were painted."""

    def on_object(self, count: int) -> None:
        """Objects were settled: painted or given up."""

    def on_scene(self, count: int) -> None:
        """Scenes were written."""

    def on_warning(self, text: str) -> None:
        """Something that the user should know, but that does not stop the run."""

    def on_note(self, text: str) -> None:
        """What was decided about how to paint, such as how many pictures at a time."""


def generate(
    spec: Spec,
    config: Config | None = None,
    out: str | Path = "dataset",
    *,
    prompts: str | Path | None = None,
    limit: int | None = None,
    overwrite: bool = False,
    allow_leak: bool = False,
    force: bool = False,
    listener: Listener | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Dataset:
    """Paint a data set into `out`; the same call again goes on where the last one stopped.

    `prompts` is a prompt book (enriched.json, or its folder), as made or edited; without it the run makes its own, and
    goes on with that. `limit` paints only the first scenes of the plan. `should_stop` is asked after every chunk.
    `allow_leak` writes annotations although a probe finds where was painted (config: audit), `force` paints what the
    bundle never learned. Raises BoxpaintError: LeakError and DomainError for these, RunMismatchError for a folder of
    another run, StorageError when it cannot be written (what was finished stays valid), PromptsError, ModelError.
    """
    config = config or Config.load()
    listener = listener or Listener()
    if limit is not None and limit < 1:
        raise BoxpaintError(f"limit: {limit} scenes cannot be painted; 1 or more, or None for all")
    if not force:
        for warning in config.check_domain(spec):
            listener.on_warning(warning)
    plan = Plan(spec=spec, config=config)
    given = read_book(Path(prompts), spec) if prompts is not None else None
    folder = Path(out)
    with working_in(folder):
        run = RunFolder.open(folder, plan, overwrite=overwrite)
        book = given or run.stored_book()
        wanted = len(plan) if limit is None else min(limit, len(plan))
        # A cluster's workers look for models where they paint: here they need not be.
        paints = not run.finished.issuperset(range(wanted))
        for warning in examine_photos(spec, config.canvas_wh) if paints else ():
            listener.on_warning(warning)
        paints_here = config.engine == "local" and paints
        check_run(config, spec, book=book is None, painting=paints_here)
        if book is None:
            book = make_book(
                spec,
                config,
                on_row=listener.on_row,
                on_progress=listener.on_row_progress,
                on_warning=listener.on_warning,
            )
        run = run.with_book(book)
        run.keep_book()
        listener.on_prompts(book)
        return _generate(run, limit, allow_leak, listener, should_stop)


def _generate(
    run: RunFolder, limit: int | None, allow_leak: bool, listener: Listener, should_stop: Callable[[], bool]
) -> Dataset:
    plan = run.plan
    wanted = len(plan) if limit is None else min(limit, len(plan))
    finished = run.finished
    listener.on_start(wanted, sum(index < wanted for index in finished))
    size = plan.config.chunk
    waiting = [
        Chunk(start // size, missing)
        for start in range(0, wanted, size)
        if (missing := tuple(index for index in range(start, min(start + size, wanted)) if index not in finished))
    ]
    stopped = False
    if waiting:
        try:
            stopped = _paint_chunks(run, waiting, listener, should_stop)
        except BaseException:
            # After a full disk or an interrupt, too, what is finished should be a valid data set.
            if run.finished:
                with contextlib.suppress(StorageError):
                    _export(run)
            raise
    audit = None if stopped else _audit(run, is_new=bool(waiting))
    leak = audit and _leak_of(audit, plan.config.audit.max_leak_auc)
    if leak and not allow_leak:
        run.remove_annotations()
        write_report(run)
        raise LeakError(
            f"{leak}; no annotations were written: look at {run.folder / 'audit.png'}, or "
            "let it through: boxpaint generate --allow-leak"
        )
    if leak:
        listener.on_warning(leak)
    elif audit:
        listener.on_note(audit.summary)
    _export(run)
    statistics = write_report(run)
    dropped = sum(category.dropped for category in statistics.categories)
    unplaced = sum(category.unplaced for category in statistics.categories)
    if dropped or unplaced:
        listener.on_warning(
            f"of the objects asked for, {dropped} were dropped and {unplaced} found no place: see the report"
        )
    unlabelled = sum(category.unlabelled for category in statistics.categories)
    seen = sum(category.seen for category in statistics.categories)
    if unlabelled or seen:
        lost = f"{unlabelled} labelled ones get no label (cut off, or a crowd)"
        found = f"{seen} were seen that nobody labelled"
        said = " and ".join(text for count, text in ((unlabelled, lost), (seen, found)) if count)
        listener.on_warning(f"of the objects in the photos, {said}: see the report")
    return Dataset(
        folder=run.folder,
        num_scenes=len(run.finished),
        num_objects=statistics.objects,
        num_real_objects=statistics.real_objects,
        complete=not stopped,
        problem="" if statistics.objects else _without_labels(run, statistics),
    )


def _without_labels(run: RunFolder, statistics: Statistics) -> str:
    """Say why there is not one label, and which checks rejected how often; "" where no object was asked for."""
    dropped = sum(category.dropped for category in statistics.categories)
    unplaced = sum(category.unplaced for category in statistics.categories)
    attempts = sum(category.attempts for category in statistics.categories)
    reasons = []
    if dropped:
        checks = ", ".join(f"{name} {count}" for name, count in statistics.rejections.items())
        reasons.append(f"{dropped} objects were dropped after {attempts} attempts, rejected by {checks}")
    if unplaced:
        reasons.append(f"{unplaced} objects found no place")
    if not reasons:
        return ""
    return (
        f"{run.folder}: {statistics.scenes} pictures without one label: {'; '.join(reasons)}. Look at "
        f"{run.folder / 'report.html'}: is this what the bundle paints, are the boxes large enough for it, are the "
        "limits in the config's labels too strict?"
    )


def _paint_chunks(run: RunFolder, chunks: list[Chunk], listener: Listener, should_stop: Callable[[], bool]) -> bool:
    """Paint and write chunks; True when stopped before the last one."""
    config = run.plan.config
    if config.labels.verify and config.models.clip is None:
        listener.on_warning("nothing looks at what is painted: the bundle has no models.clip; see labels.verify")
    engine = make_engine(config, len(chunks))
    described = engine.describe()
    for difference in run.begin(described):
        listener.on_warning(f"this folder was begun elsewhere, bytes may differ from here on: {difference}")
    painter = ChunkPainter(run=run, threads=int(described["threads"]), sharing=engine.sharing)
    return not engine.paint(painter, chunks, _Desk(run, listener), should_stop)


class _Desk(JobListener[Chunk]):
    """Takes in finished chunks: into the log, into the annotations, and on to the user."""

    def __init__(self, run: RunFolder, listener: Listener):
        self._run = run
        self._listener = listener
        self._known: dict[Chunk, Progress] = {}
        self._exported, self._export_seconds = time.perf_counter(), 0.0

    def on_word(self, chunk: Chunk, progress: Progress) -> None:
        known = self._known.get(chunk, Progress())
        # A chunk that is painted again counts again when it has come further than before.
        if (backgrounds := progress.backgrounds - known.backgrounds) > 0:
            self._listener.on_background(backgrounds)
        if (objects := progress.objects - known.objects) > 0:
            self._listener.on_object(objects)
        self._known[chunk] = max(known, progress, key=lambda each: (each.backgrounds, each.objects))

    def on_loss(self, reason: str) -> None:
        self._listener.on_warning(f"{reason}; what it held is painted again")

    def on_job(self, chunk: Chunk, report: ChunkReport, /) -> None:
        run = self._run
        self.on_word(chunk, report.progress)
        del self._known[chunk]
        for text in report.warnings:
            self._listener.on_warning(text)
        for text in report.notes:
            self._listener.on_note(text)
        run.note_finished(chunk.scenes)
        self._listener.on_scene(len(chunk.scenes))
        seconds = dict(report.seconds)
        waited = time.perf_counter() - self._exported
        if self._export_seconds <= min(LONGEST_EXPORT_S, waited * EXPORT_TIME_SHARE):
            start = time.perf_counter()
            _export(run)
            self._exported = time.perf_counter()
            seconds["annotations"] = self._export_seconds = self._exported - start
        run.log_timing(chunk.number, len(chunk.scenes), seconds)


def _audit(run: RunFolder, *, is_new: bool) -> Audit | None:
    """Let probes look for what was painted, unless that was done before; None where the config asks for none."""
    limits = run.plan.config.audit
    if limits.scenes == 0:
        return None
    audit = None if is_new else read_audit(run.folder)
    if audit is None:
        from generator.audit.leak import audit_folder, write_audit  # scikit-learn takes a second to load

        found = audit_folder(run.folder, scenes=limits.scenes, with_network=False)
        write_audit(run.folder, found)
        audit = found.audit
    return audit


def _leak_of(audit: Audit, max_leak_auc: float) -> str | None:
    """Say by how much a probe finds where was painted, where that is more than the config allows."""
    leak, limit = audit.leak, audit.limit(max_leak_auc)
    if leak is None or leak.low <= limit:
        return None
    said = "audit.max_leak_auc" if limit == max_leak_auc else "what it may be around objects"
    return (
        f"a probe tells painted from untouched places with an AUC of {leak.value:.2f} ({leak.low:.2f} to "
        f"{leak.high:.2f}), above {said} ({limit:g})"
    )


def _export(run: RunFolder) -> None:
    export_coco(run.records(), run.plan, run.folder)
