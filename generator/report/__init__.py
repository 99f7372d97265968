"""What a person looks at: the page report.html, the card README.md and the contact sheet of a run."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from typing import Any

from PIL import Image

from generator.dataset import RunFolder
from generator.pictures import category_colours, draw_record, spread, tile
from generator.record import SceneRecord
from generator.report.environment import page_environment
from generator.report.plots import box_plots
from generator.report.statistics import collect, list_prompts
from generator.storage import write_bytes
from generator.version import __version__

SHEET_SCENES, SHEET_COLUMNS, SHEET_CELL_PX = 24, 4, 420
MAX_REJECTED_ROWS = 200


def write_report(run: RunFolder) -> None:
    """Write README.md, contact_sheet.jpg and report.html of a run folder from its records. Raises StorageError."""
    plan = run.plan
    categories = list(plan.spec.categories)
    records = list(run.records())
    statistics = collect(records, categories)
    colours = category_colours(categories)
    jpeg = _jpeg(_contact_sheet(records, run, colours))
    write_bytes(run.folder / "contact_sheet.jpg", jpeg)
    context: dict[str, Any] = {
        "plan": plan,
        "card": plan.config.card,
        "statistics": statistics,
        "version": __version__,
        "colours": colours,
        "prompts": list_prompts(plan.book, records) if plan.book else (),
    }
    write_bytes(run.folder / "README.md", _render("card.md.j2", **context).encode())
    rejected = _rejections(records)
    page = _render(
        "report.html.j2",
        **context,
        sheet=base64.b64encode(jpeg).decode(),
        plots=box_plots(statistics, plan.config.canvas_wh, colours),
        rejected=rejected[:MAX_REJECTED_ROWS],
        num_rejected=len(rejected),
        timings=_seconds_per_stage(run),
    )
    write_bytes(run.folder / "report.html", page.encode())


def _render(template: str, **context: Any) -> str:
    return page_environment("generator.report").get_template(template).render(**context)


def _contact_sheet(records: list[SceneRecord], run: RunFolder, colours: Mapping[str, str]) -> Image.Image:
    chosen = [records[position] for position in spread(len(records), SHEET_SCENES)]
    pictures = [draw_record(record, run.folder / "images", colours) for record in chosen]
    columns = min(SHEET_COLUMNS, len(pictures))
    return tile(pictures, columns=columns, cell_width=min(run.plan.config.canvas.width, SHEET_CELL_PX))


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _rejections(records: Iterable[SceneRecord]) -> list[dict[str, Any]]:
    """Every rejected attempt, dropped object and object without a place, in order of scenes."""
    rows: list[dict[str, Any]] = []
    for record in records:
        for item in record.objects:
            for attempt in item.attempts:
                reasons = [verdict.reason for verdict in attempt.verdicts if not verdict.passed]
                if reasons:
                    outcome = f"attempt {attempt.number + 1} rejected"
                    rows.append(
                        {"scene": record.index, "category": item.category, "what": outcome, "why": "; ".join(reasons)}
                    )
            if item.dropped:
                rows.append({"scene": record.index, "category": item.category, "what": "dropped", "why": item.dropped})
        rows += [
            {"scene": record.index, "category": item.category, "what": "not placed", "why": item.reason}
            for item in record.unplaced
        ]
    return rows


def _seconds_per_stage(run: RunFolder) -> list[tuple[str, float]]:
    seconds: dict[str, float] = {}
    for line in run.read_timings():
        for stage, spent in line["seconds"].items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
    return sorted(seconds.items(), key=lambda item: -item[1])
