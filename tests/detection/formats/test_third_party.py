"""Sets that no one here made: BCCD as it is, and as supervision and pandas write it in the other forms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
import supervision

from tests.detection.formats.sources import run

pytestmark = pytest.mark.slow

BCCD = Path(__file__).parents[3].parent / "shared" / "data" / "bccd"
NAMES = {"RBC", "WBC", "Platelets"}
# Every eighth photo of each list, and the photos with the two boxes that have no area.
STEP = 8
DEGENERATE = ("BloodImage_00338", "BloodImage_00343")


def chosen(split: str) -> list[str]:
    stems = (BCCD / f"{split}.txt").read_text().split()
    return sorted({*stems[::STEP], *(stem for stem in DEGENERATE if stem in stems)})


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/, val/ and test/ with pictures and XML side by side, by links."""
    root = tmp_path_factory.mktemp("bccd") / "voc"
    for split in ("train", "val", "test"):
        (root / split).mkdir(parents=True)
        for stem in chosen(split):
            (root / split / f"{stem}.jpg").symlink_to(BCCD / "images" / f"{stem}.jpg")
            (root / split / f"{stem}.xml").symlink_to(BCCD / "annotations" / f"{stem}.xml")
    return root


def by_supervision(voc: Path, out: Path, form: str) -> None:
    for split in ("train", "val", "test"):
        data = supervision.DetectionDataset.from_pascal_voc(str(voc / split), str(voc / split))
        if form == "yolo":
            folders = (str(out / kind / split) for kind in ("images", "labels"))
            data.as_yolo(*folders, data_yaml_path=str(out / "data.yaml"))
        elif form == "coco":
            data.as_coco(str(out / f"{split}2017"), str(out / "annotations" / f"instances_{split}2017.json"))
        else:
            data.as_pascal_voc(str(out / split / "JPEGImages"), str(out / split / "Annotations"))


def by_pandas(voc: Path, out: Path, _form: str) -> None:
    for split in ("train", "val", "test"):
        (out / split).mkdir(parents=True)
        rows = []
        for path in sorted((voc / split).glob("*.xml")):
            (out / split / f"{path.stem}.jpg").symlink_to(voc / split / f"{path.stem}.jpg")
            for item in ElementTree.parse(path).getroot().findall("object"):
                sides = {side: int(item.findtext(f"bndbox/{side}") or "") for side in ("xmin", "ymin", "xmax", "ymax")}
                name = item.findtext("name")
                rows.append({"filename": f"{path.stem}.jpg", "width": 640, "height": 480, "class": name, **sides})
        pd.DataFrame(rows).to_csv(out / split / "_annotations.csv", index=False)


@pytest.mark.realdata
@pytest.mark.skipif(not BCCD.is_dir(), reason="the blood smears are not here")
@pytest.mark.parametrize(
    ("form", "writer"),
    [("yolo", by_supervision), ("coco", by_supervision), ("voc", by_supervision), ("csv", by_pandas)],
)
def test_four_forms_of_the_same_set_agree(
    form: str, writer: Callable[[Path, Path, str], None], voc: Path, tmp_path: Path
) -> None:
    plain = run(voc, overwrite=True)
    lost = [case for case in plain.report.cases if case.done == "dropped"]
    assert {Path(case.file).stem for case in lost} == set(DEGENERATE)
    assert [(case.what, case.lost_objects) for case in lost] == [("a box without an area", 1)] * 2
    writer(voc, tmp_path / form, form)
    other = run(tmp_path / form)
    assert other.report.format == form
    assert set(other.report.categories) == NAMES
    assert other.report.pictures == plain.report.pictures
    assert other.report.objects.source == plain.report.objects.source
    # supervision counts from 1 when it reads: the two boxes without an area come out of it as single pixels.
    shift = 0 if form == "csv" else 1
    tiny = other.report.objects.written - plain.report.objects.written
    assert tiny == (2 if form in ("yolo", "coco") else 0)
    assert other.splits == plain.splits
    for name, expected in plain.boxes.items():
        found = [item for item in other.boxes[name] if item[1][2] - item[1][0] > 1.5]
        assert [category for category, _ in found] == [category for category, _ in expected]
        for (_, box), (_, right) in zip(found, expected, strict=True):
            if form == "voc":  # written for the first pixel 1 again
                assert box == right
            else:
                assert box == pytest.approx([right[0] - shift, right[1] - shift, right[2], right[3]], abs=0.02)


# Pictures of each split, and objects that came in and that are in. The two of BCCD that are lost have no area.
REAL: dict[str, tuple[str, dict[str, int], tuple[int, int]]] = {
    "bccd": ("voc", {"train": 205, "val": 87, "test": 36}, (4433, 4431)),
    "ldc": ("voc", {"train": 400, "val": 100, "test": 300}, (2798, 2798)),
    "smears2": ("csv", {"train": 30, "test": 30}, (1380, 1380)),
}


@pytest.mark.realdata
@pytest.mark.skipif(not BCCD.is_dir(), reason="the real sets are not here")
@pytest.mark.parametrize(("name", "expected"), REAL.items(), ids=REAL)
def test_real_sets_come_in_whole(
    name: str, expected: tuple[str, dict[str, int], tuple[int, int]], tmp_path: Path
) -> None:
    (tmp_path / name).symlink_to(BCCD.with_name(name))
    imported = run(tmp_path / name)
    report = imported.report
    assert (report.format, {split: len(names) for split, names in imported.splits.items()}) == expected[:2]
    assert (report.objects.source, report.objects.written) == expected[2]
    assert report.objects.source - report.objects.written == sum(case.lost_objects for case in report.cases)
    assert report.pictures.source == report.pictures.written
