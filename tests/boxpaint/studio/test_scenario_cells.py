from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from boxpaint.studio.scenario_cells import (
    BACKGROUND,
    CLASSES,
    COLUMNS,
    CellFault,
    check_cells,
    read_cells,
    to_csv,
    write_cells,
)
from boxpaint.studio.workspace import Workspace
from generator.foundation.errors import BoxpaintError, SpecError
from generator.spec import Spec, load_spec

CANVAS_WH = (96, 64)


def frames_of(workspace: Workspace) -> dict[str, pd.DataFrame]:
    return {name: read_cells(workspace.folder, name).frame.copy() for name in (BACKGROUND, CLASSES)}


def check(workspace: Workspace, **cells: str) -> tuple[Spec | None, list[CellFault]]:
    """Put cells of the first class in, and check."""
    frames = frames_of(workspace)
    for column, text in cells.items():
        frames[CLASSES].loc[0, column] = text
    return check_cells(frames, workspace.folder, CANVAS_WH)


def write_cats(folder: Path, picture: str) -> Path:
    """A COCO file with one cat in one picture; returns the folder."""
    folder.mkdir()
    content = {
        "images": [{"id": 1, "file_name": picture, "width": 9, "height": 9}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 0}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (folder / "cats.json").write_text(json.dumps(content))
    return folder


def test_sound_tables_make_the_spec_of_the_command_line(workspace: Workspace) -> None:
    spec, faults = check(workspace)
    assert faults == []
    assert spec is not None
    assert spec.num_scenes == 40
    assert list(spec.categories) == ["white blood cell", "platelet"]


def test_a_fault_names_its_row_and_column(workspace: Workspace) -> None:
    spec, (fault,) = check(workspace, min_appear="many")
    assert spec is None
    assert (fault.table, fault.row, fault.column) == (CLASSES, 1, "min_appear")
    assert fault.text == "found 'many'; a whole number from 0 to 1,000 is needed"


def test_every_fault_of_both_tables_is_told_at_once(workspace: Workspace) -> None:
    frames = frames_of(workspace)
    frames[BACKGROUND].loc[0, "num_imgs"] = "-1"
    frames[CLASSES].loc[1, "width_min"] = "wide"
    frames[CLASSES].loc[2] = dict.fromkeys(frames[CLASSES].columns, "")  # a row that was just begun
    _, faults = check_cells(frames, workspace.folder, CANVAS_WH)
    assert {(fault.table, fault.row, fault.column) for fault in faults} == {
        (BACKGROUND, 1, "num_imgs"),
        (CLASSES, 2, "width_min"),
    }


def test_an_empty_row_before_a_fault_does_not_move_it(workspace: Workspace) -> None:
    frames = frames_of(workspace)
    empty = pd.DataFrame([dict.fromkeys(frames[CLASSES].columns, "")])
    frames[CLASSES] = pd.concat([empty, frames[CLASSES]], ignore_index=True)
    frames[CLASSES].loc[2, "max_appear"] = "x"
    _, (fault,) = check_cells(frames, workspace.folder, CANVAS_WH)
    assert fault.row == 3


OUTSIDE = "leads outside of this folder"


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("../", OUTSIDE),
        ("/etc", OUTSIDE),
        ("coco:../secret#cat", OUTSIDE),
        ("photos/../../x", OUTSIDE),
        ("photos", "photos"),
    ],
)
def test_reference_photos_outside_are_not_looked_at_and_missing_ones_told(
    workspace: Workspace, cell: str, message: str
) -> None:
    _, (fault,) = check(workspace, references=cell)
    assert (fault.row, fault.column) == (1, "references")
    assert message in fault.text


def test_pictures_that_a_coco_file_has_outside_are_not_looked_at(workspace: Workspace) -> None:
    Image.new("RGB", (9, 9)).save(workspace.folder.parent / "secret.png")
    write_cats(workspace.folder / "photos", "../../secret.png")
    _, (fault,) = check(workspace, references="coco:photos/cats.json#cat")
    assert fault.column == "references"


@pytest.mark.parametrize("cell", ["coco:../real/cats.json#cat", "../real"])
def test_what_the_file_names_may_lie_outside(workspace: Workspace, cell: str) -> None:
    """Somebody wrote it in an editor, and check-spec finds it good: the page must save other edits."""
    Image.new("RGB", (9, 9)).save(write_cats(workspace.folder.parent / "real", "cat.png") / "cat.png")
    path = workspace.folder / CLASSES
    path.write_text("prompt,min_appear,max_appear,references\n" + f"a cat,1,1,{cell}\n")
    assert load_spec(workspace.folder / BACKGROUND, path, canvas_wh=CANVAS_WH).classes[0].references == cell
    assert check(workspace, max_appear="2")[1] == []
    path.write_text(path.read_text().replace("real", "nowhere"))
    _, (fault,) = check(workspace)
    assert (fault.row, fault.column) == (1, "references")


def test_what_is_saved_is_read_back(workspace: Workspace) -> None:
    cells = read_cells(workspace.folder, CLASSES)
    frame = cells.frame.copy()
    frame.loc[0, "prompt"] = 'a "large", <b>purple</b> cell'
    frame.loc[0, "supercategory"] = "cell"
    write_cells({CLASSES: cells}, {CLASSES: frame})
    assert read_cells(workspace.folder, CLASSES).frame.equals(frame)
    assert (workspace.folder / CLASSES).read_text().splitlines()[0].count("supercategory") == 1


def test_a_file_that_somebody_else_changed_is_not_overwritten(workspace: Workspace) -> None:
    cells = {name: read_cells(workspace.folder, name) for name in (BACKGROUND, CLASSES)}
    frames = {name: each.frame.copy() for name, each in cells.items()}
    frames[BACKGROUND].loc[0, "num_imgs"] = "7"
    path = workspace.folder / CLASSES
    path.write_text(path.read_text().replace("platelet", "thrombocyte"))
    before = {name: (workspace.folder / name).read_bytes() for name in cells}
    with pytest.raises(BoxpaintError, match=r"classes.csv was changed since this page read it"):
        write_cells(cells, frames)
    assert {name: (workspace.folder / name).read_bytes() for name in cells} == before


def test_a_table_that_cells_cannot_show_is_refused(workspace: Workspace) -> None:
    (workspace.folder / BACKGROUND).write_text("prompt,num_imgs,colour\na smear,3,red\n")
    with pytest.raises(SpecError, match="colour"):
        read_cells(workspace.folder, BACKGROUND)


CELL = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C"]), max_size=12)


@given(rows=st.lists(st.tuples(CELL, CELL, CELL), max_size=5))
def test_lines_are_those_of_the_rows(rows: list[tuple[str, str, str]]) -> None:
    frame = pd.DataFrame(rows, columns=["prompt", "num_imgs", "negative_prompt"])
    data, lines = to_csv(frame, COLUMNS[BACKGROUND])
    read = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    wanted = [[" ".join(cell.split()) for cell in row] for row in rows]
    assert [line is None for line in lines] == [not any(row) for row in wanted]
    kept = [row for row in wanted if any(row)]
    assert [[row["prompt"], row["num_imgs"], row.get("negative_prompt", "")] for row in read] == kept
    assert [line for line in lines if line is not None] == list(range(2, 2 + len(kept)))


def test_the_scratch_files_are_gone(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    check(workspace, min_appear="many")
    assert list(scratch.iterdir()) == []
