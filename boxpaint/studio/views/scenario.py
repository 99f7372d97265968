"""Scenario: the two tables, their faults, the boxes that they plan, and the prompts of the book."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from boxpaint.scenarios import lay_down, scenario_names
from boxpaint.studio import jobs
from boxpaint.studio.scenario_cells import (
    BACKGROUND,
    CLASSES,
    COLUMNS,
    CellFault,
    Cells,
    check_cells,
    read_cells,
    write_cells,
)
from boxpaint.studio.views.parts import is_at_work, load_config, offer_force, plain, show_error
from boxpaint.studio.workspace import Workspace
from generator.config import Config
from generator.dataset.pictures import preview_plan
from generator.foundation.errors import BoxpaintError, DomainError
from generator.plan import Plan
from generator.prompts.book import ENRICHED_FILE, PromptBook, read_book
from generator.spec import Spec, find_table

_SHOWN_SCENES, _COLUMNS = 12, 4
_SHOWN_LETTERS = 30
_BOOK, _BOOK_JOB = "prompts", "prompt book"
# What most scenarios fill in; the other columns are shown on demand, and always where they hold something.
_COMMON = {
    BACKGROUND: ("prompt", "num_imgs"),
    CLASSES: ("prompt", "name", "min_appear", "max_appear", "width_min", "height_min", "width_max", "height_max"),
}


def show(workspace: Workspace) -> None:
    """Draw the page."""
    if not find_table(workspace.inside(BACKGROUND)).is_file() and not workspace.inside(CLASSES).is_file():
        _offer_scenarios(workspace)
        return
    config = load_config(workspace)
    all_columns = st.toggle("All columns", key="all_columns")
    cells = {name: _read(workspace, name) for name in (BACKGROUND, CLASSES)}
    frames, below = {}, {}
    for name, each in cells.items():
        frames[name] = _edit(each, name, all_columns=all_columns)
        below[name] = st.container()
    spec, faults = check_cells(frames, workspace.folder, config.canvas_wh, config.card.scene)
    for name, frame in frames.items():
        with below[name]:
            _show_faults([fault for fault in faults if fault.table == name], frame)
    for fault in faults:
        if fault.table not in frames:
            column = f"column {fault.column}: " if fault.column else ""
            st.error(plain(f"{fault.table}: {column}{fault.text}"))
    changed = [name for name in frames if not _is_equal(frames[name], cells[name].frame)]
    _save(cells, frames, changed, sound=spec is not None)
    if spec is None:
        return
    try:
        warnings = config.check_domain(spec)
    except DomainError as error:
        warnings = [str(error)]
    for warning in warnings:
        st.warning(plain(warning))
    book = _read_book(workspace, spec)
    _preview(spec, config, book)
    _show_book(workspace, spec, config, book, is_saved=not changed)


def _offer_scenarios(workspace: Workspace) -> None:
    st.text(f"There is no scenario in {workspace.folder} yet.")
    name = st.selectbox("Begin with", scenario_names())
    if st.button("Lay it down", type="primary"):
        lay_down(name, workspace.folder)
        st.rerun()


def _read(workspace: Workspace, name: str) -> Cells:
    """The table as this window has read it; edits are laid over that, so it stays until it is saved or read anew."""
    key = f"cells of {name}"
    if key not in st.session_state:
        st.session_state[key] = read_cells(workspace.folder, name)
        st.session_state[f"edits of {name}"] = st.session_state.get(f"edits of {name}", 0) + 1
    cells: Cells = st.session_state[key]
    return cells


def _edit(cells: Cells, name: str, *, all_columns: bool) -> pd.DataFrame:
    st.subheader(plain(cells.path.name))
    filled = [column for column in cells.frame.columns if (cells.frame[column] != "").any()]
    others = [column for column in COLUMNS[name] if column not in _COMMON[name] and (all_columns or column in filled)]
    shown = [*_COMMON[name], *others]
    # The editor forgets what was typed when its columns change, and while another page is open: it begins with that.
    key = f"editor of {name} {st.session_state[f'edits of {name}']} {all_columns}"
    if key not in st.session_state:
        st.session_state[f"base of {key}"] = st.session_state.get(f"typed into {name}", cells.frame)
    edited = st.data_editor(
        st.session_state[f"base of {key}"],
        num_rows="dynamic",
        width="stretch",
        hide_index=True,
        column_order=shown,
        column_config={
            # The others are as wide as what they hold, and their names can be read.
            column: st.column_config.TextColumn(column, required=False, width="medium" if column == "prompt" else None)
            for column in COLUMNS[name]
        },
        key=key,
    )
    frame = edited.astype(object).where(edited.notna(), "").astype(str).reset_index(drop=True)
    st.session_state[f"typed into {name}"] = frame
    return frame


def _show_faults(faults: list[CellFault], frame: pd.DataFrame) -> None:
    """Every fault by its row and column, and the rows that hold one, with the cell in red."""
    if not faults:
        return
    for fault in faults:
        row = f"row {fault.row} ({_beginning(frame['prompt'].iloc[fault.row - 1])})" if fault.row else ""
        place = ", ".join(filter(None, (row, f"column {fault.column}" if fault.column else "")))
        st.error(plain(f"{place}: {fault.text}" if place else fault.text), icon=":material/error:")
    rows = sorted({fault.row for fault in faults if fault.row is not None})
    if not rows:
        return
    marked = {(fault.row, fault.column) for fault in faults}
    wrong = frame.iloc[[row - 1 for row in rows]].copy()
    wrong.index = pd.Index(rows, name="row")
    columns = [
        name for name in frame.columns if (wrong[name] != "").any() or any((row, name) in marked for row in rows)
    ]

    def colour(row: pd.Series) -> list[str]:
        return ["background-color: #f8c9c4; color: #7a0000" if (row.name, name) in marked else "" for name in row.index]

    st.dataframe(wrong[columns].style.apply(colour, axis=1), width="stretch")


def _beginning(prompt: str) -> str:
    return prompt if len(prompt) <= _SHOWN_LETTERS else f"{prompt[:_SHOWN_LETTERS].rstrip()}..."


def _save(cells: dict[str, Cells], frames: dict[str, pd.DataFrame], changed: list[str], *, sound: bool) -> None:
    if st.session_state.pop("was saved", False):
        st.success("saved")
    left, middle, _ = st.columns([1, 1, 3])
    help_text = "" if sound else "There is a fault in the tables."
    if (
        left.button("Save", type="primary", disabled=not changed or not sound, help=help_text or None, width="stretch")
        and sound
    ):
        try:
            write_cells({name: cells[name] for name in changed}, frames)
        except BoxpaintError as error:
            show_error(error)
            return
        _forget()
        st.session_state["was saved"] = True
        st.rerun()
    if middle.button("Read anew", help="What is on disk; unsaved changes are lost.", width="stretch"):
        _forget()
        st.rerun()


def _forget() -> None:
    for name in (BACKGROUND, CLASSES):
        st.session_state.pop(f"cells of {name}", None)
        st.session_state.pop(f"typed into {name}", None)


def _is_equal(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    return a.shape == b.shape and bool((a.to_numpy() == b.to_numpy()).all())


def _read_book(workspace: Workspace, spec: Spec) -> PromptBook | None:
    path = workspace.inside(_BOOK)
    if not (path / ENRICHED_FILE).is_file():
        return None
    try:
        return read_book(path, spec)
    except BoxpaintError as error:
        show_error(error)
        return None


def _preview(spec: Spec, config: Config, book: PromptBook | None) -> None:
    st.subheader("Planned boxes")
    plan = Plan(spec=spec, config=config, book=book)
    count = min(_SHOWN_SCENES, len(plan))
    st.text(f"{len(plan)} pictures of {config.canvas.width} x {config.canvas.height} px; the first {count}:")
    scenes = [plan.scene(index) for index in range(count)]
    st.image(preview_plan(scenes, config.canvas_wh, spec.categories, columns=_COLUMNS), width="stretch")
    unplaced = sum(len(scene.unplaced) for scene in scenes)
    if unplaced:
        st.warning(f"{unplaced} objects of these found no place: ask for smaller or fewer ones")


def _show_book(workspace: Workspace, spec: Spec, config: Config, book: PromptBook | None, *, is_saved: bool) -> None:
    st.subheader("Prompts of the book")
    if is_at_work(workspace, _BOOK_JOB):
        return
    label = "Make the book" if book is None else "Make it again"
    help_text = "Many texts for each prompt, by the bundle's language models." if is_saved else "Save the tables first."
    sure = book is None or st.checkbox("Replace the book, also where somebody edited it")
    force = offer_force(config, spec)
    if st.button(label, disabled=not is_saved or not sure, help=help_text):
        again = [] if book is None else ["--overwrite"]
        jobs.start(workspace, _BOOK_JOB, ["prompts", "--out", _BOOK, *again, *force], out=_BOOK)
        st.rerun()
    if book is None:
        st.text("There is none yet; a run makes its own.")
        return
    rows = [
        {
            "of": row.name or "scene",
            "text": item.text,
            "used": not item.rejected,
            "source": item.source,
            "similarity": item.similarity,
            "nearest": item.nearest,
            "rejected": item.rejected,
            "prompt": row.prompt,
        }
        for row in book.enriched.rows
        for item in row.texts
    ]
    st.dataframe(pd.DataFrame(rows), width="stretch", hide_index=True)
