from collections.abc import Callable
from pathlib import Path

import pytest

from generator.foundation.errors import Fault, SpecError
from generator.spec import BackgroundSpec, ClassSpec, Length, Spec, find_table, load_spec

CANVAS_WH = (400, 300)

BACKGROUND = """\
prompt,num_imgs
a green field,3
a sandy beach,0
"""
CLASSES = """\
prompt,min_appear,max_appear,width_min,height_min,width_max,height_max,name
a brown cow,1,2,40,30,80,60,
an old dog,0,1,10%,10%,20%,20%,pet
"""

HEAD = "prompt,min_appear,max_appear"
SIZED = f"{HEAD},width_min,height_min,width_max,height_max"
RATIO = f"{HEAD},aspect_ratio_min,aspect_ratio_max"
BAND = f"{HEAD},y_min,y_max"
BOTH = f"{SIZED},aspect_ratio_min,aspect_ratio_max"
NAMED = f"{HEAD},name,supercategory"


def px(value: float) -> Length:
    return Length(value=float(value), is_share=False)


def share(value: float) -> Length:
    return Length(value=value, is_share=True)


EXPECTED = Spec(
    backgrounds=(
        BackgroundSpec(prompt="a green field", num_imgs=3, line=2),
        BackgroundSpec(prompt="a sandy beach", num_imgs=0, line=3),
    ),
    classes=(
        ClassSpec(
            prompt="a brown cow",
            name="brown cow",
            min_appear=1,
            max_appear=2,
            sizes=(px(40), px(30), px(80), px(60)),
            line=2,
        ),
        ClassSpec(
            prompt="an old dog",
            name="pet",
            min_appear=0,
            max_appear=1,
            sizes=(share(0.1), share(0.1), share(0.2), share(0.2)),
            line=3,
        ),
    ),
)


def load(folder: Path, background: str | bytes = BACKGROUND, classes: str | bytes = CLASSES) -> Spec:
    for name, content in (("background.csv", background), ("classes.csv", classes)):
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return load_spec(folder / "background.csv", folder / "classes.csv", canvas_wh=CANVAS_WH)


def faults_of(folder: Path, background: str | bytes = BACKGROUND, classes: str | bytes = CLASSES) -> tuple[Fault, ...]:
    with pytest.raises(SpecError) as caught:
        load(folder, background, classes)
    return caught.value.faults


def short(fault: Fault) -> tuple[str, int | None, str | None, str | None]:
    return (Path(fault.file).name, fault.line, fault.column, fault.found)


def test_a_plain_pair(tmp_path):
    assert load(tmp_path) == EXPECTED


def quoted(text: str) -> str:
    return "".join('"' + line.replace(",", '","') + '"\n' for line in text.splitlines())


LIBERTIES: dict[str, Callable[[str], str | bytes]] = {
    "no newline at the end": str.rstrip,
    "a trailing comma on every line": lambda text: text.replace("\n", ",\n"),
    "three trailing commas on every line": lambda text: text.replace("\n", ",,,\n"),
    "trailing commas below the header only": lambda text: text.replace("\n", ",\n").replace(",\n", "\n", 1),
    "spaces after commas": lambda text: text.replace(",", ", "),
    "spaces around cells": lambda text: text.replace(",", " ,\t").replace("\n", "  \n"),
    "no-break spaces": lambda text: text.replace(",", ",\u00a0"),
    "a byte order mark": lambda text: text.encode("utf-8-sig"),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "CR": lambda text: text.replace("\n", "\r"),
    "a byte order mark and CRLF": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "every cell in quotes": quoted,
    "every cell in quotes, spaces after commas": lambda text: quoted(text).replace(",", ", "),
    "empty trailing lines": lambda text: text + "\n\n   \n",
    "trailing lines of commas": lambda text: text + ",,\n,,,,,,,,,,,\n",
    "empty lines between": lambda text: text.replace("\n", "\n\n"),
    "empty lines above": lambda text: "\n,,\n" + text,
    "semicolons": lambda text: text.replace(",", ";"),
    "semicolons and trailing semicolons": lambda text: text.replace(",", ";").replace("\n", ";\n"),
    "semicolons and CRLF": lambda text: text.replace(",", ";").replace("\n", "\r\n"),
    "capitals and spaces in the header": lambda text: text.replace("prompt", " Prompt").replace("_", " "),
    "all that Excel does": lambda text: quoted(text).replace(",", ";").replace("\n", ";\r\n").encode("utf-8-sig"),
}


