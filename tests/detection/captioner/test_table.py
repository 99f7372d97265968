"""Caption tables as they come: every form read alike, bad rows skipped with a reason, hopeless files refused."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.captioner.table import CaptionTable, read_caption_table
from generator.foundation.errors import BoxpaintError, DatasetError

NAMES = ("1000_a.jpg", "1001_b.jpg", "1002_c.jpg")
DOG, CAT, COW = "a dog runs", "a cat, asleep", "a cow"


@pytest.fixture()
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(b"only the name counts")
    return folder


def read(images: Path, text: str | bytes) -> CaptionTable:
    path = images.parent / "captions.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_caption_table(path, images)


def pairs_of(table: CaptionTable) -> list[tuple[str, str]]:
    return [(picture.name, caption) for picture, caption in table.pairs]


EXPECTED = [(NAMES[0], DOG), (NAMES[1], CAT), (NAMES[2], COW)]
FORMS = {
    "kaggle": f'image,caption\n{NAMES[0]},{DOG}\n{NAMES[1]},"{CAT}"\n{NAMES[2]},{COW}\n',
    "flickr8k tokens": f"{NAMES[0]}#0\t{DOG}\n{NAMES[1]}#0\t{CAT}\n{NAMES[2]}#4\t{COW}\n",
    "flickr30k results": (
        f"image_name| comment_number| comment\n{NAMES[0]}| 0| {DOG}\n{NAMES[1]}| 1| {CAT}\n{NAMES[2]}| 0| {COW}\n"
    ),
    "semicolons, other order and words": f"satz;Datei\n{DOG};{NAMES[0]}\n{CAT};{NAMES[1]}\n{COW};{NAMES[2]}\n",
    "byte order mark and CRLF": (
        f'\ufefffilename,text\r\n{NAMES[0]},{DOG}\r\n{NAMES[1]},"{CAT}"\r\n{NAMES[2]},{COW}\r\n'
    ),
    "no header": f'{NAMES[0]},{DOG}\n{NAMES[1]},"{CAT}"\n{NAMES[2]},{COW}',
    "separator in an unquoted caption": f"image,caption\n{NAMES[0]},{DOG}\n{NAMES[1]},{CAT}\n{NAMES[2]},{COW}\n",
    "the same without a header": f"{NAMES[0]},{DOG}\n{NAMES[1]},{CAT}\n{NAMES[2]},{COW}\n",
    "the same with a column behind": (
        f"img,comment,split\n{NAMES[0]},{DOG},train\n{NAMES[1]},{CAT},val\n{NAMES[2]},{COW},train\n"
    ),
    "no suffix": f'image_id,sentence\n1000_a,{DOG}\n1001_b,"{CAT}"\n1002_c,{COW}\n',
    "another suffix and case": f'img,description\n1000_A.PNG,{DOG}\n1001_B.jpg,"{CAT}"\n1002_c.jpeg,{COW}\n',
    "leading folders": (
        f'path,caption\ndata/x/{NAMES[0]},{DOG}\nC:\\pics\\{NAMES[1]},"{CAT}"\n/mnt/{NAMES[2]},{COW}\n'
    ),
    "commas that a spreadsheet added": (
        f'image,caption,,\n{NAMES[0]},{DOG},,\n{NAMES[1]},"{CAT}",,\n{NAMES[2]},{COW},,\n'
    ),
    "empty lines": f'\nimage,caption\n\n{NAMES[0]},{DOG}\n\n{NAMES[1]},"{CAT}"\n{NAMES[2]},{COW}\n\n',
    "a caption over two lines": f'image,caption\n{NAMES[0]},"a dog\nruns"\n{NAMES[1]},"{CAT}"\n{NAMES[2]},{COW}\n',
    "a header that R wrote": (
        f'"img","txt"\n"1","{NAMES[0]}","{DOG}"\n"2","{NAMES[1]}","{CAT}"\n"3","{NAMES[2]}","{COW}"\n'
    ),
    "numbers of rows and other text": (
        f'id,file,width,caption,licence\n0,{NAMES[0]},640,{DOG},cc\n1,{NAMES[1]},500,"{CAT}",cc\n'
        f"2,{NAMES[2]},640,{COW},cc\n"
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pairs(images: Path, form: str) -> None:
    table = read(images, FORMS[form])
    assert pairs_of(table) == EXPECTED
    assert table.skipped == ()


def test_the_columns_are_named_for_the_user(images: Path) -> None:
    flickr30k, bare = read(images, FORMS["flickr30k results"]), read(images, FORMS["no header"])
    assert (flickr30k.image_column, flickr30k.caption_column) == ("image_name", "comment")
    assert (bare.image_column, bare.caption_column) == ("1", "2")


def test_captions_of_a_picture_come_together_in_their_order(images: Path) -> None:
    table = read(images, f"image,caption\n{NAMES[1]},first\n{NAMES[0]},second\n{NAMES[1]},third\n")
    assert pairs_of(table) == [(NAMES[1], "first"), (NAMES[1], "third"), (NAMES[0], "second")]
    assert table.captions == {images / NAMES[1]: ("first", "third"), images / NAMES[0]: ("second",)}


def test_the_caption_number_is_no_name_even_when_pictures_are_called_like_it(images: Path) -> None:
    for number in range(3):
        (images / f"{number}.jpg").touch()
    text = "".join(f"{number}.jpg| {number}| {caption}\n" for number, caption in enumerate((DOG, CAT, COW)))
    assert pairs_of(read(images, text)) == [("0.jpg", DOG), ("1.jpg", CAT), ("2.jpg", COW)]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("9999.jpg,a horse", ["captions.csv:3", "'image'", "'9999.jpg'", "no such picture"]),
        (f"{NAMES[0]},", ["captions.csv:3", "'caption'", "caption is missing"]),
        (f"{NAMES[0]},...", ["captions.csv:3", "needs words"]),
        (NAMES[0], ["captions.csv:3", "1 cells", "2 columns"]),
        (",a horse", ["captions.csv:3", "name of a picture is missing"]),
    ],
)
def test_a_row_that_cannot_be_used_is_skipped_with_line_and_reason(images: Path, row: str, words: list[str]) -> None:
    table = read(images, f"image,caption\n{NAMES[0]},{DOG}\n{row}\n{NAMES[2]},{COW}\n")
    assert pairs_of(table) == [EXPECTED[0], EXPECTED[2]]
    (fault,) = table.skipped
    for word in words:
        assert word in str(fault)


def test_flickr30ks_own_broken_row_is_skipped(images: Path) -> None:
    text = f"image_name| comment_number| comment\n{NAMES[0]}| 0| {DOG}\n{NAMES[0]}| 4   {DOG}\n{NAMES[1]}| 0| {CAT}\n"
    table = read(images, text)
    assert pairs_of(table) == EXPECTED[:2]
    assert [fault.line for fault in table.skipped] == [3]


@pytest.mark.parametrize("stray", ['"a dog runs', 'a "dog runs', '"a" dog runs'])
def test_a_stray_quote_swallows_nothing(images: Path, stray: str) -> None:
    table = read(images, f'image,caption\n{NAMES[0]},{stray}\n7.jpg,"gone"\n{NAMES[1]},"{CAT}"\n{NAMES[2]},{COW}\n')
    assert [(name, caption.replace('"', "")) for name, caption in pairs_of(table)] == EXPECTED
    assert [fault.line for fault in table.skipped] == [3]


def test_one_name_in_two_folders_needs_its_path(images: Path) -> None:
    for folder in ("a", "b"):
        (images / folder).mkdir()
        (images / folder / "same.jpg").touch()
    table = read(images, f"image,caption\na/same.jpg,{DOG}\nsame.jpg,{CAT}\n{NAMES[2]},{COW}\n")
    assert [picture.relative_to(images).as_posix() for picture, _ in table.pairs] == ["a/same.jpg", NAMES[2]]
    assert "several pictures" in str(table.skipped[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["captions.csv:1", "empty"]),
        (",,\n,,\n", ["captions.csv:1", "empty"]),
        ("image,caption\n", ["captions.csv:1", "no row", "1000_a.jpg"]),
        (f"image,caption\n8.jpg,{DOG}\n9.jpg,{CAT}\n", ["captions.csv:2", "'8.jpg'", "3 pictures", "--images"]),
        (f"image,label\n{NAMES[0]},3\n{NAMES[1]},4\n", ["captions.csv:2", "no captions", "a dog runs"]),
        (f"image\n{NAMES[0]}\n{NAMES[1]}\n", ["captions.csv:2", "no captions"]),
        (b"image,caption\n1000_a.jpg,caf\xe9\n", ["captions.csv:2", "UTF-8"]),
    ],
)
def test_a_hopeless_table_says_what_was_found_and_what_would_be_right(
    images: Path, text: str | bytes, words: list[str]
) -> None:
    with pytest.raises(BoxpaintError) as caught:
        read(images, text)
    for word in words:
        assert word in str(caught.value)


def test_a_missing_folder_an_empty_one_and_a_missing_table_are_named(images: Path, tmp_path: Path) -> None:
    table = tmp_path / "captions.csv"
    table.write_text(FORMS["kaggle"])
    with pytest.raises(DatasetError, match=r"nowhere: there is no such folder; --images"):
        read_caption_table(table, tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="a file, not a folder"):
        read_caption_table(table, table)
    (tmp_path / "bare").mkdir()
    with pytest.raises(DatasetError, match=r"bare: the folder holds no pictures"):
        read_caption_table(table, tmp_path / "bare")
    with pytest.raises(BoxpaintError, match=r"none\.csv: there is no such file"):
        read_caption_table(tmp_path / "none.csv", images)


CELLS = st.sampled_from(
    [*NAMES, "1000_a", "9.jpg", "image", DOG, CAT, "", '"', '""', "#0", "/", ".", "\x00", "é\u2028"]
)
SEPARATORS = st.sampled_from([",", ";", "\t", "|", "| ", "\n", "\r", "\r\n", '"', " "])


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(st.tuples(CELLS, SEPARATORS), max_size=40).map(lambda parts: "".join(a + b for a, b in parts)),
    )
)
def test_any_text_gives_sound_pairs_or_one_clear_error(text: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        images = Path(name) / "images"
        images.mkdir()
        for file in NAMES:
            (images / file).touch()
        try:
            table = read(images, text.encode("utf-8", "surrogatepass"))
        except BoxpaintError as error:
            assert str(error)
            return
        assert table.pairs
        for picture, caption in table.pairs:
            assert picture.is_file()
            assert caption.strip()
        assert all(fault.line is not None and fault.expected for fault in table.skipped)
        seen = list(dict.fromkeys(picture for picture, _ in table.pairs))
        assert [picture for picture, _ in table.pairs] == sorted(
            (picture for picture, _ in table.pairs), key=seen.index
        )
