"""What several pages show alike."""

from __future__ import annotations

import hashlib
import signal
from pathlib import Path

import streamlit as st

from boxpaint.exit_codes import of_signal
from boxpaint.studio import jobs
from boxpaint.studio.jobs import JobState
from boxpaint.studio.plain_text import plain
from boxpaint.studio.workspace import Found, Kind, Workspace
from generator.config import Config
from generator.foundation.decoding import decode_rgb
from generator.foundation.errors import BoxpaintError, FaultsError
from generator.foundation.stopping import SIGNALS

CONFIG = "config.yaml"
_KEY_LETTERS = 16
# How a job ends that was asked to: by itself, or by the signal where it does not listen for that.
_STOPPED = (*map(of_signal, SIGNALS), -signal.SIGTERM)


def show_error(error: BoxpaintError) -> None:
    """One message in a box, or one line for each fault."""
    lines = [str(fault) for fault in error.faults] if isinstance(error, FaultsError) else str(error).splitlines()
    st.error("  \n".join(plain(line) for line in lines), icon=":material/error:")


def load_config(workspace: Workspace) -> Config:
    """The config of the folder, or the embedded bundle's. Raises ConfigError."""
    path = workspace.inside(CONFIG)
    return Config.load(path if path.is_file() else None)


def pick(workspace: Workspace, *kinds: Kind, label: str, key: str, none: str = "") -> Found | None:
    """Let one folder of some kinds be chosen; None where there is none, or `none`, an option of its own, is chosen."""
    found = workspace.find(*kinds)
    options: list[Found | None] = [*([None] if none or not found else []), *found]
    if not found and not none:
        return None

    def name_of(each: Found | None) -> str:
        return none if each is None else each.name

    return st.selectbox(label, options, format_func=name_of, key=key)


def show_picture(path: Path, caption: str) -> None:
    """A picture file, where it is there; a damaged one is said to be."""
    if not path.is_file():
        return
    try:
        st.image(decode_rgb(path.read_bytes()), caption=plain(caption), width="stretch")
    except (OSError, ValueError) as error:
        st.text(f"{path.name}: {error}")


def is_at_work(workspace: Workspace, name: str) -> bool:
    """Show a job while it runs; of one that did not end well, what it said. The button that begins it comes after."""
    job = jobs.state(workspace, name)
    if job is not None and job.running:
        _wait_for(workspace, name)
        return True
    if job is not None and job.code:
        (st.info if job.code in _STOPPED else st.error)(outcome_of(job))
        show_log(job, expanded=job.code not in _STOPPED)
    return False


def offer_stop(workspace: Workspace, job: JobState) -> None:
    """A button that stops a job; once it was clicked, the page says so, and offers to stop at once."""
    again = job.file.stopping > 0
    if again:
        st.info("Stopping when what is in hand is finished; that may take minutes.", icon=":material/hourglass:")
    st.button(
        "Stop at once" if again else "Stop",
        key=f"stop {job.name}",
        help="What is in hand is lost." if again else "When what is in hand is finished.",
        on_click=jobs.stop,
        args=(workspace, job.name),
    )


def job_key(text: str) -> str:
    """What a job is called after where that may be any text, such as a path."""
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LETTERS]


def _wait_for(workspace: Workspace, name: str) -> None:
    """Show a job until it has ended, then draw the whole page again."""

    @st.fragment(run_every=1.5)
    def draw() -> None:
        job = jobs.state(workspace, name)
        if job is None or not job.running:
            st.rerun()
        st.text(jobs.last_line(job) or "at work")
        offer_stop(workspace, job)
        show_log(job, expanded=True)

    draw()


def show_log(job: JobState, *, expanded: bool) -> None:
    """What a job says, as text."""
    with st.expander("What it says", expanded=expanded):
        st.code(job.log or "nothing yet", language=None, wrap_lines=True)


def outcome_of(job: JobState) -> str:
    """How a job that has ended came out, in words."""
    if job.code is None:
        return "It has ended."
    if job.code in _STOPPED:
        return "It was stopped."
    return "It is finished." if job.code == 0 else f"It ended with an error (exit code {job.code})."


def record_files(folder: Path) -> list[Path]:
    """Records of the scenes that are finished in a run folder."""
    return [path for path in (folder / "records").glob("*.json") if path.stem.isdecimal()]