@pytest.mark.parametrize("name", LIBERTIES)
def test_liberties(tmp_path, name):
    take = LIBERTIES[name]
    spec = load(tmp_path, take(BACKGROUND), take(CLASSES))
    assert spec.to_json() == EXPECTED.to_json()
    assert spec.digest == EXPECTED.digest


def test_lines_are_those_of_the_editor(tmp_path):
    spec = load(tmp_path, 'prompt,num_imgs\n\n"a\nfield",1\n,,\na beach,1\n')
    assert [(row.prompt, row.line) for row in spec.backgrounds] == [("a\nfield", 3), ("a beach", 6)]


def test_a_quoted_comma_belongs_to_the_prompt(tmp_path):
    background = 'prompt,num_imgs\n"a field, in the rain",3\n'
    classes = 'prompt,min_appear,max_appear\n"a cow, brown, seen from the side",1,2\n'
    spec = load(tmp_path, background, classes)
    assert spec.backgrounds[0].prompt == "a field, in the rain"
    assert spec.classes[0].prompt == "a cow, brown, seen from the side"
    assert spec.classes[0].name == "cow"


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("width_min,height_min,width_max,height_max", "40,30,80,60"),
        ("width_min,width_max,height_min,height_max", "40,80,30,60"),
        ("height_max,width_max,height_min,width_min", "60,80,30,40"),
        ("width_min,height_min,width_max,height_max", "40px,30 px,80.0,59.6"),
        ("width_min,height_min,width_max,height_max", "10%,10%,20%,20 %"),
        ("width_min,height_min,width_max,height_max", "10%,30,80,20%"),
    ],
)
def test_sizes_in_any_order_and_unit(tmp_path, header, row):
    spec = load(tmp_path, classes=f"prompt,min_appear,max_appear,{header}\na cow,1,2,{row}\n")
    assert spec.classes[0].size_ranges_px(CANVAS_WH) == (40, 30, 80, 60)


def test_shares_follow_the_canvas(tmp_path):
    dog = load(tmp_path).classes[1]
    assert dog.size_ranges_px((400, 300)) == (40, 30, 80, 60)
    assert dog.size_ranges_px((1000, 500)) == (100, 50, 200, 100)


def test_every_column(tmp_path):
    (tmp_path / "photos" / "cows").mkdir(parents=True)
    (tmp_path / "photos" / "cows" / "a.png").touch()
    header = f"{RATIO},supercategory,negative_prompt,references,synonyms,y_min,y_max"
    rows = "the cow,0,3,0.5,2,animal,cartoon,photos/cows,bull; calf,30%,0.9\na cow,1,1,,,,,,,,\n"
    spec = load(tmp_path, "negative_prompt,num_imgs,prompt\nblurry,2,a field\n", f"{header}\n{rows}")
    assert spec.backgrounds == (BackgroundSpec(prompt="a field", num_imgs=2, negative_prompt="blurry", line=2),)
    assert spec.classes == (
        ClassSpec(
            prompt="the cow",
            name="cow",
            min_appear=0,
            max_appear=3,
            aspect_ratios=(0.5, 2.0),
            supercategory="animal",
            negative_prompt="cartoon",
            references="photos/cows",
            synonyms=("bull", "calf"),
            band=(0.3, 0.9),
            line=2,
        ),
        # Left out: nearly square, anywhere.
        ClassSpec(
            prompt="a cow",
            name="cow",
            min_appear=1,
            max_appear=1,
            aspect_ratios=(0.75, 1.33),
            band=(0, 1),
            line=3,
        ),
    )
    assert spec.classes[0].size_ranges_px(CANVAS_WH) is None


def test_sums_and_categories(tmp_path):
    classes = (
        "prompt,min_appear,max_appear,name,supercategory\n"
        "a red apple,1,1,,\na wolf,1,1,,\na green apple,1,1,red apple,fruit\na fox,1,1,,animal\na fox,1,1,,\n"
    )
    spec = load(tmp_path, "prompt,num_imgs\na,2\nb,0\nc,5\n", classes)
    assert spec.num_scenes == 7
    # First appearance decides the order, and with it the ids in COCO; the supercategory may be said once.
    assert list(spec.categories.items()) == [("red apple", "fruit"), ("wolf", ""), ("fox", "animal")]


