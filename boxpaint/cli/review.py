"""`boxpaint review`: look at every object in the terminal and say by a key whether it is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from boxpaint.cli.console import console, say
from boxpaint.cli.scenario import check_painted
from generator.foundation.errors import BoxpaintError

if TYPE_CHECKING:
    import numpy as np

    from generator.dataset.record import ObjectRecord, SceneRecord
    from generator.dataset.review import Review

ACCEPT, REJECT, WRONG, BACK, SKIP, QUIT = "a", "r", "c", "b", "s", "q"
KEYS = "a accept, r reject, c wrong class, s skip, b back, q quit"
_WIDTH, _BORDER = 56, 0.3


def review(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Run folder of `boxpaint generate`.")],
    category: Annotated[str | None, typer.Option("--class", help="Only objects of this class.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what was decided already (default: what is still open).")
    ] = False,
) -> None:
    """Accept, reject or rename painted objects; `boxpaint generate` paints rejected ones again."""
    from generator.dataset.review import read_review

    if not console.is_terminal:
        raise BoxpaintError("boxpaint review needs a terminal, for its keys")
    records, categories = _read(folder)
    if category is not None and category not in categories:
        raise BoxpaintError(f"there is no class {category!r}; classes: {', '.join(categories)}")
    decided = read_review(folder, categories)
    items = [
        (record, item)
        for record in records
        for item in record.objects
        if item.painted_box is not None
        and category in (None, item.category)
        and (everything or decided.of(record, item) is None)
    ]
    if not items:
        console.print("nothing is left to review; --all shows what was decided, too")
        return

    decided = _ask(items, decided, categories, folder)
    kinds = [each.decision for each in decided.decisions.values()]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    console.print(f"decided: {counts or 'nothing'}; kept in {folder / 'review.json'}")
    if {"reject", "wrong class"} & {*kinds}:
        console.print(
            "next: the same `boxpaint generate` command: paints what was rejected again, renames what was wrong"
        )


def _ask(
    items: Sequence[tuple[SceneRecord, ObjectRecord]], review: Review, categories: Sequence[str], folder: Path
) -> Review:
    """Show one object after the other until all are decided or the user quits; each decision is kept at once."""
    import click

    from generator.dataset.review import Decision, accepted_attempt, decide

    place = 0
    while place < len(items):
        record, item = items[place]
        _show(f"{place + 1} of {len(items)}", record, item, folder, review)
        pressed = click.getchar().lower()
        if pressed in (QUIT, "\x03", "\x1b"):
            break
        if pressed == BACK:
            place = max(0, place - 1)
            continue
        if pressed in (ACCEPT, REJECT, WRONG):
            right = _right_class(categories, item.category) if pressed == WRONG else None
            if pressed == WRONG and right is None:
                continue
            choice = {ACCEPT: "accept", REJECT: "reject", WRONG: "wrong class"}[pressed]
            place_of = {"scene": record.index, "object_index": item.object_index, "attempt": accepted_attempt(item)}
            decision = Decision.model_validate({**place_of, "decision": choice, "category": right})
            review = decide(folder, categories, decision)
        elif pressed != SKIP:
            continue
        place += 1
    return review


def _right_class(categories: Sequence[str], wrong: str) -> str | None:
    import click

    others = [name for name in categories if name != wrong][:9]
    console.print("  ".join(f"{number} {name}" for number, name in enumerate(others, start=1)) or "there is no other")
    pressed = click.getchar()
    return others[int(pressed) - 1] if pressed.isdecimal() and 0 < int(pressed) <= len(others) else None


def _show(place: str, record: SceneRecord, item: ObjectRecord, folder: Path, review: Review) -> None:
    import numpy as np

    from detection.datasets.read import read_rgb
    from generator.foundation.geometry import Box

    assert item.painted_box is not None
    box = Box.from_xyxy(*item.painted_box)
    picture = read_rgb(folder / "images" / record.file_name)
    border = round(_BORDER * max(box.width, box.height))
    rows = slice(max(0, box.y_min - border), box.y_max + border)
    columns = slice(max(0, box.x_min - border), box.x_max + border)
    marked = np.array(picture)
    marked[box.y_min, box.x_min : box.x_max] = marked[box.y_max - 1, box.x_min : box.x_max] = (255, 220, 0)
    marked[box.y_min : box.y_max, box.x_min] = marked[box.y_min : box.y_max, box.x_max - 1] = (255, 220, 0)
    console.clear()
    console.print(f"{place}: {item.category} in {record.file_name}, {box.width} x {box.height} px")
    console.print(half_blocks(marked[rows, columns], _WIDTH))
    say(item.prompt, style="italic")
    decided = review.of(record, item)
    if decided is not None:
        console.print(f"decided: {decided.decision} {decided.category or ''}", style="yellow")
    console.print(KEYS, style="bold")


def half_blocks(pixels: np.ndarray, width: int) -> Text:
    """Draw a picture (HWC uint8) in characters, two pixels in each: the upper half block with two colours."""
    import cv2

    height = max(2, round(width * pixels.shape[0] / pixels.shape[1]) // 2 * 2)
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    text = Text()
    for upper, lower in zip(small[::2], small[1::2], strict=True):
        for top, bottom in zip(upper, lower, strict=True):
            text.append("▀", style=f"rgb({top[0]},{top[1]},{top[2]}) on rgb({bottom[0]},{bottom[1]},{bottom[2]})")
        text.append("\n")
    return text


def _read(folder: Path) -> tuple[list[SceneRecord], list[str]]:
    """Records of the finished scenes, and the classes in their order. Raises DatasetError."""
    from generator.dataset.record import read_record
    from generator.foundation.storage import read_json

    check_painted(folder)
    rows = read_json(folder / "run.json")["spec"]["classes"]
    records = [read_record(each) for each in sorted((folder / "records").glob("*.json"))]
    return records, list(dict.fromkeys(str(row["name"]) for row in rows))
