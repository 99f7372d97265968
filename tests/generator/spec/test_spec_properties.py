"""Whatever is in the two files: a Spec, or a SpecError that names file and line. Never anything else."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.foundation.errors import SpecError
from generator.plan.placing import draw_size
from generator.spec import Spec, load_spec

pytestmark = pytest.mark.slow

CANVAS_WH = (400, 300)
# Derandomized: the same files every time, so that a failure here is one that everybody can see.
PROPERTY = settings(deadline=None, derandomize=True, database=None)

BACKGROUND = """\
prompt,num_imgs,negative_prompt
"a blood smear, stained",14,
a field,3,blurry
"""
CLASSES = """\
prompt,min_appear,max_appear,width_min,height_min,width_max,height_max,aspect_ratio_min,aspect_ratio_max,name,supercategory,y_min,y_max
"a cell, purple",1,2,22%,26%,34%,44%,,,cell,body,,
a dog,0,3,,,,,0.5,2,,animal,0.3,90%
a cat,1,1,40,30px,80,60,,,,animal,,
"""
# What people, spreadsheets and other programs put into cells; long numbers overflow a float, other digits are \d to re.
CELLS = st.sampled_from([
    *("", " ", "0", "1", "-1", "007", "3.5", "1,5", "1e3", "1e999", "30%", "0%", "400", "401", "64px", "12.05.2024"),
    *("9" * 400, "9" * 400 + "%", "0." + "9" * 400, "²", "٣", "½", "nan", "NA", "inf", "None", "true", "#REF!", "=1+1"),
    *("a", "a cow", ", a cow", "cell", "animal", "prompt", "num_imgs", "Num Imgs", "y_min", "width", "x" * 999),
    *("🦠", "'", '"', '""', '"a', 'a"b', '"a"b', "a\nb", "\r", "\0", "\x1a", "\u2028", "\ufeff"),
])  # fmt: skip
SNIPPETS = st.one_of(
    st.binary(min_size=1, max_size=4),
    st.sampled_from(
        [b",", b";", b'"', b"\n", b"\r", b"\r\n", b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"%", b"-", b".", b",,"]
    ),
    CELLS.filter(lambda cell: len(cell) < 1000).map(str.encode),
)
PLACE = st.integers(0, 10_000)


def outcome(folder: Path, background: bytes, classes: bytes) -> bool:
    """Load the pair and hold the contract; return whether it was refused."""
    contents = {folder / "background.csv": background, folder / "classes.csv": classes}
    for path, content in contents.items():
        path.write_bytes(content)
    try:
        spec = load_spec(folder / "background.csv", folder / "classes.csv", canvas_wh=CANVAS_WH)
    except SpecError as error:
        assert error.faults
        for fault in error.faults:
            content = contents[Path(fault.file)]
            lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1
            assert fault.line is not None
            assert 1 <= fault.line <= lines
            assert fault.expected
            assert str(fault).startswith(f"{fault.file}:{fault.line}: ")
        return True
    assert isinstance(spec, Spec)
    assert spec.num_scenes > 0
    assert len(spec.digest) == 16
    for row in spec.classes:
        assert row.name
        assert row.min_appear <= row.max_appear
        # What is let through can be drawn.
        width, height = draw_size(row, CANVAS_WH, np.random.default_rng(0))
        assert 4 <= width <= CANVAS_WH[0]
        assert 4 <= height <= CANVAS_WH[1]
    return False


@st.composite
def damaged_bytes(draw, whole: str) -> bytes:
    data = whole.encode()
    for _ in range(draw(st.integers(1, 5))):
        start = draw(PLACE) % (len(data) + 1)
        cut = draw(st.sampled_from([0, 1, 1, 2, 5, 20, 1000]))
        data = data[:start] + draw(st.one_of(st.just(b""), SNIPPETS)) + data[start + cut :]
    return data


@st.composite
def damaged_cells(draw, whole: str) -> bytes:
    rows = [line.split(",") for line in whole.splitlines()]
    for _ in range(draw(st.integers(1, 5))):
        row = rows[draw(PLACE) % len(rows)]
        column = draw(PLACE) % len(row)
        match draw(st.sampled_from(["replace", "replace", "replace", "random", "insert", "delete", "repeat", "empty"])):
            case "replace":
                row[column] = draw(CELLS)
            case "random":
                row[column] = draw(st.text(max_size=8))
            case "insert":
                row.insert(column, draw(CELLS))
            case "delete":
                row[column : column + 1] = [] if len(row) > 1 else [""]
            case "repeat":
                rows.insert(draw(PLACE) % len(rows), list(row))
            case "empty":
                row[:] = [""]
    delimiter, newline = draw(st.sampled_from([",", ",", ";"])), draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    return newline.join(delimiter.join(row) for row in rows).encode()


@st.composite
def random_tables(draw, whole: str) -> bytes:
    """Right columns, anything below them."""
    header = whole.splitlines()[0].split(",")
    columns = draw(st.permutations(header))[: draw(st.integers(1, len(header)))]
    rows = draw(st.lists(st.lists(st.one_of(CELLS, st.text(max_size=5)), max_size=len(header) + 1), max_size=5))
    quote = draw(st.booleans())
    cells = [['"' + cell.replace('"', '""') + '"' if quote else cell for cell in row] for row in rows]
    return "\n".join(",".join(row) for row in [columns, *cells]).encode()


WAYS = {
    "damaged bytes": damaged_bytes,
    "damaged cells": damaged_cells,
    "random tables": random_tables,
    "random text": lambda _: st.text(max_size=200).map(str.encode),
    "random bytes": lambda _: st.binary(max_size=200),
}


# How many of the pairs must be refused at least: a test of broken files that breaks none proves nothing.
@pytest.mark.parametrize(
    ("way", "pairs", "least"),
    [
        ("damaged bytes", 150, 100),
        ("damaged cells", 150, 100),
        ("random tables", 75, 70),
        ("random text", 75, 75),
        ("random bytes", 75, 75),
    ],
)
def test_broken_files_give_faults_with_lines(tmp_path, way, pairs, least):
    refused: list[bool] = []

    @settings(PROPERTY, max_examples=pairs)
    @given(WAYS[way](BACKGROUND), WAYS[way](CLASSES))
    def check(background: bytes, classes: bytes) -> None:
        refused.append(outcome(tmp_path, background, classes))

    check()
    assert sum(refused) >= least


@pytest.mark.parametrize("keep", ["background", "classes"])
def test_one_sound_file_beside_a_broken_one(tmp_path, keep):
    # Only one of the two is damaged, so that the rules between cells are reached more often.
    @settings(PROPERTY, max_examples=75)
    @given(damaged_cells(CLASSES if keep == "background" else BACKGROUND))
    def check(damaged: bytes) -> None:
        if keep == "background":
            outcome(tmp_path, BACKGROUND.encode(), damaged)
        else:
            outcome(tmp_path, damaged, CLASSES.encode())

    check()