def test_the_digest_sees_content_and_nothing_else(tmp_path):
    digest = load(tmp_path).digest
    assert len(digest) == 16
    assert load(tmp_path, "\n\n" + BACKGROUND, CLASSES).digest == digest
    assert load(tmp_path, BACKGROUND.replace(",3", ",4")).digest != digest
    assert load(tmp_path, classes=CLASSES.replace("40", "41")).digest != digest


@pytest.mark.parametrize(
    ("name", "asked"), [("backgrounds.csv", "background.csv"), ("background.csv", "backgrounds.csv")]
)
def test_both_names_of_the_background_file(tmp_path, name, asked):
    (tmp_path / name).write_text(BACKGROUND)
    (tmp_path / "classes.csv").write_text(CLASSES)
    assert load_spec(tmp_path / asked, str(tmp_path / "classes.csv"), canvas_wh=CANVAS_WH) == EXPECTED


def test_the_name_that_was_asked_for_wins(tmp_path):
    assert find_table(tmp_path / "background.csv") == tmp_path / "background.csv"  # neither is there
    for name in ("background.csv", "backgrounds.csv"):
        (tmp_path / name).touch()
    assert find_table(str(tmp_path / "background.csv")) == tmp_path / "background.csv"
    assert find_table(tmp_path / "backgrounds.csv") == tmp_path / "backgrounds.csv"
    assert find_table(tmp_path / "class.csv") == tmp_path / "class.csv"


def test_the_two_files_of_the_repository():
    root = Path(__file__).parents[3]
    spec = load_spec(root / "background.csv", root / "classes.csv", canvas_wh=(416, 320))
    assert spec.num_scenes > 0
    assert list(spec.categories) == ["white blood cell", "platelet"]


# Faults: (line, column, found, words of what would be right).
COUNT = "a whole number from 0 to 10,000,000 is needed"
QUOTES = "check the quotes from this line on"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("", [(1, None, None, "the file is empty")], id="empty"),
        pytest.param("\n\n,,\n", [(1, None, None, "names the columns: prompt, num_imgs")], id="only blanks"),
        pytest.param("prompt,num_imgs\n", [(1, None, None, "no rows below the header")], id="no rows"),
        pytest.param("prompt,num_imgs\n,\n\n", [(3, None, None, "no rows below the header")], id="blank rows"),
        pytest.param("prompt\nx\ny\n", [(1, "num_imgs", None, "this column is missing")], id="no num_imgs"),
        pytest.param("num_imgs\n3\n4\n", [(1, "prompt", None, "this column is missing")], id="no prompt"),
        pytest.param(
            "x,3\n",
            [
                (1, "3", None, "unknown column"),
                (1, "num_imgs", None, "this column is missing"),
                (1, "prompt", None, "this column is missing"),
                (1, "x", None, "unknown column; known columns: prompt, num_imgs, negative_prompt"),
            ],
            id="no header",
        ),
        pytest.param(
            "prompt,num_images\nx,3\n",
            [
                (1, "num_images", None, "unknown column; did you mean 'num_imgs'?"),
                (1, "num_imgs", None, "this column is missing"),
            ],
            id="a column misspelt",
        ),
        pytest.param(
            "prompt,num_imgs,negative\nx,3,y\n",
            [(1, "negative", None, "did you mean 'negative_prompt'?")],
            id="a column too many",
        ),
        pytest.param("prompt,num_imgs,prompt\nx,3,y\n", [(1, "prompt", None, "named twice")], id="a column twice"),
        pytest.param(
            "prompt,num_imgs\na field, green,3\n",
            [(2, None, "3", "a text with a comma in it needs double quotes around it")],
            id="an unquoted comma",
        ),
        pytest.param("prompt,num_imgs,\nx,3,y\n", [(2, None, "y", "empty column name")], id="below no name"),
        pytest.param('prompt,num_imgs\nx,3\n"y,3\nz,4\n', [(3, None, None, QUOTES)], id="an open quote"),
        pytest.param('prompt,num_imgs\n"x"y,3\n', [(2, None, None, QUOTES)], id="text after a quote"),
        pytest.param(b"prompt,num_imgs\nx,3\ncaf\xe9,3\n", [(3, None, r"\xe9", "not UTF-8")], id="Latin-1"),
        pytest.param(BACKGROUND.encode("utf-16-be"), [(1, None, r"\0", "UTF-16 without")], id="UTF-16"),
        pytest.param("prompt,num_imgs\n,3\n", [(2, "prompt", "", "a prompt in words")], id="empty prompt"),
        pytest.param("prompt,num_imgs\n...,3\n", [(2, "prompt", "...", "a prompt in words")], id="dots for a prompt"),
        pytest.param("prompt,num_imgs\n12,3\n", [(2, "prompt", "12", "a prompt in words")], id="a number as prompt"),
        pytest.param("prompt,num_imgs\nx,\n", [(2, "num_imgs", "", COUNT)], id="empty number"),
        pytest.param("prompt,num_imgs\nx\n", [(2, "num_imgs", "", COUNT)], id="a short line"),
        pytest.param("prompt,num_imgs\nx,many\n", [(2, "num_imgs", "many", COUNT)], id="a word"),
        pytest.param("prompt,num_imgs\nx,-3\n", [(2, "num_imgs", "-3", COUNT)], id="negative"),
        pytest.param("prompt,num_imgs\nx,2.5\n", [(2, "num_imgs", "2.5", COUNT)], id="not whole"),
        pytest.param("prompt,num_imgs\nx,1e3\n", [(2, "num_imgs", "1e3", COUNT)], id="an exponent"),
        pytest.param("prompt,num_imgs\nx,²\n", [(2, "num_imgs", "²", COUNT)], id="a raised digit"),
        pytest.param("prompt,num_imgs\nx,१\n", [(2, "num_imgs", "१", COUNT)], id="a digit of another script"),
        pytest.param("prompt,num_imgs\nx,50%\n", [(2, "num_imgs", "50%", COUNT)], id="a share"),
        pytest.param("prompt,num_imgs\nx,10000001\n", [(2, "num_imgs", "10000001", COUNT)], id="too many"),
        # int() of more than 4,300 digits raises in Python 3.11.
        pytest.param("prompt,num_imgs\nx," + "9" * 5000, [(2, "num_imgs", "9" * 5000, COUNT)], id="far too many"),
        pytest.param("prompt,num_imgs\nx,0\ny,0\n", [(2, "num_imgs", "0", "at least one row")], id="none at all"),
        pytest.param(
            "prompt,num_imgs\nx,a\nx,a\n",
            [(2, "num_imgs", "a", COUNT), (3, "num_imgs", "a", COUNT)],
            id="the same twice",
        ),
    ],
)
def test_faults_of_the_background_file(tmp_path, content, expected):
    faults = faults_of(tmp_path, background=content)
    assert [short(fault) for fault in faults] == [("background.csv", *case[:3]) for case in expected]
    for fault, case in zip(faults, expected, strict=True):
        assert case[3] in fault.expected


