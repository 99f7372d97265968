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
from detection.experiment.config import Arm, ExperimentConfig
from detection.experiment.drawing import Failure, draw_failures, worst_pictures
from detection.experiment.jobs import Materials, data_digest
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
from detection.machine import describe_machine
from generator.storage import write_bytes

CARD, TRAININGS, SUMMARY, CURVES, FAILURES = "card.md", "card.csv", "summary.csv", "card.png", "failures.jpg"
_SHOWN_FAILURES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofCard:
    """A written card: its file, and the lines that matter most."""

    path: Path
    headlines: tuple[str, ...]


def write_card(outcome: Outcome, out: Path, *, command: str) -> ProofCard:
    """Write the card and its files into `out`. Raises StorageError."""
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
        _conditions(outcome, command),
    ]
    notes = outcome.materials.config.notes
    if notes:
        parts.insert(1, "\n".join(f"- {note}" for note in notes))
    write_bytes(out / CARD, ("\n\n".join(parts) + "\n").encode())
    return ProofCard(path=out / CARD, headlines=tuple(lines))


def headlines(outcome: Outcome) -> list[str]:
    """The verdict, then what painted pictures do alone, then how many are worth it."""
    materials = outcome.materials
    config = materials.config
    claimed = [gain for gain in outcome.gains if gain.arm == config.claim]
    lines = [verdict(claimed, pictures=len(materials.test), total=len(materials.train))]
    total = len(materials.train)
    lines += [share_sentence(arm, share, total, config.fewest_real or total) for arm, share in outcome.shares.items()]
    if outcome.curve is not None and config.value_curve is not None:
        lines.append(advice(outcome.curve, config.value_curve, config.categories))
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
            "With 95 % intervals; bold where zero lies outside. The arm to beat is, at each number of real images, the "
            "one with the highest mean.",
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


def _conditions(outcome: Outcome, command: str) -> str:
    materials = outcome.materials
    config = materials.config
    counts = ", ".join(f"{count} {name}" for name, count in materials.test.counts().items())
    painted = materials.painted
    lines = [
        f"- Command: `{command}`",
        f"- Real: {len(materials.train)} training pictures ({data_digest(materials.train, materials.digests)}), "
        f"{len(materials.test)} test pictures with {counts} ({data_digest(materials.test, materials.digests)}). "
        "No picture is in both; the test pictures were scored on and nothing else.",
    ]
    if painted is not None:
        lines.append(
            f"- Painted: {len(painted)} pictures ({data_digest(painted, materials.digests)}), "
            f"boxes: {config.synthetic.boxes}."
        )
    lines += [
        f"- Detector: {config.detector.name}, from {_weights(config.detector.pretrained)}; every arm "
        f"{config.fit.steps} steps of {config.fit.batch_size} pictures with augmentation {config.fit.augment}; "
        f"`{ARM_NAMES['refined']}` spends the last of them on real pictures alone: {_refinings(config, materials)} "
        f"(else a learning rate of {config.fit.learning_rate:g}). Its painted boxes are scaled as measured "
        f"on the first {config.fewest_real or len(materials.train)} pictures of its subset.",
        "- Subsets of real pictures are drawn by seed, the smaller inside the larger, the same for all arms; pictures "
        "that bring a class which is still missing come first. Subset k is trained with seed k.",
        f"- Intervals: {config.bootstrap} bootstrap draws of test pictures and of subsets, the same for both arms. "
        "Few subsets make an interval too narrow rather than too wide.",
        f"- The verdict is about `{ARM_NAMES[config.claim]}`, as the file said before there were scores.",
        f"- Seeds: {config.seed} and the number of each subset. {len(outcome.results)} scored trainings, "
        f"{outcome.seconds / 60:.0f} minutes of one thread in all, {config.workers} at a time.",
        *(f"- {topic.capitalize()}: {finding}" for topic, finding in describe_machine().items()),
    ]
    return "## How it was measured\n\n" + "\n".join(lines)


def _refinings(config: ExperimentConfig, materials: Materials) -> str:
    total = len(materials.train)
    numbers = [total if wish.number == "all" else wish.number for wish in config.real_images]
    refines = {number: config.refine_of(number, total) for number in numbers}
    parts = [
        f"{refine.steps} {with_images(number, total)} at {refine.learning_rate:g}" for number, refine in refines.items()
    ]
    return ", ".join(parts)


def _weights(pretrained: str) -> str:
    return "random weights" if pretrained == "none" else f"weights: {pretrained}"


def _markdown(rows: Rows) -> str:
    heads, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [heads, ["---"] * len(heads), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
