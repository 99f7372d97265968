"""The report of a run: it stands alone, takes the user's text for text, and counts right."""

from __future__ import annotations

from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.config import Config
from generator.dataset.folder import RunFolder
from generator.dataset.record import SceneRecord
from generator.foundation.geometry import Box
from generator.plan import Placement, Plan, ScenePlan, Unplaced
from generator.report import write_report
from generator.report.statistics import Statistics
from generator.spec import BackgroundSpec, ClassSpec, Spec
from generator.types import Attempt, PaintedObject, Scene, Verdict, label_from_mask

EVIL = "<script>alert('x')</script>"
CANVAS_WH = (96, 64)


class Page(HTMLParser):
    """Elements and text of a page, as a browser takes them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())


def attempt(number: int, reason: str = "") -> Attempt:
    verdict = Verdict(check="changed_area", passed=not reason, score=0.5, reason=reason)
    return Attempt(number=number, seed=1, verdicts=(verdict,))


def run_of(
    folder: Path, *, names: tuple[str, ...] = ("cell", "platelet"), prompt: str = "a cell", painted: bool = True
) -> RunFolder:
    """Two scenes: the first class is painted at the second try, the others are dropped, one has no place."""
    spec = Spec(
        backgrounds=(BackgroundSpec(prompt=prompt, num_imgs=4),),
        classes=tuple(ClassSpec(prompt=prompt, name=name, min_appear=1, max_appear=2) for name in names),
    )
    config = Config(canvas={"width": CANVAS_WH[0], "height": CANVAS_WH[1]}, seed=11)
    run = RunFolder.open(folder, Plan(spec=spec, config=config))
    run.begin({"device": "cpu"})
    for index, split in enumerate(["train", "val"]):
        objects = []
        for number, name in enumerate(names):
            wish = Placement(
                object_index=number,
                category=name,
                prompt=prompt,
                negative_prompt="",
                box=Box.from_xywh(10, 10, 40, 20),
                seed=1,
                blender="feather",
            )
            mask = np.zeros(CANVAS_WH[::-1], bool)
            mask[10:30, 10:30] = True
            kept = painted and number == 0
            objects.append(
                PaintedObject(
                    placement=wish,
                    crop=Box.from_xywh(0, 0, 64, 64),
                    region=Box.from_xywh(0, 0, 64, 64),
                    attempts=(attempt(0, f"few {prompt}"), attempt(1, "" if kept else "few")),
                    label=label_from_mask(mask) if kept else None,
                    dropped="" if kept else f"few {prompt}",
                )
            )
        missing = Unplaced(object_index=9, category=names[-1], size_wh=(30, 20), reason="no free place in 60 tries")
        plan = ScenePlan(
            index=index, split=split, prompt=prompt, negative_prompt="", seed=0, placements=(), unplaced=(missing,)
        )
        image = np.full((CANVAS_WH[1], CANVAS_WH[0], 3), 180, np.uint8)
        run.write_scene(
            Scene(plan=plan, image=image, background_attempts=(), background_taken=0, objects=tuple(objects)),
            batch_size=2,
        )
    run.log_timing(0, 2, {"objects": 3.0, "writing": 1.0})
    return run


def pages(run: RunFolder) -> tuple[str, str]:
    """The written report.html and README.md."""
    write_report(run)
    return tuple((run.folder / name).read_text(encoding="utf-8") for name in ("report.html", "README.md"))  # type: ignore[return-value]


def collect(records: Iterable[SceneRecord], categories: list[str]) -> Statistics:
    statistics = Statistics(categories)
    for record in records:
        statistics.add(record)
    return statistics


def card_rows(readme: str) -> list[list[str]]:
    """Cells of the table of classes, below its head."""
    lines = readme.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| class |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.replace(r"\|", "\x00").strip("|").split("|")])
    return rows


def test_statistics_worked_by_hand(tmp_path: Path) -> None:
    statistics = collect(run_of(tmp_path).records(), ["cell", "platelet", "nothing"])
    assert (statistics.scenes, statistics.train_scenes, statistics.objects) == (2, 1, 2)
    cell, platelet, nothing = statistics.categories
    assert (cell.planned, cell.train, cell.val, cell.painted, cell.dropped, cell.unplaced) == (2, 1, 1, 2, 0, 0)
    assert (cell.attempts, cell.acceptance) == (4, 0.5)
    assert cell.painted_wh == ((20, 20), (20, 20))
    assert cell.centres == ((20.0, 20.0), (20.0, 20.0))
    # 20 x 20 in 40 x 20.
    assert (cell.requested_median_px, cell.painted_median_px, cell.median_iou) == (pytest.approx(800**0.5), 20.0, 0.5)
    assert (cell.labelled_median_px, cell.real_median_px, cell.median_score) == (20.0, None, None)
    assert (platelet.planned, platelet.painted, platelet.dropped, platelet.unplaced) == (4, 0, 2, 2)
    assert (platelet.acceptance, platelet.median_iou) == (0.0, 0.0)
    assert (nothing.planned, nothing.attempts, nothing.acceptance) == (0, 0, 0.0)


def test_the_card_has_a_row_for_each_class(tmp_path: Path) -> None:
    _, readme = pages(run_of(tmp_path))
    assert card_rows(readme) == [
        ["cell", "2", "2 (1 / 1)", "0", "0", "50 %", "28 / 20 / 20 / –", "0.50"],
        ["platelet", "4", "0 (0 / 0)", "2", "2", "0 %", "0 / 0 / 0 / –", "0.00"],
    ]


@pytest.mark.parametrize("name", ["red | white", "two\nlines"])
def test_no_name_breaks_the_table_of_the_card(tmp_path: Path, name: str) -> None:
    _, readme = pages(run_of(tmp_path, names=(name, "platelet")))
    rows = card_rows(readme)
    assert [len(row) for row in rows] == [8, 8]
    assert rows[1][0] == "platelet"


def test_the_users_text_is_never_taken_for_html(tmp_path: Path) -> None:
    html, _ = pages(run_of(tmp_path, names=(EVIL, "platelet"), prompt=EVIL))
    page = Page(html)
    assert "script" not in [tag for tag, _ in page.elements]
    assert "<script" not in html.lower()
    # Title, heading, legend, table, plots, rejections and prompts all show it letter for letter.
    assert sum(EVIL in text for text in page.text) >= 6
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_the_page_stands_alone(tmp_path: Path) -> None:
    html, _ = pages(run_of(tmp_path))
    page = Page(html)
    tags = [tag for tag, _ in page.elements]
    assert not {"script", "link", "iframe", "object", "embed"} & set(tags)
    targets = [
        value or ""
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name.split(":")[-1] in ("src", "href", "srcset", "action")
    ]
    assert targets
    # Within the page itself: data or an anchor.
    assert [target for target in targets if not target.startswith(("data:", "#"))] == []
    assert "url(http" not in html
    assert "@import" not in html
    assert tags.count("svg") == 1
    assert tags.count("html") == tags.count("body") == 1


def test_the_page_says_what_was_rejected_and_how_long_it_took(tmp_path: Path) -> None:
    text = " ".join(Page(pages(run_of(tmp_path))[0]).text)
    for words in ("attempt 1 rejected", "few a cell", "dropped", "not placed", "no free place in 60 tries", "objects"):
        assert words in text
    assert "Every object was accepted" not in text


def test_the_contact_sheet_is_in_the_page_and_beside_it(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    write_report(run)
    with Image.open(tmp_path / "contact_sheet.jpg") as sheet:
        # Two scenes of 96 px and three gaps of 4 px.
        assert (sheet.format, sheet.size) == ("JPEG", (204, 72))


@pytest.mark.parametrize(
    "names",
    [
        ("größer 日本 🩸",),
        (r"a $\frac$ b", "x"),
        ("5 $ or 6 $",),
        ("_hidden", "100%", "{{ 7 * 7 }}", "a & b", '"quoted"'),
        ("1", "2", "2020-01-01"),
        tuple(f"class {number}" for number in range(12)),
    ],
    ids=["scripts", "broken formula", "dollars", "signs", "numbers", "more than colours"],
)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_name_can_be_reported(tmp_path: Path, names: tuple[str, ...]) -> None:
    html, readme = pages(run_of(tmp_path, names=names))
    page = Page(html)
    for name in names:
        assert name in page.text, "letter for letter"
    assert [row[0] for row in card_rows(readme)] == list(names)


def test_equal_data_sets_give_equal_cards_and_plots(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_report(run_of(tmp_path / name))
    for file in ("README.md", "contact_sheet.jpg", "report.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_of_many_objects_some_points_are_drawn_and_all_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generator.report.statistics.MAX_POINTS", 4)
    (record, _) = run_of(tmp_path).records()
    boxes = [(0, 0, side, side) for side in range(1, 12)]
    objects = tuple(record.objects[0].model_copy(update={"painted_box": box}) for box in boxes)
    statistics = collect([record.model_copy(update={"objects": objects})], ["cell"])
    (cell,) = statistics.categories
    assert (cell.painted, cell.painted_median_px) == (11, 6.0)
    assert cell.painted_wh == ((1, 1), (5, 5), (9, 9))  # every fourth
    assert cell.centres == ((0.5, 0.5), (2.5, 2.5), (4.5, 4.5))
