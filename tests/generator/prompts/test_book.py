"""The prompt book on disk: written, edited by hand, damaged, read again, beside others and for other CSV files."""

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
    Skipped,
    Text,
    check_rows_of_book,
    read_book,
    read_captions,
    write_book,
)
from generator.spec import BackgroundSpec, ClassSpec, Spec

FIELD = BackgroundSpec(prompt="a green field", num_imgs=3)
COW = ClassSpec(prompt="a brown cow", name="cow", min_appear=1, max_appear=2)
SPEC = Spec(backgrounds=(FIELD,), classes=(COW,))

CAPTIONS = Captions(
    schema_version=1,
    model="sha256:1",
    parameters={"prefix": ""},
    rows=(
        CaptionRow(
            table="classes",
            name="cow",
            prompt="a brown cow",
            references="photos/cows",
            captions=(Caption(picture="a.png", sha256="00", text="a cow lying in grass"),),
            skipped=(Skipped(picture="b.png", reason="is no picture"),),
        ),
    ),
)


def book_of(*texts: Text, captions: Captions | None = None, **given: object) -> PromptBook:
    cow = BookRow(table="classes", name="cow", prompt="a brown cow", texts=(Text(text="a brown cow"), *texts))
    field = BookRow(table="background", prompt="a green field", texts=(Text(text="a green field", source="prompt"),))
    page = {"models": {"enricher": "sha256:2"}, "seed": 7, "parameters": {"variants": 4}, "rows": (field, cow), **given}
    return PromptBook(enriched=Enriched(schema_version=1, **page), captions=captions)


BOOK = book_of(
    Text(text="a cow, naïve “brown” 牛", source="gpt2", similarity=0.91, nearest=0.95),
    Text(text="a cow, a cow", source="gpt2", rejected="speaks of several: cow, cow"),
    Text(text="a calf", source="gpt2", rejected="lacks the class noun: cow"),
    Text(text="a cow at night", source="attributes", similarity=0.1, nearest=0.1, rejected="off-topic: 0.1 to the row"),
    Text(text="a cows", source="gpt2", rejected="speaks of several: cows"),
    captions=CAPTIONS,
)


def write(folder: Path, content: object) -> Path:
    path = folder / ENRICHED_FILE
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content, indent=1).encode())
    return path


def edited(folder: Path, change) -> Path:
    """The book's file, as data, changed by a function."""
    data = json.loads(BOOK.files()[ENRICHED_FILE])
    change(data)
    return write(folder, data)


def faults_of(path: Path, spec: Spec | None = None) -> list[tuple[int | None, str | None, str | None, str]]:
    with pytest.raises(PromptsError) as caught:
        read_book(path, spec)
    assert {fault.file for fault in caught.value.faults} == {str(path)}
    return [(fault.line, fault.column, fault.found, fault.expected) for fault in caught.value.faults]


# There and back.


def test_a_book_comes_back_as_it_was_written(tmp_path):
    paths = write_book(BOOK, tmp_path / "new" / "prompts")
    assert [path.name for path in paths] == [ENRICHED_FILE, CAPTIONS_FILE]
    assert read_book(tmp_path / "new" / "prompts", SPEC) == read_book(paths[0], SPEC) == BOOK
    assert write_book(BOOK, tmp_path / "new" / "prompts") == paths  # the same again is no conflict


def test_what_is_used_and_what_was_rejected():
    field, cow = BOOK.enriched.rows
    assert cow.key == COW.key == ("classes", "cow", "a brown cow")
    assert field.key == FIELD.key == ("background", "", "a green field")
    assert cow.kept == ("a brown cow", "a cow, naïve “brown” 牛")
    assert cow.rejections() == {"speaks of several": 2, "lacks the class noun": 1, "off-topic": 1}
    assert field.rejections() == {}
    assert BOOK.texts() == {field.key: ("a green field",), cow.key: cow.kept}


def test_equal_texts_are_used_once():
    book = book_of(Text(text="a cow"), Text(text="a  cow\n"), Text(text="a cow", rejected="x"))
    assert book.enriched.rows[1].kept == ("a brown cow", "a cow")


# The digest: what decides pictures.


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (book_of(Text(text="a cow")), True),
        (book_of(Text(text="a cow", source="gpt2", similarity=0.5, nearest=0.6)), True),
        (book_of(Text(text="a cow"), Text(text="a calf", rejected="by me")), True),
        (book_of(Text(text="a cow"), captions=CAPTIONS), True),
        (book_of(Text(text="a cow"), seed=8, models={}, parameters={}), True),
        (book_of(Text(text="a cow", rejected="by me")), False),
        (book_of(Text(text="a Cow")), False),
        (book_of(Text(text="a cow"), Text(text="a cow in snow")), False),
    ],
)
def test_the_digest_follows_the_texts_in_use(other, same):
    digest = book_of(Text(text="a cow")).digest
    assert len(digest) == 16
    assert (other.digest == digest) is same


# Edited by hand.


