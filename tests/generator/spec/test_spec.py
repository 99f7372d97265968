"""background.csv, classes.csv and attributes.csv as people write them, and every fault at once with its place."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from generator.foundation.errors import Fault, SpecError
from generator.spec import (
    AttributeSpec,
    BackgroundSpec,
    ClassSpec,
    Length,
    Spec,
    category_name,
    find_table,
    load_spec,
    parse_length,
    parse_share,
    split_list,
)

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


def load(
    folder: Path,
    background: str | bytes = BACKGROUND,
    classes: str | bytes = CLASSES,
    attributes: str | None = None,
) -> Spec:
    contents = {"background.csv": background, "classes.csv": classes, "attributes.csv": attributes}
    for name, content in contents.items():
        if content is not None:
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return load_spec(folder / "background.csv", folder / "classes.csv", canvas_wh=CANVAS_WH)


def faults_of(folder: Path, *contents: str | bytes, **given: str | bytes) -> tuple[Fault, ...]:
    with pytest.raises(SpecError) as caught:
        load(folder, *contents, **given)
    return caught.value.faults


def check_faults(found: Sequence[Fault], file: str, expected: Sequence[str]) -> None:
    """`expected`: line, column, what was found: words of what would be right."""
    for fault, said in zip(found, expected, strict=True):
        place, words = said.split(": ", 1)
        assert (Path(fault.file).name, f"{fault.line} {fault.column} {fault.found}") == (file, place)
        assert words in fault.expected


def short(fault: Fault) -> tuple[str, int | None, str | None, str | None]:
    return (Path(fault.file).name, fault.line, fault.column, fault.found)


def test_a_plain_pair(tmp_path):
    assert load(tmp_path) == EXPECTED


def quoted(text: str) -> str:
    return "".join('"' + line.replace(",", '","') + '"\n' for line in text.splitlines())


# More of them in tests/generator/foundation/test_tables.py.
LIBERTIES: dict[str, Callable[[str], str | bytes]] = {
    "three trailing commas on every line": lambda text: text.replace("\n", ",,,\n"),
    "no-break spaces": lambda text: text.replace(",", ",\u00a0"),
    "CR": lambda text: text.replace("\n", "\r"),
    "every cell in quotes, spaces after commas": lambda text: quoted(text).replace(",", ", "),
    "empty lines above and between": lambda text: "\n,,\n" + text.replace("\n", "\n\n"),
    "semicolons and trailing semicolons": lambda text: text.replace(",", ";").replace("\n", ";\n"),
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


# Faults: line, column, what was found: words of what would be right.
COUNT = "a whole number from 0 to 10,000,000 is needed"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("prompt\nx\ny\n", ["1 num_imgs None: this column is missing"]),
        ("prompt,num_imgs\n,3\n", ["2 prompt : a prompt in words"]),
        ("prompt,num_imgs\n...,3\n", ["2 prompt ...: a prompt in words"]),
        ("prompt,num_imgs\nx,\n", [f"2 num_imgs : {COUNT}"]),
        ("prompt,num_imgs\nx,many\n", [f"2 num_imgs many: {COUNT}"]),
        ("prompt,num_imgs\nx,-3\n", [f"2 num_imgs -3: {COUNT}"]),
        ("prompt,num_imgs\nx,²\n", [f"2 num_imgs ²: {COUNT}"]),
        ("prompt,num_imgs\nx,10000001\n", [f"2 num_imgs 10000001: {COUNT}"]),
        ("prompt,num_imgs\nx," + "9" * 5000, [f"2 num_imgs {'9' * 5000}: {COUNT}"]),
        ("prompt,num_imgs\nx,0\ny,0\n", ["2 num_imgs 0: at least one row"]),
        ("prompt,num_imgs\nx,a\nx,a\n", [f"2 num_imgs a: {COUNT}", f"3 num_imgs a: {COUNT}"]),
    ],
)
def test_faults_of_the_background_file(tmp_path, content, expected):
    check_faults(faults_of(tmp_path, background=content), "background.csv", expected)


HUGE = "9" * 400  # infinite as a float
LENGTH = "pixels such as 64, or a share of the canvas side such as 30%"
RATIOS = "a ratio width/height from 0.05 to 20 is needed"
SHARES = "a share of the height from 0 to 1"
APPEAR = "a whole number from 0 to 1,000 is needed"


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        ("prompt,min_appear", ["a cow,1"], ["1 max_appear None: is missing"]),
        (
            HEAD,
            [f"a {300 * 'o'},1,2"],
            [f"2 prompt a {300 * 'o'}: names the category by 300 letters; fill the column 'name'"],
        ),
        (HEAD, ["a cow,3,2"], ["2 min_appear 3: must not be above max_appear (2)"]),
        (HEAD, ["a cow,1,1001"], [f"2 max_appear 1001: {APPEAR}"]),
        (HEAD, ["a cow,0,0", "a dog,0,0"], ["2 max_appear 0: at least one row needs 1 or more"]),
        (HEAD, ['", a cow",1,1'], ["2 prompt , a cow: fill the column 'name'"]),
        (SIZED, ["a cow,1,2,80,30,40,60"], ["2 width_min 80: must not be above width_max (40)"]),
        (SIZED, ["a cow,1,2,81,30,20%,60"], ["2 width_min 81: must not be above width_max (20%)"]),
        (
            SIZED,
            ["a cow,1,2,40,30,401,301"],
            [
                "2 height_max 301: is larger than the canvas, which is 300 px high",
                "2 width_max 401: is larger than the canvas, which is 400 px wide",
            ],
        ),
        (SIZED, [f"a cow,1,2,40,30,{HUGE},60"], [f"2 width_max {HUGE}: "]),
        (
            SIZED,
            ["a cow,1,2,3,0.9%,80,60"],
            [
                "2 height_min 0.9%: is 3 px on this canvas; at least 4 px are needed",
                "2 width_min 3: is 3 px on this canvas; at least 4 px are needed",
            ],
        ),
        (
            SIZED,
            ["a cow,1,2,-40,30cm,1e2,60 %%"],
            [
                f"2 height_max 60 %%: {LENGTH}",
                f"2 height_min 30cm: {LENGTH}",
                f"2 width_max 1e2: {LENGTH}",
                f"2 width_min -40: {LENGTH}",
            ],
        ),
        (
            SIZED,
            ["a cow,1,2,nan,inf,.5,5."],
            [
                f"2 height_max 5.: {LENGTH}",
                f"2 height_min inf: {LENGTH}",
                f"2 width_max .5: {LENGTH}",
                f"2 width_min nan: {LENGTH}",
            ],
        ),
        (
            SIZED,
            ["a cow,1,2,40,30,,60"],
            ["2 width_max None: is empty, but width_min, height_min, height_max is given"],
        ),
        (
            f"{HEAD},width_min",
            ["a cow,1,2,40"],
            ["2 height_max None: is empty", "2 height_min None: is empty", "2 width_max None: is empty"],
        ),
        (RATIO, ["a cow,1,2,2,0.5"], ["2 aspect_ratio_min 2: must not be above aspect_ratio_max (0.5)"]),
        (
            RATIO,
            ["a cow,1,2,0.01,21", "a cow,1,2,0,nan", "a cow,1,2,4:3,-1"],
            [
                f"2 aspect_ratio_max 21: {RATIOS}",
                f"2 aspect_ratio_min 0.01: {RATIOS}",
                f"3 aspect_ratio_max nan: {RATIOS}",
                f"3 aspect_ratio_min 0: {RATIOS}",
                f"4 aspect_ratio_max -1: {RATIOS}",
                f"4 aspect_ratio_min 4:3: {RATIOS}",
            ],
        ),
        (
            BOTH,
            ["a cow,1,2,40,30,80,60,0.5,2"],
            ["2 aspect_ratio_min 0.5: or empty width_min, height_min, width_max, height_max: one of the two"],
        ),
        (
            BOTH,
            ["a cow,1,2,40,30,80,60,,", "a dog,1,2,,,,,0.5,2", "a cat,1,2,40,,,,,2"],
            ["4 aspect_ratio_max 2: leave this empty, or empty width_min: one of the two"],
        ),
        (
            f"{BOTH},y_min,y_max,supercategory",
            ["a cow,1,2,,,,,,,,,animal", "a cow,3,2,40,30,80,60,0.5,2,0.9,0.1,food"],
            [
                "3 aspect_ratio_min 0.5: one of the two",
                "3 min_appear 3: must not be above max_appear (2)",
                "3 supercategory food: 'cow' has the supercategory 'animal' on line 2",
                "3 y_min 0.9: must not be above y_max (0.1)",
            ],
        ),
        (BAND, ["a cow,1,2,0.8,30%"], ["2 y_min 0.8: must not be above y_max (30%)"]),
        (
            BAND,
            ["a cow,1,2,-0.1,1.1", "a cow,1,2,10px,101%"],
            [f"2 y_max 1.1: {SHARES}", f"2 y_min -0.1: {SHARES}", f"3 y_max 101%: {SHARES}", f"3 y_min 10px: {SHARES}"],
        ),
        (
            NAMED,
            ["a cow,1,2,,animal", "a dog,1,2,,", "a calf,1,2,cow,food"],
            ["4 supercategory food: 'cow' has the supercategory 'animal' on line 2"],
        ),
    ],
)
def test_faults_of_the_classes_file(tmp_path, header, rows, expected):
    check_faults(faults_of(tmp_path, classes="\n".join([header, *rows, ""])), "classes.csv", expected)


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


# Cells.


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a white blood cell, stained", "white blood cell"),
        ("An apple", "apple"),
        ("THE END", "END"),
        ("the a team", "a team"),
        ("theatre", "theatre"),
        ("apple", "apple"),
        ("a", "a"),
        ("  a   cow  ", "cow"),
        (", a cow", ""),
    ],
)
def test_category_name(prompt, name):
    assert category_name(prompt) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("64", px(64)),
        ("64px", px(64)),
        ("64.5 px", px(64.5)),
        ("0", px(0)),
        ("30%", share(0.3)),
        ("12.5 %", share(0.125)),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1e2", None),
        ("1,5", None),
        ("px", None),
        ("%", None),
        ("64pt", None),
        ("٦٤", None),
    ],
)
def test_parse_length(text, expected):
    assert parse_length(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("0.3", 0.3),
        ("30%", 0.3),
        ("1", 1),
        ("100%", 1),
        ("1%", 0.01),
        ("1.01", None),
        ("101%", None),
        ("0px", None),
        ("-0.1", None),
        ("", None),
        ("half", None),
    ],
)
def test_parse_share(text, expected):
    assert parse_share(text) == expected


# What the prompt book is made of.


def cow(references: str = "", synonyms: str = "") -> str:
    return f'prompt,min_appear,max_appear,references,synonyms\na cow,1,2,"{references}","{synonyms}"\n'


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("", ()),
        ("leak", ("leak",)),
        ("leak; steam", ("leak", "steam")),
        (" ; leak;;steam jet ; ", ("leak", "steam jet")),
        ("leak, steam", ("leak, steam",)),
    ],
)
def test_synonyms(tmp_path, cell, expected):
    assert split_list(cell) == expected
    assert load(tmp_path, BACKGROUND, cow(synonyms=cell)).classes[0].synonyms == expected


def test_references_are_looked_for_beside_the_classes_wherever_one_stands(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    monkeypatch.chdir("/")
    spec = load(tmp_path, BACKGROUND, cow("photos"))
    assert spec.classes[0].references == "photos"
    assert Path(spec.folder) == tmp_path


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("photos", "there is no such folder; a folder of pictures, or coco:FILE#category, is needed"),
        ("empty", "the folder holds no pictures"),
        ("coco:set", "the form is coco:FILE#category"),
        ("coco:set#cow", "there is no COCO file"),
        ("x" * 300, "cannot be read"),
    ],
)
def test_references_that_are_not_there(tmp_path, cell, words):
    (tmp_path / "empty").mkdir()
    (fault,) = faults_of(tmp_path, BACKGROUND, cow(cell))
    assert short(fault) == ("classes.csv", 2, "references", cell)
    assert words in fault.expected


def test_faults_of_references_come_with_all_others(tmp_path):
    classes = "prompt,min_appear,max_appear,references\na cow,3,2,none\na dog,1,1,\na cat,x,1,none\n"
    # A row with a cell that cannot be read is left at that.
    assert [short(fault) for fault in faults_of(tmp_path, BACKGROUND, classes, "attribute,text\nlight,\n")] == [
        ("attributes.csv", 2, "text", ""),
        ("classes.csv", 2, "min_appear", "3"),
        ("classes.csv", 2, "references", "none"),
        ("classes.csv", 4, "min_appear", "x"),
    ]


# attributes.csv

PAIR = "prompt,min_appear,max_appear,name\na brown cow,1,2,cow\nan old wolf,0,1,wolf\n"
ATTRIBUTES = "attribute,text,applies_to\nlight,at dusk,\nlight,at noon,\npose,lying,cow\nsky,overcast,background\n"

ATTRIBUTE_ROWS = (
    AttributeSpec(attribute="light", text="at dusk", line=2),
    AttributeSpec(attribute="light", text="at noon", line=3),
    AttributeSpec(attribute="pose", text="lying", applies_to="cow", line=4),
    AttributeSpec(attribute="sky", text="overcast", applies_to="background", line=5),
)


def test_attributes_are_found_beside_the_classes(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    assert load(tmp_path).attributes == ()
    assert load(tmp_path, classes=PAIR, attributes=ATTRIBUTES).attributes == ATTRIBUTE_ROWS


def test_attributes_from_elsewhere(tmp_path):
    (tmp_path / "mine.csv").write_text(ATTRIBUTES)
    (tmp_path / "background.csv").write_text(BACKGROUND)
    (tmp_path / "classes.csv").write_text(PAIR)
    (tmp_path / "attributes.csv").write_text("not,to,be,read\n")
    paths = (tmp_path / "background.csv", tmp_path / "classes.csv", tmp_path / "mine.csv")
    assert load_spec(*paths, canvas_wh=(400, 300)).attributes == ATTRIBUTE_ROWS


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("attribute,text\nlight,\n,at dusk\n", ["2 text : such as at dusk", "3 attribute : such as light"]),
        (
            "attribute,text,applies_to\nlight,at dusk,dog\nlight,at noon,cows\npose,lying,cow\n",
            [
                "2 applies_to dog: one of background, objects, cow, wolf, or nothing for everything",
                "3 applies_to cows: one of background, objects, cow, wolf, or nothing for everything",
            ],
        ),
    ],
)
def test_faults_of_the_attributes(tmp_path, attributes, expected):
    check_faults(faults_of(tmp_path, classes=PAIR, attributes=attributes), "attributes.csv", expected)


def test_classes_that_cannot_be_read_make_no_faults_in_the_attributes(tmp_path):
    load(tmp_path, classes=PAIR, attributes=ATTRIBUTES)
    (tmp_path / "classes.csv").unlink()
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path / "background.csv", tmp_path / "classes.csv", canvas_wh=(400, 300))
    assert [Path(fault.file).name for fault in caught.value.faults] == ["classes.csv"]


def test_the_digest_sees_synonyms_references_and_attributes_but_no_folder(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "photos").mkdir(parents=True)
        (tmp_path / name / "photos" / "a.jpg").touch()
    digests = [
        load(tmp_path / "one").digest,
        load(tmp_path / "one", BACKGROUND, cow()).digest,
        load(tmp_path / "one", BACKGROUND, cow(synonyms="calf")).digest,
        load(tmp_path / "one", BACKGROUND, cow("photos")).digest,
        load(tmp_path / "one", BACKGROUND, cow("photos"), ATTRIBUTES.replace("at dusk", "at dawn")).digest,
        load(tmp_path / "one", BACKGROUND, cow("photos"), ATTRIBUTES).digest,
    ]
    assert len(set(digests)) == len(digests)
    assert load(tmp_path / "two", BACKGROUND, cow("photos"), ATTRIBUTES).digest == digests[-1]