HUGE = "9" * 400  # infinite as a float
LENGTH = "pixels such as 64, or a share of the canvas side such as 30%"
RATIOS = "a ratio width/height from 0.05 to 20 is needed"
SHARES = "a share of the height from 0 to 1"
APPEAR = "a whole number from 0 to 1,000 is needed"


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        pytest.param("prompt,min_appear", ["a cow,1"], [(1, "max_appear", None, "is missing")], id="no max_appear"),
        pytest.param(
            "prompt",
            ["a cow", "a dog"],
            [(1, "max_appear", None, "is missing"), (1, "min_appear", None, "is missing")],
            id="neither count",
        ),
        pytest.param(
            f"{HEAD},widht_min",
            ["a cow,1,1,3"],
            [(1, "widht_min", None, "unknown column; did you mean 'width_min'?")],
            id="a column misspelt",
        ),
        pytest.param(
            HEAD,
            [f"a {300 * 'o'},1,2"],
            [(2, "prompt", f"a {300 * 'o'}", "names the category by 300 letters; fill the column 'name'")],
            id="a name that no file could have",
        ),
        pytest.param(
            HEAD, ["a cow,3,2"], [(2, "min_appear", "3", "must not be above max_appear (2)")], id="counts swapped"
        ),
        pytest.param(HEAD, ["a cow,-1,2"], [(2, "min_appear", "-1", APPEAR)], id="negative count"),
        pytest.param(HEAD, ["a cow,1,few"], [(2, "max_appear", "few", APPEAR)], id="count in words"),
        pytest.param(HEAD, ["a cow,1,1001"], [(2, "max_appear", "1001", APPEAR)], id="a crowd"),
        pytest.param(HEAD, [",1,2"], [(2, "prompt", "", "a prompt in words")], id="empty prompt"),
        pytest.param(
            HEAD, ["a cow,0,0", "a dog,0,0"], [(2, "max_appear", "0", "at least one row needs 1 or more")], id="nothing"
        ),
        pytest.param(
            HEAD, ['", a cow",1,1'], [(2, "prompt", ", a cow", "fill the column 'name'")], id="nothing to name it by"
        ),
        pytest.param(
            SIZED,
            ["a cow,1,2,80,30,40,60"],
            [(2, "width_min", "80", "must not be above width_max (40)")],
            id="widths swapped",
        ),
        pytest.param(
            SIZED,
            ["a cow,1,2,40,61,80,60"],
            [(2, "height_min", "61", "must not be above height_max (60)")],
            id="heights swapped",
        ),
        pytest.param(
            SIZED,
            ["a cow,1,2,81,30,20%,60"],
            [(2, "width_min", "81", "must not be above width_max (20%)")],
            id="pixels above a share",
        ),
        pytest.param(
            SIZED,
            ["a cow,1,2,40,30,401,301"],
            [
                (2, "height_max", "301", "is larger than the canvas, which is 300 px high"),
                (2, "width_max", "401", "is larger than the canvas, which is 400 px wide"),
            ],
            id="larger than the canvas",
        ),
        pytest.param(
            SIZED, ["a cow,1,2,40,30,101%,60"], [(2, "width_max", "101%", "larger than the canvas")], id="101%"
        ),
        pytest.param(SIZED, [f"a cow,1,2,40,30,{HUGE},60"], [(2, "width_max", HUGE, "")], id="beyond all measure"),
        pytest.param(SIZED, [f"a cow,1,2,40,30,80,{HUGE}%"], [(2, "height_max", f"{HUGE}%", "")], id="beyond 100%"),
        pytest.param(
            SIZED,
            ["a cow,1,2,3,0.9%,80,60"],
            [
                (2, "height_min", "0.9%", "is 3 px on this canvas; at least 4 px are needed"),
                (2, "width_min", "3", "is 3 px on this canvas; at least 4 px are needed"),
            ],
            id="too small to paint",
        ),
        pytest.param(
            SIZED,
            ["a cow,1,2,-40,30cm,1e2,60 %%"],
            [
                (2, "height_max", "60 %%", LENGTH),
                (2, "height_min", "30cm", LENGTH),
                (2, "width_max", "1e2", LENGTH),
                (2, "width_min", "-40", LENGTH),
            ],
            id="no lengths",
        ),
        pytest.param(
            SIZED,
            ["a cow,1,2,nan,inf,.5,5."],
            [
                (2, "height_max", "5.", LENGTH),
                (2, "height_min", "inf", LENGTH),
                (2, "width_max", ".5", LENGTH),
                (2, "width_min", "nan", LENGTH),
            ],
            id="numbers only to Python",
        ),
        pytest.param(
            SIZED,
            ["a cow,1,2,40,30,,60"],
            [(2, "width_max", None, "is empty, but width_min, height_min, height_max is given")],
            id="a size left out",
        ),
        pytest.param(
            f"{HEAD},width_min",
            ["a cow,1,2,40"],
            [
                (2, "height_max", None, "is empty"),
                (2, "height_min", None, "is empty"),
                (2, "width_max", None, "is empty"),
            ],
            id="size columns left out",
        ),
        pytest.param(RATIO, ["a cow,1,2,0.5,"], [(2, "aspect_ratio_max", None, "is empty")], id="a ratio left out"),
        pytest.param(
            RATIO,
            ["a cow,1,2,2,0.5"],
            [(2, "aspect_ratio_min", "2", "must not be above aspect_ratio_max (0.5)")],
            id="ratios swapped",
        ),
        pytest.param(
            RATIO,
            ["a cow,1,2,0.01,21", "a cow,1,2,0,nan", "a cow,1,2,4:3,-1"],
            [
                (2, "aspect_ratio_max", "21", RATIOS),
                (2, "aspect_ratio_min", "0.01", RATIOS),
                (3, "aspect_ratio_max", "nan", RATIOS),
                (3, "aspect_ratio_min", "0", RATIOS),
                (4, "aspect_ratio_max", "-1", RATIOS),
                (4, "aspect_ratio_min", "4:3", RATIOS),
            ],
            id="no ratios",
        ),
        pytest.param(
            BOTH,
            ["a cow,1,2,40,30,80,60,0.5,2"],
            [(2, "aspect_ratio_min", "0.5", "or empty width_min, height_min, width_max, height_max: one of the two")],
            id="both size styles",
        ),
        pytest.param(
            BOTH,
            ["a cow,1,2,40,30,80,60,,", "a dog,1,2,,,,,0.5,2", "a cat,1,2,40,,,,,2"],
            [(4, "aspect_ratio_max", "2", "leave this empty, or empty width_min: one of the two")],
            id="one style a row",
        ),
        pytest.param(
            f"{BOTH},y_min,y_max,supercategory",
            ["a cow,1,2,,,,,,,,,animal", "a cow,3,2,40,30,80,60,0.5,2,0.9,0.1,food"],
            [
                (3, "aspect_ratio_min", "0.5", "one of the two"),
                (3, "min_appear", "3", "must not be above max_appear (2)"),
                (3, "supercategory", "food", "'cow' has the supercategory 'animal' on line 2"),
                (3, "y_min", "0.9", "must not be above y_max (0.1)"),
            ],
            id="both size styles and more",
        ),
        pytest.param(
            BAND, ["a cow,1,2,0.8,30%"], [(2, "y_min", "0.8", "must not be above y_max (30%)")], id="band swapped"
        ),
        pytest.param(BAND, ["a cow,1,2,0.8,"], [(2, "y_max", None, "is empty, but y_min is given")], id="half a band"),
        pytest.param(
            BAND,
            ["a cow,1,2,-0.1,1.1", "a cow,1,2,10px,101%"],
            [
                (2, "y_max", "1.1", SHARES),
                (2, "y_min", "-0.1", SHARES),
                (3, "y_max", "101%", SHARES),
                (3, "y_min", "10px", SHARES),
            ],
            id="no shares",
        ),
        pytest.param(
            NAMED,
            ["a cow,1,2,,animal", "a dog,1,2,,", "a calf,1,2,cow,food"],
            [(4, "supercategory", "food", "'cow' has the supercategory 'animal' on line 2")],
            id="two supercategories",
        ),
    ],
)
def test_faults_of_the_classes_file(tmp_path, header, rows, expected):
    faults = faults_of(tmp_path, classes="\n".join([header, *rows, ""]))
    assert [short(fault) for fault in faults] == [("classes.csv", *case[:3]) for case in expected]
    for fault, case in zip(faults, expected, strict=True):
        assert case[3] in fault.expected


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ("400,300,400,300", (400, 300, 400, 300)),
        ("100%,100%,100%,100%", (400, 300, 400, 300)),
        ("4,4,4,4", (4, 4, 4, 4)),
    ],
)
def test_sizes_at_the_limits_are_fine(tmp_path, sizes, expected):
    spec = load(tmp_path, classes=f"{SIZED}\na cow,0,1000,{sizes}\n")
    assert spec.classes[0].size_ranges_px(CANVAS_WH) == expected


