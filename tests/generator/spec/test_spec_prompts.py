"""What the tables say for the prompt book: synonyms, references, attributes.csv."""

from pathlib import Path

import pytest

from generator.foundation.errors import Fault, SpecError
from generator.spec import AttributeSpec, Spec, load_spec, split_list

BACKGROUND = "prompt,num_imgs\na green field,3\n"
CLASSES = "prompt,min_appear,max_appear,name,references,synonyms\na brown cow,1,2,cow,,\nan old wolf,0,1,wolf,,\n"
ATTRIBUTES = "attribute,text,applies_to\nlight,at dusk,\nlight,at noon,\npose,lying,cow\nsky,overcast,background\n"


def load(folder: Path, classes: str = CLASSES, attributes: str | None = None, **given: object) -> Spec:
    (folder / "background.csv").write_text(BACKGROUND)
    (folder / "classes.csv").write_text(classes)
    if attributes is not None:
        (folder / "attributes.csv").write_text(attributes)
    return load_spec(folder / "background.csv", folder / "classes.csv", canvas_wh=(400, 300), **given)


def faults_of(folder: Path, classes: str = CLASSES, attributes: str | None = None, **given: object) -> list[Fault]:
    with pytest.raises(SpecError) as caught:
        load(folder, classes, attributes, **given)
    return list(caught.value.faults)


def short(fault: Fault) -> tuple[str, int | None, str | None, str | None]:
    return (Path(fault.file).name, fault.line, fault.column, fault.found)


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
    assert load(tmp_path, cow(synonyms=cell)).classes[0].synonyms == expected


def test_references_are_looked_for_beside_the_classes_wherever_one_stands(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    monkeypatch.chdir("/")
    spec = load(tmp_path, cow("photos"))
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
    (fault,) = faults_of(tmp_path, cow(cell))
    assert short(fault) == ("classes.csv", 2, "references", cell)
    assert words in fault.expected


def test_faults_of_references_come_with_all_others(tmp_path):
    classes = "prompt,min_appear,max_appear,references\na cow,3,2,none\na dog,1,1,\na cat,x,1,none\n"
    # A row with a cell that cannot be read is left at that.
    assert [short(fault) for fault in faults_of(tmp_path, classes, "attribute,text\nlight,\n")] == [
        ("attributes.csv", 2, "text", ""),
        ("classes.csv", 2, "min_appear", "3"),
        ("classes.csv", 2, "references", "none"),
        ("classes.csv", 4, "min_appear", "x"),
    ]


# attributes.csv

EXPECTED = (
    AttributeSpec(attribute="light", text="at dusk", line=2),
    AttributeSpec(attribute="light", text="at noon", line=3),
    AttributeSpec(attribute="pose", text="lying", applies_to="cow", line=4),
    AttributeSpec(attribute="sky", text="overcast", applies_to="background", line=5),
)


def test_attributes_are_found_beside_the_classes(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    assert load(tmp_path).attributes == ()
    assert load(tmp_path, attributes=ATTRIBUTES).attributes == EXPECTED


def test_attributes_from_elsewhere(tmp_path):
    (tmp_path / "mine.csv").write_text(ATTRIBUTES)
    (tmp_path / "background.csv").write_text(BACKGROUND)
    (tmp_path / "classes.csv").write_text(CLASSES)
    (tmp_path / "attributes.csv").write_text("not,to,be,read\n")
    paths = (tmp_path / "background.csv", tmp_path / "classes.csv", tmp_path / "mine.csv")
    assert load_spec(*paths, canvas_wh=(400, 300)).attributes == EXPECTED


def test_attributes_that_were_asked_for_must_be_there(tmp_path):
    load(tmp_path)
    paths = (tmp_path / "background.csv", tmp_path / "classes.csv", tmp_path / "mine.csv")
    with pytest.raises(SpecError, match=r"mine\.csv: there is no such file"):
        load_spec(*paths, canvas_wh=(400, 300))


def test_applies_to_is_optional_and_may_be_objects(tmp_path):
    assert load(tmp_path, attributes="text;attribute\nat dusk;light\n").attributes == EXPECTED[:1]
    spec = load(tmp_path, attributes="attribute,text,applies_to\npose,lying,objects\n")
    assert spec.attributes[0].applies_to == "objects"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        pytest.param("", [(1, None, None, "the file is empty")], id="empty"),
        pytest.param("attribute,text\n", [(1, None, None, "no rows below the header")], id="no rows"),
        pytest.param("attribute\nlight\n", [(1, "text", None, "this column is missing")], id="no text"),
        pytest.param(
            "attribute,text,apply_to\nlight,at dusk,cow\n",
            [(1, "apply_to", None, "unknown column; did you mean 'applies_to'?")],
            id="a column misspelt",
        ),
        pytest.param(
            "attribute,text\nlight,\n,at dusk\n",
            [(2, "text", "", "such as at dusk"), (3, "attribute", "", "such as light")],
            id="empty cells",
        ),
        pytest.param(
            "attribute,text,applies_to\nlight,at dusk,dog\nlight,at noon,cows\npose,lying,cow\n",
            [
                (2, "applies_to", "dog", "one of background, objects, cow, wolf, or nothing for everything"),
                (3, "applies_to", "cows", "one of background, objects, cow, wolf, or nothing for everything"),
            ],
            id="for nobody",
        ),
    ],
)
def test_faults_of_the_attributes(tmp_path, attributes, expected):
    faults = faults_of(tmp_path, attributes=attributes)
    assert [short(fault) for fault in faults] == [("attributes.csv", *case[:3]) for case in expected]
    for fault, case in zip(faults, expected, strict=True):
        assert case[3] in fault.expected


def test_classes_that_cannot_be_read_make_no_faults_in_the_attributes(tmp_path):
    load(tmp_path, attributes=ATTRIBUTES)
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
        load(tmp_path / "one", cow()).digest,
        load(tmp_path / "one", cow(synonyms="calf")).digest,
        load(tmp_path / "one", cow("photos")).digest,
        load(tmp_path / "one", cow("photos"), ATTRIBUTES.replace("at dusk", "at dawn")).digest,
        load(tmp_path / "one", cow("photos"), ATTRIBUTES).digest,
    ]
    assert len(set(digests)) == len(digests)
    assert load(tmp_path / "two", cow("photos"), ATTRIBUTES).digest == digests[-1]
