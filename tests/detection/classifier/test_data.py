from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from detection.classifier.crops import BACKGROUND
from detection.classifier.data import Sources, choose_subset, read_data
from detection.classifier.settings import ClassifierSettings
from generator.foundation.errors import DatasetError
from tests.detection.discs import disc_splits

PLAIN = ClassifierSettings(background=False)


def names(side) -> set[str]:
    return {Path(item.picture).name for item in side.items}


def test_the_splits_of_the_real_set_are_used(discs: Path, painted: Path) -> None:
    data = read_data(Sources(real=discs, synthetic=painted), ClassifierSettings(), side_px=16)
    assert data.classes == ("red", "blue", BACKGROUND)
    assert {name[:9] for name in names(data.train)} == {"disc_trai"}
    assert {name[:9] for name in names(data.validation)} == {"disc_val_"}
    assert {name[:9] for name in names(data.test)} == {"disc_test"}
    assert {name[:7] for name in names(data.synthetic)} == {"painted"}
    assert data.train.counts() == {"red": 6, "blue": 6, BACKGROUND: 9}
    assert data.notes == ()
    assert set(data.digests()) == {"train", "synthetic", "validation", "test"}


def test_splits_are_known_by_other_names_too(discs: Path, tmp_path: Path) -> None:
    """COCO calls them so; test pictures must not be trained on."""
    shutil.copytree(discs, tmp_path / "own")
    for file in (tmp_path / "own" / "annotations").iterdir():
        file.rename(file.with_name(f"{file.stem}2017.json"))
    found, expected = (
        read_data(Sources(real=real), ClassifierSettings(), side_px=16) for real in (tmp_path / "own", discs)
    )
    assert found.digests() == expected.digests()


def test_another_split_or_set_to_test_on_leaves_the_real_test_alone(discs: Path, painted: Path) -> None:
    data = read_data(Sources(real=discs, test="val"), PLAIN, side_px=16)
    assert {name[:8] for name in names(data.test)} == {"disc_val"}
    assert data.validation is None
    assert not any("_test_" in name for side in (data.train, data.test) for name in names(side))
    data = read_data(Sources(real=discs, test=str(painted)), PLAIN, side_px=16)
    assert {name[:7] for name in names(data.test)} == {"painted"}


@pytest.mark.parametrize("patience", [None, 2])
def test_without_splits_pictures_are_held_out(tmp_path: Path, patience: int | None) -> None:
    disc_splits(tmp_path, {"train": 20}, seed=3)
    settings = PLAIN.model_copy(update={"hold_out": 0.25, "patience": patience})
    data = read_data(Sources(real=tmp_path), settings, side_px=16)
    sides = [side for side in (data.train, data.validation, data.test) if side is not None]
    assert len(sides) == (2 if patience is None else 3)
    assert sum(len(names(side)) for side in sides) == 20
    assert len(set().union(*map(names, sides))) == 20
    assert 4 <= len(names(data.test)) <= 6
    assert min(data.test.counts().values()) >= 2
    again = read_data(Sources(real=tmp_path), settings, side_px=16)
    assert again.digests() == data.digests()


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ({"test": "tset"}, "tset: neither a split nor a data set; splits of --real: test, train, val"),
        ({"test": "train", "validation": "test", "classes": ("green",)}, "no category 'green'"),
        ({"synthetic": "painted", "classes": ("red",), "rename": {"red": "rouge"}}, "no category 'red'"),
        ({"real": "nowhere"}, "no such file or folder"),
    ],
)
def test_mistakes_are_said(discs: Path, painted: Path, sources: dict[str, object], words: str) -> None:
    given = {"real": discs, **sources}
    if "synthetic" in given:
        given["synthetic"] = painted
    given["real"] = Path(str(given["real"]))
    with pytest.raises(DatasetError, match=words):
        read_data(Sources(**given), PLAIN, side_px=16)  # type: ignore[arg-type]


def test_sides_that_share_a_picture_or_leave_none_to_train_on_are_refused(discs: Path, tmp_path: Path) -> None:
    shutil.copytree(discs, tmp_path / "copy")
    with pytest.raises(DatasetError, match="same picture is on the side train"):
        read_data(Sources(real=discs, test=str(tmp_path / "copy")), PLAIN, side_px=16)
    disc_splits(tmp_path / "test only", {"test": 4}, seed=3)
    with pytest.raises(DatasetError, match="no split is left to train on besides test"):
        read_data(Sources(real=tmp_path / "test only"), PLAIN, side_px=16)


@pytest.mark.parametrize("patience", [None, 2])
def test_validation_pictures_without_objects_are_said(discs: Path, tmp_path: Path, patience: int | None) -> None:
    shutil.copytree(discs, tmp_path / "own")
    file = tmp_path / "own" / "annotations" / "instances_val.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "annotations": []}))
    settings = PLAIN.model_copy(update={"patience": patience, "background": False})
    if patience is not None:
        with pytest.raises(DatasetError, match="no labelled object to validate on"):
            read_data(Sources(real=tmp_path / "own"), settings, side_px=16)
        return
    data = read_data(Sources(real=tmp_path / "own"), settings, side_px=16)
    assert data.validation is None
    assert "nothing is scored while models are trained" in data.notes[0]


def test_a_class_that_was_not_painted_is_real_only_and_so_is_the_background(discs: Path, painted: Path) -> None:
    sources = Sources(real=discs, synthetic=painted, rename={"red": "disc"}, classes=("disc", "blue"))
    data = read_data(sources, ClassifierSettings(), side_px=16)
    assert data.notes == ()
    folder = discs.parent / "blue_only"
    shutil.copytree(painted, folder, dirs_exist_ok=True)
    file = folder / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    content["categories"] = content["categories"][1:]
    content["annotations"] = [item for item in content["annotations"] if item["category_id"] == 2]
    file.write_text(json.dumps(content))
    data = read_data(Sources(real=discs, synthetic=folder), ClassifierSettings(), side_px=16)
    assert data.synthetic is not None
    assert data.synthetic.counts() == {"red": 0, "blue": 6, BACKGROUND: 0}
    assert [note.split(":")[0] for note in data.notes] == [
        "The painted set has no labels of red",
        "Background crops are all real, too",
    ]
    with pytest.raises(DatasetError, match=r"none of its categories .*--rename"):
        read_data(Sources(real=discs, synthetic=folder, rename={"blue": "azur"}, classes=("red",)), PLAIN, side_px=16)


def test_subsets_are_nested_by_number_and_differ_between_seeds(discs: Path) -> None:
    train = read_data(Sources(real=discs), PLAIN, side_px=16).train

    def chosen(number: int, **options: object) -> set[tuple[str, int]]:
        found = choose_subset(train, PLAIN.model_copy(update=options), number)
        return {(item.picture, item.label) for item in found.items}

    assert chosen(0, per_class=1) < chosen(0, per_class=3) < chosen(0)
    assert len(chosen(0, per_class=2)) == 4
    assert len({frozenset(chosen(number, per_class=2)) for number in range(6)}) > 1
    assert {label for _, label in chosen(0, limits={"red": 0})} == {1}
    assert len(chosen(0, limits={"red": 2}, per_class=1)) == 3
    assert not chosen(0, per_class=0)
