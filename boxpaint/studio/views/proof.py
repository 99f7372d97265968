"""Proof: what trainings, evaluations and experiments of the folder found, as they wrote it down."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import streamlit as st

from boxpaint.studio.views.parts import pick, plain, show_picture
from boxpaint.studio.workspace import Found, Kind, Workspace
from generator.foundation.storage import translate_os_errors

_PICTURES = {
    "experiment": ("card.png", "failures.jpg"),
    "evaluation": ("pr_curves.png",),
    "classifier": ("confusion.png", "curves.png", "gains.png", "grad_cam_original.png", "grad_cam_augmented.png"),
    "detector": ("loss.png", "overlays.png"),
    "captioner": ("loss.png",),
    "painter": ("samples.png", "nearest.png"),
}
_PAGES = ("report.html", "card.md", "summary.csv", "card.csv", "scores.json", "predictions.csv")


def show(workspace: Workspace) -> None:
    """Draw the page."""
    kinds: tuple[Kind, ...] = ("experiment", "evaluation", "classifier", "detector", "captioner", "painter")
    found = pick(workspace, *kinds, label="Result", key="result")
    if found is None:
        st.text("There is no training, evaluation or experiment in this folder yet.")
        return
    st.text(f"{found.kind} in {found.name}")
    if found.kind == "experiment":
        _show_experiment(workspace, found)
    else:
        for name in ("scores.json", "mask_scores.json", "numbers.json"):
            _show_scores(workspace.inside(found.folder, name))
    if found.kind == "painter":
        st.text(f"To paint with it, write into config.yaml: bundle: {json.dumps(found.name, ensure_ascii=False)}")
    if found.kind == "detector":
        _show_losses(workspace.inside(found.folder, "losses.csv"))
    for name in _PICTURES[found.kind]:
        show_picture(workspace.inside(found.folder, name), name.replace("_", " "))
    for column, name in zip(st.columns(len(_PAGES)), _PAGES, strict=True):
        path = workspace.inside(found.folder, name)
        if path.is_file():
            column.download_button(name, path.read_bytes(), file_name=name, width="stretch")


def _show_experiment(workspace: Workspace, found: Found) -> None:
    """The sentences of the card, before its tables, and the tables as such."""
    path = workspace.inside(found.folder, "card.md")
    if path.is_file():
        with translate_os_errors(path):
            text = path.read_text(encoding="utf-8", errors="replace")
        for line in text.split("## ", 1)[0].splitlines():
            if line and not line.startswith("!["):
                st.text(line)
    for name in ("summary.csv", "card.csv"):
        table = workspace.inside(found.folder, name)
        rows = _read_table(table)
        if rows is not None:
            st.caption({"summary.csv": "arms", "card.csv": "trainings"}[name])
            st.dataframe(rows, width="stretch", hide_index=True)


def _show_scores(path: Path) -> None:
    """Every figure of scores.json, one in a row."""
    if not path.is_file():
        return
    with translate_os_errors(path):
        try:
            content = json.loads(path.read_bytes())
        except ValueError:
            st.text(f"{path.name} is damaged")
            return
    rows = [{"figure": name, "value": value} for name, value in _figures(content, "")]
    if rows:
        with st.expander(plain(path.name), expanded=len(rows) < 40):
            st.dataframe(pd.DataFrame(rows), width="stretch", hide_index=True)


def _figures(content: object, where: str) -> list[tuple[str, float]]:
    if isinstance(content, dict):
        return [figure for key, value in content.items() for figure in _figures(value, f"{where}, {key}".lstrip(", "))]
    if isinstance(content, int | float) and not isinstance(content, bool):
        return [(where, round(float(content), 4))]
    return []


def _show_losses(path: Path) -> None:
    table = _read_table(path)
    if table is None:
        return
    step = table.columns[0]
    for column in table.columns[1:]:
        values = table[[step, column]].dropna()
        if len(values) > 1 and pd.api.types.is_numeric_dtype(values[column]):
            st.caption(plain(str(column)))
            st.line_chart(values, x=step, y=column)


def _read_table(path: Path) -> pd.DataFrame | None:
    """A CSV file; None where there is none, or it is damaged, which is then said."""
    if not path.is_file():
        return None
    try:
        return pd.read_csv(path)
    except (OSError, ValueError):  # ValueError: empty, broken, or in another encoding
        st.text(f"{path.name} is damaged")
        return None
