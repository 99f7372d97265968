"""A prompt book that does not fit its CSV files, lies beside others, was edited, or was damaged."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generator.foundation.errors import PromptsError, StorageError
from generator.prompts.book import (
    CAPTIONS_FILE,
    ENRICHED_FILE,
    BookRow,
    Caption,
    CaptionRow,
    Captions,
    Enriched,
    PromptBook,
    Text,
    check_rows_of_book,
    read_book,
    read_captions,
    write_book,
)
from generator.spec import BackgroundSpec, ClassSpec, Spec

SPEC = Spec(
    backgrounds=(BackgroundSpec(prompt="a green field", num_imgs=3),),
    classes=(
        ClassSpec(prompt="a brown cow", name="cow", min_appear=1, max_appear=2),
        ClassSpec(prompt="a brown cow", name="cattle", min_appear=1, max_appear=2),
    ),
)
ROWS = (
    BookRow(table="background", prompt="a green field", texts=(Text(text="a green field"),)),
    BookRow(table="classes", name="cow", prompt="a brown cow", texts=(Text(text="a brown cow"),)),
    BookRow(table="classes", name="cattle", prompt="a brown cow", texts=(Text(text="a brown cow"),)),
)
CAPTION = Caption(picture="a.png", sha256="00", text="a cow")
CAPTIONS = Captions(
    schema_version=1,
    model="sha256:1",
    parameters={},
    rows=(CaptionRow(table="classes", name="cow", prompt="a brown cow", references="cows", captions=(CAPTION,)),),
)


def book_of(*rows: BookRow, captions: Captions | None = None) -> PromptBook:
    return PromptBook(
        enriched=Enriched(schema_version=1, models={}, seed=0, parameters={}, rows=rows or ROWS), captions=captions
    )


BOOK = book_of(captions=CAPTIONS)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_row_of_the_csv_files_must_be_there(tmp_path):
    write_book(book_of(ROWS[1]), tmp_path)
    with pytest.raises(PromptsError) as caught:
        read_book(tmp_path, SPEC)
    assert [(fault.column, fault.found) for fault in caught.value.faults] == [
        ("background", "a green field"),
        ("classes", "cattle: a brown cow"),
    ]
    assert "make it again (boxpaint prompts) or add it" in caught.value.faults[0].expected
    assert read_book(tmp_path) == book_of(ROWS[1])  # without a spec it is a book


@pytest.mark.parametrize("texts", [(), (Text(text="a cow", rejected="by me"), Text(text="a calf", rejected="x"))])
def test_a_row_without_a_text_to_paint_from(tmp_path, texts):
    empty = BookRow(table="classes", name="cow", prompt="a brown cow", texts=texts)
    write_book(book_of(ROWS[0], empty, ROWS[2]), tmp_path)
    for spec in (SPEC, None):
        with pytest.raises(PromptsError) as caught:
            read_book(tmp_path, spec)
        (fault,) = caught.value.faults
        assert fault.file == str(tmp_path / ENRICHED_FILE)
        assert (fault.column, fault.found) == ("classes", "cow: a brown cow")
        assert fault.expected == "no text of this row is left to paint from"


def test_captions_are_read_from_beside(tmp_path):
    write_book(BOOK, tmp_path)
    assert read_book(tmp_path / ENRICHED_FILE).captions == CAPTIONS
    (tmp_path / CAPTIONS_FILE).unlink()
    assert read_book(tmp_path).captions is None
    (tmp_path / CAPTIONS_FILE).mkdir()
    assert read_book(tmp_path).captions is None


def test_faults_in_the_captions_name_their_file(tmp_path):
    write_book(BOOK, tmp_path)
    text = (tmp_path / CAPTIONS_FILE).read_text()
    (tmp_path / CAPTIONS_FILE).write_text(text.replace('"picture": "a.png"', '"picture": 7'))
    with pytest.raises(PromptsError) as caught:
        read_book(tmp_path)
    (fault,) = caught.value.faults
    assert (fault.file, fault.column, fault.found) == (
        str(tmp_path / CAPTIONS_FILE),
        "rows.0.captions.0.picture",
        "7",
    )
    assert text.splitlines()[fault.line - 1].strip() == '"picture": "a.png",'


@pytest.mark.parametrize("name", [ENRICHED_FILE, CAPTIONS_FILE])
def test_an_edited_file_is_not_replaced_unless_one_says_so(tmp_path, name):
    write_book(BOOK, tmp_path)
    path = tmp_path / name
    path.write_text(path.read_text().replace('"a brown cow"', '"a brown bull"'))
    before = contents(tmp_path)
    with pytest.raises(StorageError, match="holds another book") as caught:
        write_book(BOOK, tmp_path)
    assert str(path) in str(caught.value)
    assert f"--prompts {tmp_path} to show it" in str(caught.value)
    assert contents(tmp_path) == before
    write_book(BOOK, tmp_path, overwrite=True)
    assert contents(tmp_path) == {name: BOOK.files()[name] for name in (ENRICHED_FILE, CAPTIONS_FILE)}


def test_a_book_of_other_rows_is_refused_before_another_is_made(tmp_path):
    check_rows_of_book(tmp_path, SPEC)
    write_book(BOOK, tmp_path)
    check_rows_of_book(tmp_path, SPEC)
    with pytest.raises(StorageError, match=r"enriched\.json is the book of other rows.*--overwrite"):
        check_rows_of_book(tmp_path, replace(SPEC, backgrounds=(BackgroundSpec(prompt="a red field", num_imgs=3),)))


def test_the_captions_of_another_book_are_not_left_beside(tmp_path):
    write_book(BOOK, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(StorageError, match=r"captions\.json holds another book"):
        write_book(book_of(), tmp_path)
    assert contents(tmp_path) == before
    write_book(book_of(), tmp_path, overwrite=True)
    assert contents(tmp_path) == book_of().files()


def test_a_folder_in_place_of_the_file(tmp_path):
    (tmp_path / ENRICHED_FILE / "deeper").mkdir(parents=True)
    with pytest.raises(StorageError):
        write_book(BOOK, tmp_path)
    with pytest.raises(PromptsError, match="no such file"):
        read_book(tmp_path / ENRICHED_FILE)


def test_a_full_disk_leaves_the_old_book(tmp_path, monkeypatch):
    write_book(BOOK, tmp_path)
    before = contents(tmp_path)

    def full_disk(*_args, **_options):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(StorageError, match="the disk is full"):
        write_book(book_of(*ROWS[:2]), tmp_path, overwrite=True)
    assert contents(tmp_path) == before


WHOLE = BOOK.files()[ENRICHED_FILE]
DAMAGE = st.one_of(
    st.tuples(st.just("set"), st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=4)),
    st.tuples(st.just("insert"), st.integers(0, len(WHOLE)), st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("cut"), st.integers(0, len(WHOLE)), st.integers(1, 60)),
    st.tuples(
        st.just("insert"),
        st.integers(0, len(WHOLE)),
        st.sampled_from(
            [b'"', b"{", b"[", b"]", b"}", b",", b":", b"null", b"1e999", b"\\ud800", b"\t", b"#", b"&a *a"]
        ),
    ),
)


@settings(max_examples=400, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(DAMAGE, min_size=1, max_size=4))
def test_any_damage_is_a_book_or_faults_of_it(tmp_path_factory, damages):
    data = WHOLE
    for kind, place, what in damages:
        if kind == "cut":
            data = data[:place] + data[place + what :]
        else:
            data = data[:place] + what + data[place + (len(what) if kind == "set" else 0) :]
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_bytes(data)
    try:
        book = read_book(path, SPEC)
    except PromptsError as error:
        assert error.faults
        lines = data.count(b"\n") + data.count(b"\r") + 1
        for fault in error.faults:
            assert fault.file == str(path)
            assert fault.expected
            assert fault.line is None or 1 <= fault.line <= lines
    else:
        assert set(book.texts()) >= {row.key for row in ROWS}
        assert all(text.strip() for texts in book.texts().values() for text in texts)
        assert json.loads(book.files()[ENRICHED_FILE])


def test_a_row_that_stands_in_the_book_twice(tmp_path):
    write_book(book_of(*ROWS, ROWS[0]), tmp_path)
    with pytest.raises(PromptsError, match="stands in the book twice; leave one"):
        read_book(tmp_path, SPEC)


def test_captions_in_place_of_a_book(tmp_path):
    write_book(BOOK, tmp_path)
    with pytest.raises(PromptsError, match=r"this is captions\.json; give enriched\.json, or make one"):
        read_book(tmp_path / CAPTIONS_FILE)
    assert read_captions(tmp_path) == read_captions(tmp_path / CAPTIONS_FILE) == BOOK.captions
