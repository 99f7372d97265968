"""Generate: begin a run, watch it, stop it, go on with it. It goes on without the page."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from boxpaint.studio import jobs
from boxpaint.studio.gallery import draw_scene, open_picture
from boxpaint.studio.jobs import JobState
from boxpaint.studio.plain_text import plain
from boxpaint.studio.scenario_cells import BACKGROUND, CLASSES
from boxpaint.studio.views.parts import load_config, offer_stop, outcome_of, record_files, show_error, show_log
from boxpaint.studio.workspace import Workspace
from generator.config import Config
from generator.dataset.record import read_record
from generator.dataset.review import read_review
from generator.foundation.errors import BoxpaintError
from generator.foundation.seeds import MAX_SEED
from generator.prompts.book import ENRICHED_FILE
from generator.spec import Spec, find_table, load_spec

_JOB = "generate"
_NEWEST, _COLUMNS = 8, 4
# Whole numbers that a page in the browser holds exactly.
_MOST = 2**53 - 1


def show(workspace: Workspace) -> None:
    """Draw the page."""
    config = load_config(workspace)
    spec = load_spec(
        find_table(workspace.inside(BACKGROUND)),
        workspace.inside(CLASSES),
        canvas_wh=config.canvas_wh,
        find_references=False,
    )
    _offer(workspace, config, spec)
    known = jobs.names(workspace, _JOB)
    if not known:
        st.text("Nothing was begun here yet.")
        return
    name = known[0]
    if len(known) > 1:
        name = st.selectbox("Runs that were begun here", known, format_func=lambda each: each.removeprefix(f"{_JOB} "))
    job = jobs.state(workspace, name)
    if job is None:
        return
    # Drawn again and again while it runs, then once more as a whole.
    watch = st.fragment(_watch, run_every=2.0 if job.running else None)
    watch(workspace, name, spec, was_running=job.running)


def _offer(workspace: Workspace, config: Config, spec: Spec) -> None:
    with st.form("run"):
        left, middle, right = st.columns(3)
        name = left.text_input("Folder", value="dataset", help="The same folder again goes on where it stopped.")
        limit = middle.number_input("Pictures", min_value=1, max_value=spec.num_scenes, value=spec.num_scenes)
        seed = right.number_input("Seed", min_value=0, max_value=min(MAX_SEED, _MOST), value=min(config.seed, _MOST))
        has_book = workspace.inside("prompts", ENRICHED_FILE).is_file()
        no_book = None if has_book else "There is none yet: Scenario makes one. Without it the run makes its own."
        with_book = st.checkbox("Paint from the prompt book", value=has_book, disabled=not has_book, help=no_book)
        begin = st.form_submit_button("Start", type="primary")
    if not begin:
        return
    try:
        out = workspace.new_folder(name).name
        _start(workspace, _Command(out=out, limit=int(limit), seed=int(seed), with_book=with_book))
    except BoxpaintError as error:
        show_error(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    """What this page begins, and nothing else: files of jobs may have come with somebody's folder."""

    out: str
    limit: int
    seed: int
    with_book: bool

    @property
    def arguments(self) -> tuple[str, ...]:
        book = ("--prompts", "prompts") if self.with_book else ()
        return (_JOB, "--out", self.out, "--limit", str(self.limit), "--seed", str(self.seed), *book)

    @classmethod
    def of(cls, job: JobState) -> _Command:
        """The command of a job. Raises BoxpaintError when this page did not begin it."""
        match job.file.arguments:
            case (_, _, out, _, limit, _, seed, *book) if limit.isdecimal() and seed.isdecimal():
                command = cls(out=out, limit=int(limit), seed=int(seed), with_book=bool(book))
                if command.arguments == job.file.arguments:
                    return command
        raise BoxpaintError(f"{job.name} was not begun on this page; begin it above")


def _start(workspace: Workspace, command: _Command) -> None:
    folder = workspace.new_folder(command.out)
    jobs.start(
        workspace,
        f"{_JOB} {command.out}",
        command.arguments,
        out=command.out,
        finished=len(record_files(folder)),
        total=command.limit,
    )


def _watch(workspace: Workspace, name: str, spec: Spec, *, was_running: bool) -> None:
    try:
        _draw(workspace, name, spec, was_running=was_running)
    except BoxpaintError as error:  # what a fragment raises does not reach the page
        show_error(error)


def _draw(workspace: Workspace, name: str, spec: Spec, *, was_running: bool) -> None:
    job = jobs.state(workspace, name)
    if job is None:
        return
    if was_running and not job.running:
        st.rerun()
    folder = workspace.inside(job.file.out)
    times = {path: _changed(path) for path in record_files(folder)}
    st.subheader(plain(job.file.out))
    st.progress(min(1.0, len(times) / max(1, job.file.total)), text=_words(job, list(times.values())))
    if job.running:
        offer_stop(workspace, job)
    elif not _is_whole(job, folder, times, spec):
        if st.button("Go on", help="The same command again: what is missing, and what was rejected in review."):
            _start(workspace, _Command.of(job))
            st.rerun()
    else:
        st.text("All of it is painted: Data set shows it.")
    show_log(job, expanded=not job.running and job.code != 0)
    newest = sorted(times, key=times.__getitem__, reverse=True)[:_NEWEST]
    for start in range(0, len(newest), _COLUMNS):
        for column, path in zip(st.columns(_COLUMNS), newest[start : start + _COLUMNS], strict=False):
            record = read_record(path)
            picture = draw_scene(open_picture(workspace, folder, record), record, list(spec.categories))
            column.image(picture, caption=f"{record.index:06d}", width="stretch")


def _is_whole(job: JobState, folder: Path, times: Mapping[Path, float], spec: Spec) -> bool:
    """Whether the same command again would find nothing to do."""
    report = folder / "report.html"  # written last
    if job.code or len(times) < job.file.total or not report.is_file():
        return False
    if report.stat().st_mtime < max(times.values(), default=0.0):
        return False
    review = read_review(folder, spec.categories)
    names = {f"{scene:06d}" for scene in review.rejected()}
    return not any(review.is_waiting(read_record(path)) for path in times if path.stem in names)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # painted again just now
        return time.time()


def _words(job: JobState, times: list[float]) -> str:
    """How far a run is; `times` are those of its records."""
    text = f"{len(times)} of {job.file.total} pictures"
    new = [each for each in times if each >= job.file.begun]
    if not job.running:
        return f"{text}. {outcome_of(job)}"
    if new and job.file.finished + len(new) >= job.file.total:
        return f"{text}; audit and report are being made"
    return f"{text}; {plain(jobs.last_line(job)) or 'models are being loaded'}"
