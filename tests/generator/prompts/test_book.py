"""The prompt book on disk: written, edited by hand, damaged, read again."""

import json
from pathlib import Path

import pytest

from generator.foundation.errors import PromptsError
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
    read_book,
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