def test_a_text_may_be_given_alone(tmp_path):
    path = edited(tmp_path, lambda data: data["rows"][1].update(texts=[{"text": " a  cow\tof mine "}]))
    (text,) = read_book(path, SPEC).enriched.rows[1].texts
    assert text == Text(text="a cow of mine", source="edited")


def test_an_editor_may_add_a_byte_order_mark_and_crlf(tmp_path):
    data = BOOK.files()[ENRICHED_FILE].decode()
    assert read_book(write(tmp_path, data.replace("\n", "\r\n").encode("utf-8-sig"))).digest == BOOK.digest


FILE = """\
{
 "schema_version": 1, "models": {},
 "seed": 7,
 "parameters": {},
 "rows": [
  {
   "table": "classes",
   "name": "cow",
   "prompt": "a brown cow",
   "texts": [
    {"text": "a brown cow"},
    {
     "text": "a cow in snow",
     "source": "gpt2",
     "similarity": 0.9
    }
   ]
  }
 ]
}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"seed": 7', '"seed": "many"', [(3, "seed", "many", "valid integer")]),
        ('"seed": 7,', "", [(None, "seed", None, "missing")]),
        ('"seed": 7', '"sead": 7', [(3, "sead", None, "did you mean 'seed'?"), (None, "seed", None, "missing")]),
        ('"table": "classes"', '"table": "things"', [(7, "rows.0.table", "things", "'background' or 'classes'")]),
        ('"prompt": "a brown cow",', "", [(6, "rows.0.prompt", None, "missing")]),
        ('"text": "a cow in snow",', "", [(12, "rows.0.texts.1.text", None, "missing")]),
        ('"text": "a cow in snow"', '"text": ""', [(13, "rows.0.texts.1.text", "", "at least 1 character")]),
        ('"text": "a cow in snow"', '"text": " . 3"', [(13, "rows.0.texts.1.text", " . 3", "a text in words")]),
        ('"text": "a cow in snow"', '"text": null', [(13, "rows.0.texts.1.text", "None", "valid string")]),
        ('"text": "a cow in snow"', '"text": ["a cow"]', [(13, "rows.0.texts.1.text", "['a cow']", "valid string")]),
        ('"similarity": 0.9', '"similarity": "high"', [(15, "rows.0.texts.1.similarity", "high", "valid number")]),
        ('"similarity": 0.9', '"similar": 0.9', [(15, "rows.0.texts.1.similar", None, "did you mean 'similarity'?")]),
        ('{"text": "a brown cow"}', '"a brown cow"', [(11, "rows.0.texts.0", "a brown cow", "valid dictionary")]),
        ('"models": {}', '"schema_version": 2, "models": {}', [(2, "schema_version", "2", "a newer boxpaint")]),
        ('"seed": 7', '"seed": 7\n "x": 1', [(4, None, None, "is not JSON: Expecting ',' delimiter")]),
        ("a cow in snow", "a cow\nin snow", [(13, None, None, "is not JSON: Invalid control character")]),
        ("}\n ]\n}\n", "}\n ]\n", [(20, None, None, "is not JSON")]),
    ],
)
def test_faults_name_line_and_place(tmp_path, old, new, expected):
    assert FILE.count(old) == 1
    faults = faults_of(write(tmp_path, FILE.replace(old, new).encode()))
    assert [fault[:3] for fault in sorted(faults, key=str)] == [case[:3] for case in sorted(expected, key=str)]
    for fault, case in zip(sorted(faults, key=str), sorted(expected, key=str), strict=True):
        assert case[3] in fault[3]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not JSON"),
        (FILE.encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (FILE.replace("brown", "br\xf6wn").encode("latin-1"), "not UTF-8"),
        (b"[" * 100_000, "is not JSON"),
        (FILE.replace("7", "9" * 5000).encode(), "is not JSON"),
        (b"[]", "valid dictionary"),
    ],
)
def test_a_file_that_is_no_book(tmp_path, content, words):
    (fault,) = faults_of(write(tmp_path, content))
    assert words in fault[3]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a cow in snow", r"a cow \ud800"),  # half of a pair: JSON allows it, UTF-8 does not
        ('"parameters": {}', '"parameters": {"x": "\\udfff"}'),
        ('"parameters": {}', '"parameters": {"x": ' + "[" * 400 + "]" * 400 + "}"),
        ('"similarity": 0.9', '"similarity": NaN'),
        ('"similarity": 0.9', '"similarity": 1e999'),
    ],
)
def test_what_can_be_read_can_be_written(tmp_path, old, new):
    path = write(tmp_path, FILE.replace(old, new).encode())
    try:
        book = read_book(path)
    except PromptsError:
        return
    assert book.digest
    write_book(book, tmp_path / "other")
    assert read_book(tmp_path / "other").digest == book.digest


def test_a_missing_book_says_how_to_make_one(tmp_path):
    for path in (tmp_path / ENRICHED_FILE, tmp_path):
        with pytest.raises(PromptsError, match=r"enriched\.json: there is no such file; boxpaint prompts makes it"):
            read_book(path)


# Beside others, and for other CSV files.

HERD = Spec(
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


def book_with(*rows: BookRow, captions: Captions | None = None) -> PromptBook:
    return PromptBook(
        enriched=Enriched(schema_version=1, models={}, seed=0, parameters={}, rows=rows or ROWS), captions=captions
    )


HERD_BOOK = book_with(captions=CAPTIONS)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_row_of_the_csv_files_must_be_there(tmp_path):
    write_book(book_with(ROWS[1]), tmp_path)
    with pytest.raises(PromptsError) as caught:
        read_book(tmp_path, HERD)
    assert [(fault.column, fault.found) for fault in caught.value.faults] == [
        ("background", "a green field"),
        ("classes", "cattle: a brown cow"),
    ]
    assert "make it again (boxpaint prompts) or add it" in caught.value.faults[0].expected
    assert read_book(tmp_path) == book_with(ROWS[1])  # without a spec it is a book
    write_book(book_with(*ROWS, ROWS[0]), tmp_path, overwrite=True)
    with pytest.raises(PromptsError, match="stands in the book twice; leave one"):
        read_book(tmp_path, HERD)


@pytest.mark.parametrize("texts", [(), (Text(text="a cow", rejected="by me"), Text(text="a calf", rejected="x"))])
def test_a_row_without_a_text_to_paint_from(tmp_path, texts):
    empty = BookRow(table="classes", name="cow", prompt="a brown cow", texts=texts)
    write_book(book_with(ROWS[0], empty, ROWS[2]), tmp_path)
    for spec in (HERD, None):
        with pytest.raises(PromptsError) as caught:
            read_book(tmp_path, spec)
        (fault,) = caught.value.faults
        assert fault.file == str(tmp_path / ENRICHED_FILE)
        assert (fault.column, fault.found) == ("classes", "cow: a brown cow")
        assert fault.expected == "no text of this row is left to paint from"


def test_captions_are_read_from_beside(tmp_path):
    write_book(HERD_BOOK, tmp_path)
    assert read_book(tmp_path / ENRICHED_FILE).captions == CAPTIONS
    (tmp_path / CAPTIONS_FILE).unlink()
    assert read_book(tmp_path).captions is None
    (tmp_path / CAPTIONS_FILE).mkdir()
    assert read_book(tmp_path).captions is None


def test_faults_in_the_captions_name_their_file(tmp_path):
    write_book(HERD_BOOK, tmp_path)
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
    write_book(HERD_BOOK, tmp_path)
    path = tmp_path / name
    path.write_text(path.read_text().replace('"a brown cow"', '"a brown bull"'))
    before = contents(tmp_path)
    with pytest.raises(StorageError, match="holds another book") as caught:
        write_book(HERD_BOOK, tmp_path)
    assert str(path) in str(caught.value)
    assert f"--prompts {tmp_path} to show it" in str(caught.value)
    assert contents(tmp_path) == before
    write_book(HERD_BOOK, tmp_path, overwrite=True)
    assert contents(tmp_path) == {name: HERD_BOOK.files()[name] for name in (ENRICHED_FILE, CAPTIONS_FILE)}


def test_a_book_of_other_rows_is_refused_before_another_is_made(tmp_path):
    check_rows_of_book(tmp_path, HERD)
    write_book(HERD_BOOK, tmp_path)
    check_rows_of_book(tmp_path, HERD)
    with pytest.raises(StorageError, match=r"enriched\.json is the book of other rows.*--overwrite"):
        check_rows_of_book(tmp_path, replace(HERD, backgrounds=(BackgroundSpec(prompt="a red field", num_imgs=3),)))


def test_the_captions_of_another_book_are_not_left_beside(tmp_path):
    write_book(HERD_BOOK, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(StorageError, match=r"captions\.json holds another book"):
        write_book(book_with(), tmp_path)
    assert contents(tmp_path) == before
    write_book(book_with(), tmp_path, overwrite=True)
    assert contents(tmp_path) == book_with().files()


def test_a_folder_in_place_of_the_file(tmp_path):
    (tmp_path / ENRICHED_FILE / "deeper").mkdir(parents=True)
    with pytest.raises(StorageError):
        write_book(HERD_BOOK, tmp_path)
    with pytest.raises(PromptsError, match="no such file"):
        read_book(tmp_path / ENRICHED_FILE)


def test_a_full_disk_leaves_the_old_book(tmp_path, monkeypatch):
    write_book(HERD_BOOK, tmp_path)
    before = contents(tmp_path)

    def full_disk(*_args, **_options):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(StorageError, match="the disk is full"):
        write_book(book_with(*ROWS[:2]), tmp_path, overwrite=True)
    assert contents(tmp_path) == before


WHOLE = HERD_BOOK.files()[ENRICHED_FILE]
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
        book = read_book(path, HERD)
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


def test_captions_in_place_of_a_book(tmp_path):
    write_book(HERD_BOOK, tmp_path)
    with pytest.raises(PromptsError, match=r"this is captions\.json; give enriched\.json, or make one"):
        read_book(tmp_path / CAPTIONS_FILE)
    assert read_captions(tmp_path) == read_captions(tmp_path / CAPTIONS_FILE) == HERD_BOOK.captions
