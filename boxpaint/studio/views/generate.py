"""Generate: begin a run, watch it, stop it, go on with it. It goes on without the page."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from boxpaint.studio import jobs
from boxpaint.studio.gallery import draw_scene, open_picture, record_files
from boxpaint.studio.jobs import JobState
from boxpaint.studio.scenario_cells import BACKGROUND, CLASSES
from boxpaint.studio.views.parts import (
    FORCE,
    in_columns,
    load_config,
    offer_force,
    offer_stop,
    plain,
    show_error,
    show_log,
)
from boxpaint.studio.workspace import Workspace
from generator.config import Config
from generator.dataset.record import read_record
from generator.dataset.review import read_review
from generator.foundation.errors import BoxpaintError
from generator.foundation.seeds import MAX_SEED
from generator.prompts.book import ENRICHED_FILE
from generator.spec import Spec, find_table, load_spec

_JOB = "generate"
_BOOK = ("--prompts", "prompts")
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
        scene=config.card.scene,
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
        force = offer_force(config, spec)
        begin = st.form_submit_button("Start", type="primary")
    if not begin:
        return
    try:
        out = workspace.new_folder(name).name
        _start(workspace, _arguments(out, str(limit), str(seed), (*(_BOOK if with_book else ()), *force)))
    except BoxpaintError as error:
        show_error(error)


def _arguments(out: str, limit: str, seed: str, options: Sequence[str]) -> tuple[str, ...]:
    return _JOB, "--out", out, "--limit", limit, "--seed", seed, *options


def _start(workspace: Workspace, arguments: Sequence[str]) -> None:
    """Begin a run. Raises BoxpaintError when this page offers none like it: somebody's folder may come with jobs."""
    match arguments:
        case (_, _, out, _, limit, _, seed, *options) if (
            tuple(options) in ((), _BOOK, FORCE, _BOOK + FORCE)
            and (limit + seed).isdecimal()
            and tuple(arguments) == _arguments(out, limit, seed, options)
        ):
            folder = workspace.new_folder(out)
        case _:
            raise BoxpaintError("this run was not begun on this page; begin it above")
    jobs.start(workspace, f"{_JOB} {out}", arguments, out=out, finished=len(record_files(folder)), total=int(limit))


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
            _start(workspace, job.file.arguments)
            st.rerun()
    else:
        st.text("All of it is painted: Data set shows it.")
    show_log(job, expanded=not job.running and job.code != 0)
    newest = sorted(times, key=times.__getitem__, reverse=True)[:_NEWEST]
    for column, path in in_columns(newest, _COLUMNS):
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
        return f"{text}. {job.outcome}"
    if new and job.file.finished + len(new) >= job.file.total:
        return f"{text}; audit and report are being made"
    return f"{text}; {plain(job.last_line) or 'models are being loaded'}"
