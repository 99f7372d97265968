"""The proof card: what came out, first line first, and everything that a sceptic asks for.

card.md                  verdict, tables, how it was measured, on what
card.csv                 a row for each training
summary.csv              a row for each arm and number of real images
card.png                 curves
failures.jpg             test pictures where painted images help least
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detection.detectors.types import Detections
from detection.experiment.conditions import conditions
from detection.experiment.config import Arm
from detection.experiment.drawing import Failure, draw_failures, worst_pictures
from detection.experiment.plots import draw_card
from detection.experiment.run import Outcome
from detection.experiment.tables import (
    Rows,
    arm_table,
    category_table,
    curve_table,
    gain_table,
    job_rows,
    summary_rows,
    write_csv,
)
from detection.experiment.value_curve import advice
from detection.experiment.verdict import ARM_NAMES, points, share_sentence, verdict, with_images
from generator.foundation.storage import write_text

CARD, TRAININGS, SUMMARY, CURVES, FAILURES = "card.md", "card.csv", "summary.csv", "card.png", "failures.jpg"
_SHOWN_FAILURES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofCard:
    """A written card: its file, and the lines that matter most."""

    path: Path
    headlines: tuple[str, ...]


def write_card(outcome: Outcome, out: Path, *, command: str, exchanged: Sequence[str] = ()) -> ProofCard:
    """Write the card and its files into `out`; `exchanged` are the options that gave other data than the file names.

    Raises StorageError.
    """
    lines = headlines(outcome)
    write_csv(out / TRAININGS, job_rows(outcome))
    write_csv(out / SUMMARY, summary_rows(outcome))
    draw_card(out / CURVES, outcome)
    failures = _write_failures(outcome, out / FAILURES)
    parts = [
        "\n\n".join(lines),
        f"![curves]({CURVES})",
        *_tables(outcome),
        *failures,
        conditions(outcome, command),
    ]
    notes = [*outcome.materials.config.notes]
    if exchanged:
        also = ", and so were these notes" if notes else ""
        about = f"The file was written for other data{also}: data was exchanged by {' and '.join(exchanged)}."
        notes.insert(0, about)
    if notes:
        parts.insert(1, "\n".join(f"- {note}" for note in notes))
    write_text(out / CARD, "\n\n".join(parts) + "\n")
    return ProofCard(path=out / CARD, headlines=tuple(lines))


def headlines(outcome: Outcome) -> list[str]:
    """The verdict, then what painted pictures do alone, then how many are worth it."""
    materials = outcome.materials
    config = materials.config
    claimed = [gain for gain in outcome.gains if gain.arm == config.claim]
    lines = [verdict(claimed, photos=len(materials.test), total=len(materials.train))]
    total = len(materials.train)
    lines += [share_sentence(arm, share, total, config.fewest_real or total) for arm, share in outcome.shares.items()]
    if outcome.curve is not None and config.value_curve is not None:
        lines.append(advice(outcome.curve, config.value_curve, config.categories))
    if outcome.changes:
        lines.append(f"Not what was declared before there were scores: {'; '.join(outcome.changes)}.")
    return lines


def _tables(outcome: Outcome) -> list[str]:
    parts = [
        "## mAP 0.50:0.95, points",
        "Mean ± standard deviation over subsets and seeds; in brackets how many.",
        _markdown(arm_table(outcome)),
    ]
    if outcome.gains:
        parts += [
            "## Gain over the best arm without painted images, points",
            "With 95 % intervals, each for itself; bold where zero lies outside. The arm to beat is, at each number of "
            "real images, the one with the highest mean.",
            _markdown(gain_table(outcome)),
        ]
    parts += ["## By class, points", _markdown(category_table(outcome))]
    if outcome.curve is not None:
        parts += ["## Value of painted images", _markdown(curve_table(outcome))]
    return parts


def _write_failures(outcome: Outcome, path: Path) -> list[str]:
    """Draw the worst pictures of the claimed arm, and tell of them; nothing where it was not compared."""
    materials = outcome.materials
    gain = next((gain for gain in outcome.gains if gain.arm == materials.config.claim), None)
    if gain is None:
        return []
    found = {arm: _found_by(arm, gain.number, outcome) for arm in (gain.arm, gain.baseline)}
    failures = worst_pictures(materials.test, found[gain.arm], found[gain.baseline], most=_SHOWN_FAILURES)
    draw_failures(path, materials.test, failures, found[gain.arm][0], found[gain.baseline][0])
    total = len(materials.train)
    return [
        "## Worst failures",
        f"{with_images(gain.number, total).capitalize()}: on the left {ARM_NAMES[gain.arm]}, on the right "
        f"{ARM_NAMES[gain.baseline]}. Green is right, red wrong, blue missed (subset 0, boxes from its best score on).",
        f"![failures]({path.name})",
        _markdown(_failure_rows(failures)),
    ]


def _found_by(arm: Arm, number: int, outcome: Outcome) -> list[list[Detections]]:
    """What an arm found in each test picture with so many real ones, for each subset."""
    cell = next(cell for cell in outcome.cells if (cell.arm, cell.number) == (arm, number))
    wanted = (arm, number, cell.painted)
    jobs = [result for result in outcome.results if (result.job.kind, result.job.number, result.job.painted) == wanted]
    return [result.folder.read_detections() for result in sorted(jobs, key=lambda result: result.job.subset)]


def _failure_rows(failures: Sequence[Failure]) -> Rows:
    rows = [["picture", "AP with painted images", "AP without"]]
    return rows + [[failure.name, points(failure.ap), points(failure.baseline_ap)] for failure in failures]


def _markdown(rows: Rows) -> str:
    heads, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [heads, ["---"] * len(heads), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
