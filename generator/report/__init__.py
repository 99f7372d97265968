"""What a person looks at: the page report.html, the card README.md and the contact sheet of a run."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from generator.audit.files import AUDIT_PICTURE, read_audit
from generator.dataset.folder import RunFolder
from generator.dataset.pictures import category_colours, draw_record, spread, tile
from generator.dataset.record import AttemptRecord, ObjectRecord, SceneRecord
from generator.foundation.storage import translate_os_errors, write_bytes, write_text
from generator.foundation.version import __version__
from generator.report.statistics import Statistics
from generator.types import percent

SHEET_SCENES, SHEET_COLUMNS, SHEET_CELL_PX = 24, 4, 420
MAX_REJECTED_ROWS = 200
MAX_VECTOR_POINTS = 2000
# Fixed, so that the same data set gives the same page.
_STYLE: Any = {"svg.hashsalt": "boxpaint", "svg.fonttype": "none", "text.parse_math": False, "font.size": 9}
_MARKUP = re.compile(r"[|<\[`]")


def write_report(run: RunFolder) -> Statistics:
    """Write README.md, contact_sheet.jpg and report.html of a run folder from its records; returns what was counted.

    Records are taken one at a time. Raises StorageError.
    """
    plan = run.plan
    categories = list(plan.spec.categories)
    measured = {row.name: row.calibration for row in plan.spec.classes if row.calibration is not None}
    real_sides_px = {name: found.side_px(plan.config.canvas_wh) for name, found in measured.items()}
    statistics = Statistics(categories, real_sides_px)
    finished = sorted(run.finished)
    on_sheet = {finished[position] for position in spread(len(finished), SHEET_SCENES)}
    shown: list[SceneRecord] = []
    rejected: list[dict[str, Any]] = []
    num_rejected = 0
    for record in run.records():
        statistics.add(record)
        if record.index in on_sheet:
            shown.append(record)
        rows = _rejections(record)
        num_rejected += len(rows)
        rejected += rows[: MAX_REJECTED_ROWS - len(rejected)]
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
        "prompts": statistics.list_prompts(plan.book) if plan.book else (),
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
    """Every rejected attempt, dropped object, object without a place and real object without a label of a scene."""
    rows: list[dict[str, Any]] = []

    def note(category: str, what: str, why: str) -> None:
        if why:
            rows.append({"scene": record.index, "category": category, "what": what, "why": why})

    for attempt in record.background.attempts:
        if attempt.number != record.background.taken:
            note("scene", f"attempt {attempt.number + 1} rejected", _reasons(attempt))
    for item in (*record.objects, *record.decoys):
        category = item.category if isinstance(item, ObjectRecord) else "decoy"
        for attempt in item.attempts:
            note(category, f"attempt {attempt.number + 1} rejected", _reasons(attempt))
        note(category, "dropped", item.dropped)
    for missing in record.unplaced:
        note(missing.category, "not placed", missing.reason)
    if record.photo is not None:
        for real in record.photo.objects:
            if real.is_kept:
                note(real.category, "real, no label", real.unlabelled)
        for seen in record.photo.seen:
            note(seen.category, "seen in the photo, no label", f"probability {percent(seen.score)}, labelled by nobody")
    return rows


def _reasons(attempt: AttemptRecord) -> str:
    return "; ".join(verdict.reason for verdict in attempt.verdicts if not verdict.passed)


def _seconds_per_stage(run: RunFolder) -> list[tuple[str, float]]:
    seconds: dict[str, float] = {}
    for line in run.read_timings():
        for stage, spent in line["seconds"].items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
    return sorted(seconds.items(), key=lambda item: -item[1])


def box_plots(statistics: Statistics, canvas_wh: tuple[int, int], colours: Mapping[str, str]) -> str:
    """Draw counts, sizes and positions of the labels side by side; returns one SVG element."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(12, 3.6), layout="constrained", facecolor="#1b1b1f")
        counts, sizes, places = figure.subplots(1, 3)
        names = [category.name for category in statistics.categories]
        train = [category.train for category in statistics.categories]
        counts.barh(names, train, color=[colours[name] for name in names])
        counts.barh(names, [each.val for each in statistics.categories], left=train, color="#888888", label="val")
        counts.invert_yaxis()
        for category in statistics.categories:
            _scatter(sizes, category.painted_wh, colours[category.name])
            _scatter(places, category.centres, colours[category.name])
        sizes.set(xlabel="width, px", ylabel="height, px")
        sizes.set_xlim(left=0)
        sizes.set_ylim(bottom=0)
        places.set(xlim=(0, canvas_wh[0]), ylim=(canvas_wh[1], 0), aspect="equal")
        titles = ("Labels per class (grey: validation)", "Size of the boxes", "Centres of the boxes")
        for axes, title in zip((counts, sizes, places), titles, strict=True):
            axes.set_title(title)
            axes.set_facecolor("#26262b")
            axes.tick_params(colors="#c8c8cc")
            for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
                text.set_color("#e4e4e8")
            for spine in axes.spines.values():
                spine.set_color("#4a4a50")
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]


def _scatter(axes: Axes, points: Sequence[tuple[float, float]], colour: str) -> None:
    if points:
        x, y = zip(*points, strict=True)
        # Past some thousand points a bitmap inside the SVG is smaller, and no eye sees the difference.
        axes.scatter(x, y, s=12, alpha=0.7, color=colour, rasterized=len(x) > MAX_VECTOR_POINTS)


def page_environment(package: str) -> jinja2.Environment:
    """Make an environment for the folder templates/ of a package; HTML is escaped, other text is not.

    Filters: `figure` shows a number with three digits, NaN as a dash; `cell` is for a table of Markdown.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        # Prompts and names of files and classes are the user's text: never taken for HTML.
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["figure"] = lambda value: f"{value:.3f}" if value == value else "–"
    environment.filters["cell"] = _markdown_cell
    return environment


def _markdown_cell(text: str) -> str:
    """Keep a text from breaking out of its table cell, and from being read as a tag, a link or a picture."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))
