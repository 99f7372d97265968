"""What a person looks at: the page report.html, the card README.md and the contact sheet of a run."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from generator.audit.files import AUDIT_PICTURE, read_audit
from generator.dataset.folder import RunFolder
from generator.dataset.pictures import category_colours, draw_record, spread, tile
from generator.dataset.record import AttemptRecord, ObjectRecord, SceneRecord
from generator.foundation.storage import translate_os_errors, write_bytes, write_text
from generator.foundation.version import __version__
from generator.report.environment import page_environment
from generator.report.plots import box_plots
from generator.report.statistics import Collector, PromptCounter, Statistics

SHEET_SCENES, SHEET_COLUMNS, SHEET_CELL_PX = 24, 4, 420
MAX_REJECTED_ROWS = 200


def write_report(run: RunFolder) -> Statistics:
    """Write README.md, contact_sheet.jpg and report.html of a run folder from its records; returns what was counted.

    Records are taken one at a time. Raises StorageError.
    """
    plan = run.plan
    categories = list(plan.spec.categories)
    measured = {row.name: row.calibration for row in plan.spec.classes if row.calibration is not None}
    real_sides_px = {name: found.side_px(plan.config.canvas_wh) for name, found in measured.items()}
    collector, prompts = Collector(categories, real_sides_px), PromptCounter()
    finished = sorted(run.finished)
    on_sheet = {finished[position] for position in spread(len(finished), SHEET_SCENES)}
    shown: list[SceneRecord] = []
    rejected: list[dict[str, Any]] = []
    num_rejected = 0
    for record in run.records():
        collector.add(record)
        prompts.add(record)
        if record.index in on_sheet:
            shown.append(record)
        rows = _rejections(record)
        num_rejected += len(rows)
        rejected += rows[: MAX_REJECTED_ROWS - len(rejected)]
    statistics = collector.statistics()
    colours = category_colours(categories)
    jpeg = _jpeg(_contact_sheet(shown, run, colours))
    write_bytes(run.folder / "contact_sheet.jpg", jpeg)
    audit = read_audit(run.folder)
    context: dict[str, Any] = {
        "audit": audit,
        "plan": plan,
        "card": plan.config.card,
        "statistics": statistics,
        "version": __version__,
        "colours": colours,
        "prompts": prompts.list_prompts(plan.book) if plan.book else (),
    }
    write_text(run.folder / "README.md", _render("card.md.j2", **context))
    page = _render(
        "report.html.j2",
        **context,
        sheet=base64.b64encode(jpeg).decode(),
        plots=box_plots(statistics, plan.config.canvas_wh, colours),
        rejected=rejected,
        num_rejected=num_rejected,
        timings=_seconds_per_stage(run),
        suspicious=_encoded(run.folder / AUDIT_PICTURE),
    )
    write_text(run.folder / "report.html", page)
    return statistics


def _render(template: str, **context: Any) -> str:
    return page_environment("generator.report").get_template(template).render(**context)


def _contact_sheet(records: Sequence[SceneRecord], run: RunFolder, colours: Mapping[str, str]) -> Image.Image:
    pictures = [draw_record(record, run.folder / "images", colours) for record in records]
    columns = min(SHEET_COLUMNS, len(pictures))
    return tile(pictures, columns=columns, cell_width=min(run.plan.config.canvas.width, SHEET_CELL_PX))


def _encoded(path: Path) -> str | None:
    """A picture's bytes for a page; None where there is none."""
    with translate_os_errors(path):
        return base64.b64encode(path.read_bytes()).decode() if path.is_file() else None


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _rejections(record: SceneRecord) -> list[dict[str, Any]]:
    """Every rejected attempt, dropped object and object without a place of a scene."""
    rows: list[dict[str, Any]] = [
        {"scene": record.index, "category": "scene", "what": f"attempt {attempt.number + 1} rejected", "why": why}
        for attempt in record.background.attempts
        if attempt.number != record.background.taken and (why := _reasons(attempt))
    ]
    for item in (*record.objects, *record.decoys):
        category = item.category if isinstance(item, ObjectRecord) else "decoy"
        for attempt in item.attempts:
            if reasons := _reasons(attempt):
                outcome = f"attempt {attempt.number + 1} rejected"
                rows.append({"scene": record.index, "category": category, "what": outcome, "why": reasons})
        if item.dropped:
            rows.append({"scene": record.index, "category": category, "what": "dropped", "why": item.dropped})
    rows += [
        {"scene": record.index, "category": item.category, "what": "not placed", "why": item.reason}
        for item in record.unplaced
    ]
    return rows


def _reasons(attempt: AttemptRecord) -> str:
    return "; ".join(verdict.reason for verdict in attempt.verdicts if not verdict.passed)


def _seconds_per_stage(run: RunFolder) -> list[tuple[str, float]]:
    seconds: dict[str, float] = {}
    for line in run.read_timings():
        for stage, spent in line["seconds"].items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
    return sorted(seconds.items(), key=lambda item: -item[1])
