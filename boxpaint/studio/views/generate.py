"""Generate: begin a run, watch it, stop it, go on with it. It goes on without the page."""

from __future__ import annotations

import time
from pathlib import Path

import streamlit as st

from boxpaint.studio import jobs
from boxpaint.studio.gallery import draw_scene, open_picture
from boxpaint.studio.jobs import JobState
from boxpaint.studio.plain_text import plain
from boxpaint.studio.scenario_cells import BACKGROUND, CLASSES
from boxpaint.studio.views.parts import count_records, load_config, outcome_of, show_error, show_log
from boxpaint.studio.workspace import Workspace
from generator.errors import BoxpaintError
from generator.prompts.book import ENRICHED_FILE
from generator.record import read_record
from generator.seeds import MAX_SEED
from generator.spec import find_table, load_spec

_NEWEST, _COLUMNS = 8, 4
_MINUTE_S = 60


def show(workspace: Workspace) -> None:
    """Draw the page."""
    config = load_config(workspace)
    spec = load_spec(
        find_table(workspace.folder / BACKGROUND),
        workspace.folder / CLASSES,
        canvas_wh=config.canvas_wh,
        find_references=False,
    )
    with st.form("run"):
        left, middle, right = st.columns(3)
        name = left.text_input("Folder", value="dataset", help="The same folder again goes on where it stopped.")
        limit = middle.number_input("Pictures", min_value=1, max_value=spec.num_scenes, value=spec.num_scenes)
        seed = right.number_input("Seed", min_value=0, max_value=min(MAX_SEED, 2**53 - 1), value=config.seed)
        has_book = workspace.inside("prompts", ENRICHED_FILE).is_file()
        with_book = st.checkbox("Paint from the prompt book", value=has_book, disabled=not has_book)
        begin = st.form_submit_button("Start, or go on", type="primary")
    if begin:
        try:
            _start(workspace, name, int(limit), int(seed), with_book=with_book)
        except BoxpaintError as error:
            show_error(error)
    running = st.session_state.get("run shown") or _newest(workspace)
    if running is None:
        st.text("Nothing was begun here yet.")
        return
    _watch(workspace, running)


def _start(workspace: Workspace, name: str, limit: int, seed: int, *, with_book: bool) -> None:
    folder = workspace.new_folder(name)
    arguments = ["generate", "--out", folder.name, "--limit", str(limit), "--seed", str(seed)]
    if with_book:
        arguments += ["--prompts", "prompts"]
    job = _job_name(folder.name)
    jobs.start(workspace, job, arguments, out=folder.name, finished=count_records(folder), total=limit)
    st.session_state["run shown"] = job


def _job_name(out: str) -> str:
    return f"generate {out}"


def _newest(workspace: Workspace) -> str | None:
    """The job that was begun last, in any window."""
    files = sorted(workspace.own_folder().glob("generate *.json"), key=lambda path: path.stat().st_mtime)
    return files[-1].stem if files else None


@st.fragment(run_every=2.0)
def _watch(workspace: Workspace, name: str) -> None:
    job = jobs.state(workspace, name)
    if job is None:
        return
    folder = workspace.inside(job.file.out)
    done = count_records(folder)
    st.subheader(plain(job.file.out))
    st.progress(min(1.0, done / max(1, job.file.total)), text=_words(job, folder, done))
    if job.running and st.button("Stop", help="After the pictures that are being painted; once more stops at once."):
        jobs.stop(workspace, name)
    show_log(job, expanded=not job.running and bool(job.code))
    _show_newest(workspace, folder)


def _words(job: JobState, folder: Path, done: int) -> str:
    text = f"{done} of {job.file.total} pictures"
    new = done - job.file.finished
    if not job.running:
        return f"{text}. {outcome_of(job)}"
    if done >= job.file.total:
        return f"{text}; audit and report are being made"
    if new < 1:
        return f"{text}; models and prompts are being got ready"
    last = max(path.stat().st_mtime for path in (folder / "records").glob("*.json"))
    rate = new / max(1.0, last - job.file.begun)
    left = max(0.0, (job.file.total - done) / rate - (time.time() - last))
    return f"{text}; {_MINUTE_S * rate:.1f} a minute, {left / _MINUTE_S:.1f} minutes left"


def _show_newest(workspace: Workspace, folder: Path) -> None:
    paths = [path for path in (folder / "records").glob("*.json") if path.stem.isdecimal()]
    newest = sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[:_NEWEST]
    for start in range(0, len(newest), _COLUMNS):
        for column, path in zip(st.columns(_COLUMNS), newest[start : start + _COLUMNS], strict=False):
            record = read_record(path)
            categories = list(dict.fromkeys(item.category for item in record.objects))
            picture = draw_scene(open_picture(workspace, folder, record), record, categories)
            column.image(picture, caption=f"{record.index:06d}", width="stretch")
