"""What several pages show alike."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from boxpaint.studio import jobs
from boxpaint.studio.jobs import STOPPED, JobState
from boxpaint.studio.workspace import Found, Kind, Workspace
from generator.config import Config
from generator.foundation.decoding import decode_rgb
from generator.foundation.errors import BoxpaintError, DomainError, FaultsError
from generator.spec import Spec

CONFIG = "config.yaml"
FORCE = ("--force",)
_KEY_LETTERS = 16
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# What is taken for a link, an address or a symbol after Markdown has been read, when no backslash is left.
_BREAK_AFTER = re.compile(r"([:@]|www)", re.IGNORECASE)
_WORD_JOINER = "\u2060"
T = TypeVar("T")


def plain(text: str) -> str:
    r"""Escape all that Streamlit's Markdown (GitHub's, with colours, symbols and formulas) gives a meaning to.

    A user's text is shown letter by letter: https://spec.commonmark.org/0.31.2/#backslash-escapes

    >>> plain("<b>*x*")
    '\\<b\\>\\*x\\*'
    """
    joined = _BREAK_AFTER.sub(rf"\1{_WORD_JOINER}", " ".join(text.split()))
    return _PUNCTUATION.sub(r"\\\1", joined)


def show_error(error: BoxpaintError) -> None:
    """One message in a box, or one line for each fault."""
    lines = [str(fault) for fault in error.faults] if isinstance(error, FaultsError) else str(error).splitlines()
    st.error("  \n".join(plain(line) for line in lines), icon=":material/error:")


def load_config(workspace: Workspace) -> Config:
    """The config of the folder, or the embedded bundle's. Raises ConfigError."""
    path = workspace.inside(CONFIG)
    return Config.load(path if path.is_file() else None)


def offer_force(config: Config, spec: Spec) -> tuple[str, ...]:
    """Let somebody go on with words that the bundle never learned, where there are any; the option that says so."""
    try:
        config.check_domain(spec)
    except DomainError:
        if st.checkbox("Go on though the tables hold words that the bundle never learned"):
            return FORCE
    return ()


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

    @st.fragment(run_every=1.5)
    def watch() -> None:
        job = jobs.state(workspace, name)
        if job is None or not job.running:
            st.rerun()
        st.text(job.last_line or "at work")
        offer_stop(workspace, job)
        show_log(job, expanded=True)

    job = jobs.state(workspace, name)
    if job is not None and job.running:
        watch()  # until it has ended; then the whole page is drawn again
        return True
    if job is not None and job.code:
        (st.info if job.code in STOPPED else st.error)(job.outcome)
        show_log(job, expanded=job.code not in STOPPED)
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


def keep(name: str, key: object, make: Callable[[], T]) -> T:
    """What `make` gives, made once for each key: every click draws the page again."""
    kept = st.session_state.get(name)
    if kept is None or kept[0] != key:
        kept = st.session_state[name] = key, make()
    found: T = kept[1]
    return found


def in_columns(items: Sequence[T], count: int) -> Iterator[tuple[DeltaGenerator, T]]:
    """Each item with its place in rows of `count` columns."""
    for start in range(0, len(items), count):
        yield from zip(st.columns(count), items[start : start + count], strict=False)


def job_key(text: str) -> str:
    """What a job is called after where that may be any text, such as a path."""
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LETTERS]


def show_log(job: JobState, *, expanded: bool) -> None:
    """What a job says, as text."""
    with st.expander("What it says", expanded=expanded):
        st.code(job.log or "nothing yet", language=None, wrap_lines=True)