def test_all_faults_of_both_files_at_once(tmp_path):
    background = "prompt,num_imgs,colour\na field,-3,red\n,1,\na, b, c, d\n"
    classes = f"{SIZED}\na cow,2,1,40,30,80,60\na dog,1,1,x,30,80,600\na cat,1,1,80,30,40,600\n"
    assert [short(fault) for fault in faults_of(tmp_path, background, classes)] == [
        ("background.csv", 1, "colour", None),
        ("background.csv", 2, "num_imgs", "-3"),
        ("background.csv", 3, "prompt", ""),
        ("background.csv", 4, None, "d"),
        ("classes.csv", 2, "min_appear", "2"),
        ("classes.csv", 3, "width_min", "x"),
        ("classes.csv", 4, "height_max", "600"),
        ("classes.csv", 4, "width_min", "80"),
    ]


def test_a_file_that_cannot_be_read_does_not_hide_the_other(tmp_path):
    faults = faults_of(tmp_path, b"\xff\xfe", f"{HEAD}\na cow,2,1\n")
    assert [fault[:2] for fault in map(short, faults)] == [("background.csv", 1), ("classes.csv", 2)]


def test_missing_files(tmp_path):
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path / "background.csv", tmp_path / "classes.csv", canvas_wh=CANVAS_WH)
    assert str(caught.value).splitlines() == [
        f"{tmp_path / 'background.csv'}: there is no such file; `boxpaint init` lays down a scenario to edit",
        f"{tmp_path / 'classes.csv'}: there is no such file; `boxpaint init` lays down a scenario to edit",
    ]


def test_how_a_fault_reads(tmp_path):
    with pytest.raises(SpecError) as caught:
        load(tmp_path, "prompt,num_imgs\nx,-3\n")
    assert str(caught.value) == (
        f"{tmp_path / 'background.csv'}:2: column 'num_imgs': found '-3'; a whole number from 0 to 10,000,000 is needed"
    )
