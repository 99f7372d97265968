"""The proof card: what came out, first line first, and everything that a sceptic asks for.

card.md                  verdict, tables, how it was measured, on what
card.csv                 a row for each training
summary.csv              a row for each arm and number of real images
card.png                 curves
failures.jpg             test pictures where painted images help least
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from detection.datasets.types import Detections
from detection.experiment.config import Arm
from detection.experiment.jobs import PaintedSet, Painting, Tuning
from detection.experiment.paintings import PAINTERS, PAINTINGS, PHOTOS
from detection.experiment.pictures import draw_card, draw_failures, worst_pictures
from detection.experiment.results import Cell, Gain, measured_on
from detection.experiment.run import Outcome
from detection.experiment.verdict import (
    MIN_SUBSETS,
    advice,
    arm_name,
    points,
    range_of,
    share_sentence,
    verdict,
    with_images,
)
from detection.pages import ABSENT, Rows, describe_machine, markdown, write_csv
from detection.painter.training import NEAREST, SAMPLES
from detection.proof.statistics import Interval
from generator.foundation.storage import write_text

CARD, TRAININGS, SUMMARY, CURVES, FAILURES = "card.md", "card.csv", "summary.csv", "card.png", "failures.jpg"
_SHOWN_FAILURES = 3


def write_card(outcome: Outcome, out: Path, *, command: str, exchanged: Sequence[str] = ()) -> tuple[str, ...]:
    """Write the card and its files into `out`; returns the lines that matter most.

    `exchanged` are the options that gave other data than the file names. Raises StorageError.
    """
    config = outcome.materials.config
    lines = headlines(outcome)
    write_csv(out / TRAININGS, job_rows(outcome))
    write_csv(out / SUMMARY, summary_rows(outcome))
    draw_card(out / CURVES, config, outcome.cells, outcome.curve)
    failures = _write_failures(outcome, out / FAILURES)
    parts = ["\n\n".join(lines), f"![curves]({CURVES})", *_tables(outcome), *failures, _conditions(outcome, command)]
    notes = [*config.notes]
    if exchanged:
        also = ", and so were these notes" if notes else ""
        about = f"The file was written for other data{also}: data was exchanged by {' and '.join(exchanged)}."
        notes.insert(0, about)
    if notes:
        parts.insert(1, "\n".join(f"- {note}" for note in notes))
    write_text(out / CARD, "\n\n".join(parts) + "\n")
    return lines


def headlines(outcome: Outcome) -> tuple[str, ...]:
    """The verdict, then what painted pictures do alone, then how many are worth it."""
    config, total = outcome.materials.config, len(outcome.materials.train)
    claimed = [gain for gain in outcome.gains if gain.arm == config.claim]
    lines = [verdict(claimed, photos=len(outcome.materials.test), total=total)]
    lines += [share_sentence(arm, share, total, config.fewest_real or total) for arm, share in outcome.shares.items()]
    if outcome.curve is not None and config.value_curve is not None:
        lines.append(advice(outcome.curve, config.value_curve, config.categories))
    if outcome.changes:
        lines.append(f"Not what was declared before there were scores: {'; '.join(outcome.changes)}.")
    return tuple(lines)


def job_rows(outcome: Outcome) -> Rows:
    """A row for each training that was scored, heads first; AP in [0, 1]; steps and seconds with those of the job
    that it starts from, which several rows may share."""
    config = outcome.materials.config
    categories = config.categories
    heads = ["arm", "real_images", "painted_images", "measured_on", "seed", "steps", "ap", "ap50", "ap75"]
    rows = [[*heads, *(f"ap {name}" for name in categories), "last_loss", "seconds", "threads", "device", "folder"]]
    for result in outcome.results:
        job, scores, report = result.job, result.scores, result.report
        figures = [scores["ap"], scores["ap50"], scores["ap75"]]
        figures += [scores["categories"][name]["ap"] for name in categories]
        rows.append(
            [
                *map(
                    str, (job.arm.name, job.known, job.painted, measured_on(job, config), job.subset, config.fit.steps)
                ),
                *("" if value is None else f"{value:.5f}" for value in figures),
                f"{report['losses'][-1]:.5f}",
                f"{sum(result.seconds.values()):.1f}",
                *(str(report["made_on"][key]) for key in ("threads", "device")),
                result.folder.path.name,
            ]
        )
    return rows


def summary_rows(outcome: Outcome) -> Rows:
    """A row for each arm and number of real images, heads first; AP in [0, 1]."""
    categories = outcome.materials.config.categories
    gains = {(gain.arm, gain.number): gain for gain in outcome.gains}
    heads = ["arm", "real_images", "painted_images", "measured_on", "trainings", "ap_mean", "ap_sd", "ap50_mean"]
    rows = [[*heads, *(f"ap_mean {name}" for name in categories), "best_without_painted", "gain", "low", "high"]]
    for cell in outcome.cells:
        gain = gains.get((cell.arm, cell.number))
        compared = (
            [gain.baseline.name, *_decimals(gain.whole.value, gain.whole.low, gain.whole.high)] if gain else [""] * 4
        )
        rows.append(
            [
                *map(str, (cell.arm.name, cell.number, cell.painted, cell.measured, len(cell.ap))),
                *_decimals(cell.mean, cell.spread, float(cell.ap50.mean()), *cell.ap_of_category.mean(axis=0).tolist()),
                *compared,
            ]
        )
    return rows


def _tables(outcome: Outcome) -> list[str]:
    parts = [
        "## mAP 0.50:0.95, points",
        "Mean ± standard deviation over subsets and seeds; in brackets how many.",
        markdown(_arm_table(outcome)),
    ]
    if outcome.gains:
        parts += [
            "## Gain over the best arm without painted images, points",
            "With 95 % intervals, each for itself; bold where zero lies outside. The arm to beat is, at each number of "
            "real images, the one with the highest mean.",
            markdown(_gain_table(outcome, outcome.gains, "best without")),
        ]
    if outcome.pairs:
        parts += [
            "## Painters and scenes, points",
            "Each arm whose painted images know its own real ones, over the arm that differs in the painter, or in the "
            "scenes, alone; paired over subsets and test pictures, with 95 % intervals, each for itself.",
            markdown(_gain_table(outcome, outcome.pairs, "over")),
        ]
    parts += ["## By class, points", markdown(_category_table(outcome)), *_painters(outcome)]
    if outcome.curve is not None:
        parts += ["## Value of painted images", markdown(_curve_table(outcome))]
    return parts


def _arm_table(outcome: Outcome) -> Rows:
    """An arm a row, a number of real images a column."""
    numbers = sorted({cell.number for cell in outcome.cells})
    total = len(outcome.materials.train)
    rows = [["arm", *(f"all {total} real" if number == total else f"{number} real" for number in numbers)]]
    for arm in outcome.materials.config.arms:
        cells = {cell.number: cell for cell in outcome.cells if cell.arm == arm}
        measured = max((cell.measured for cell in cells.values()), default=0)
        rows.append([arm_name(arm, measured), *(_mean_and_spread(cells.get(number)) for number in numbers)])
    return rows


def _category_table(outcome: Outcome) -> Rows:
    rows = [["real images", "arm", "mAP50", *outcome.materials.config.categories]]
    for cell in sorted(outcome.cells, key=lambda cell: cell.number):
        means = [points(float(value)) for value in (cell.ap50.mean(), *cell.ap_of_category.mean(axis=0))]
        rows.append([str(cell.number), arm_name(cell.arm, cell.measured), *means])
    return rows


def _gain_table(outcome: Outcome, gains: Iterable[Gain], over: str) -> Rows:
    categories, total = outcome.materials.config.categories, len(outcome.materials.train)
    rows = [["", "arm", over, "gain in mAP", *(f"gain in {name}" for name in categories)]]
    for gain in gains:
        names = [with_images(gain.number, total), gain.arm.title, gain.baseline.title]
        rows.append([*names, *map(_gain, (gain.whole, *gain.of_category))])
    return rows


def _painters(outcome: Outcome) -> list[str]:
    """What painted images that know real ones cost, how well their painters learned, and where to look at them."""
    own, total = outcome.materials.own, len(outcome.materials.train)
    if not own:
        return []
    kinds = dict.fromkeys((painting.number, painting.title) for painting in own)
    rows = [["", "images", "minutes to tune", "minutes to paint", "leak AUC"]]
    for number, title in kinds:
        sets = [made for painting, made in own.items() if (painting.number, painting.title) == (number, title)]
        tuning = _mean_of([made.tuning.seconds / 60 for made in sets if made.tuning is not None])
        painting = _mean_of([made.seconds / 60 for made in sets])
        leak = _mean_of([made.leak for made in sets if made.leak is not None], digits=2)
        rows.append([with_images(number, total), title, tuning, painting, leak])
    return [
        "## Painters",
        f"Means over subsets. Minutes to paint are those of one process for {outcome.materials.num_painted} images; "
        "the AUC says how surely a probe finds where was painted (0.5 is guessing).",
        markdown(rows),
        *_figures(outcome),
        "\n".join(_where_to_look(painting, made, total) for painting, made in own.items()),
    ]


def _figures(outcome: Outcome) -> list[str]:
    """The figures of the tuned painters, each once, as they wrote them: a figure a row, a number of photos a column."""
    total = len(outcome.materials.train)
    painters: dict[int, dict[Path, Tuning]] = {}
    for painting, made in outcome.materials.own.items():
        if made.tuning is not None:
            painters.setdefault(painting.number, {})[made.tuning.folder] = made.tuning
    if not painters:
        return []
    every = [tuning for each in painters.values() for tuning in each.values()]
    rows = [["tuned painters", *(with_images(number, total) for number in painters)]]
    for name in dict.fromkeys(name for tuning in every for name in tuning.numbers):
        found = (
            [each.numbers[name] for each in tunings.values() if name in each.numbers] for tunings in painters.values()
        )
        rows.append([name, *(_mean_of(values, digits=2) for values in found)])
    return [markdown(rows)]


def _where_to_look(painting: Painting, made: PaintedSet, total: int) -> str:
    """A line of links, and what the painter said of itself."""
    links = {
        "photos": f"{PHOTOS}/{made.photos.name}/images",
        "painted": f"{PAINTINGS}/{made.folder.name}/contact_sheet.jpg",
    }
    if made.tuning is not None:
        links |= {name: f"{PAINTERS}/{made.tuning.folder.name}/{name}" for name in (SAMPLES, NEAREST)}
    shown = ", ".join(f"[{name}]({path})" for name, path in links.items())
    remarks = "".join(f"; {remark}" for remark in (made.tuning.remarks if made.tuning is not None else ()))
    return f"- {painting.title} {with_images(painting.number, total)}, subset {painting.subset}: {shown}{remarks}"


def _curve_table(outcome: Outcome) -> Rows:
    """mAP, and the gain of each step with each category."""
    curve, categories = outcome.curve, outcome.materials.config.categories
    if curve is None:
        return []
    rows = [["painted images", "mAP", "step", *(f"step in {name}" for name in categories)]]
    for cell, step in zip(curve.points, (None, *curve.steps), strict=True):
        changes = [*map(_gain, (step.whole, *step.of_category))] if step else [ABSENT] * (1 + len(categories))
        rows.append([str(cell.painted), _mean_and_spread(cell), *changes])
    return rows


def _write_failures(outcome: Outcome, path: Path) -> list[str]:
    """Draw the worst pictures of the claimed arm, and tell of them; nothing where it was not compared."""
    materials = outcome.materials
    gain = next((gain for gain in outcome.gains if gain.arm == materials.config.claim), None)
    if gain is None:
        return []
    arm, baseline = (_found_by(name, gain.number, outcome) for name in (gain.arm, gain.baseline))
    failures = worst_pictures(materials.test, arm, baseline, most=_SHOWN_FAILURES)
    draw_failures(path, materials.test, failures, arm[0], baseline[0])
    rows = [["picture", "AP with painted images", "AP without"]]
    rows += [[failure.name, points(failure.ap), points(failure.baseline_ap)] for failure in failures]
    return [
        "## Worst failures",
        f"{with_images(gain.number, len(materials.train)).capitalize()}: on the left {gain.arm.title}, on the "
        f"right {gain.baseline.title}. Green is right, red wrong, blue missed (subset 0, boxes from its best "
        "score on).",
        f"![failures]({path.name})",
        markdown(rows),
    ]


def _found_by(arm: Arm, number: int, outcome: Outcome) -> list[list[Detections]]:
    """What an arm found in each test picture with so many real ones, for each subset."""
    cell = next(cell for cell in outcome.cells if (cell.arm, cell.number) == (arm, number))
    wanted = (arm, number, cell.painted)
    jobs = [result for result in outcome.results if (result.job.arm, result.job.known, result.job.painted) == wanted]
    return [result.folder.read_detections() for result in sorted(jobs, key=lambda result: result.job.subset)]


def _conditions(outcome: Outcome, command: str) -> str:
    """How it was measured and on what: command, data, detector, subsets, intervals, seeds and machine."""
    lines = [
        f"Command: `{command}`",
        *_data(outcome),
        *_training(outcome),
        "Subsets of real pictures are drawn by seed, the smaller inside the larger, the same for all arms; pictures "
        "that bring a class which is still missing come first. Subset k is trained with seed k.",
        *_judging(outcome),
        *(f"{topic.capitalize()}: {finding}" for topic, finding in describe_machine().items()),
    ]
    return "\n".join(["## How it was measured", "", *(f"- {line}" for line in lines)])


def _data(outcome: Outcome) -> list[str]:
    materials = outcome.materials
    counts = ", ".join(f"{count} {name}" for name, count in materials.test.counts().items())
    lines = [
        f"Real: {len(materials.train)} training pictures ({materials.data_digest(materials.train)}), "
        f"{len(materials.test)} test pictures with {counts} ({materials.data_digest(materials.test)}). "
        "No picture is in both; the test pictures were scored on and nothing else.",
        *(f"Real, {remark}." for remark in materials.remarks),
    ]
    if materials.painted is not None:
        lines.append(
            f"Painted: {len(materials.painted)} pictures ({materials.data_digest(materials.painted)}), "
            f"boxes: {materials.config.synthetic.boxes}."
        )
    if materials.own:
        lines.append(
            f"Painted for some arms alone: {len(materials.own)} sets of {materials.num_painted} pictures, by painters "
            "tuned on the photos of one number and subset, or painted into these; they know no other photo."
        )
    tuned = materials.config.synthetic.tuned
    if tuned is not None and any(made.tuning is not None for made in materials.own.values()):
        chosen = tuned.settings.model_dump(exclude_defaults=True)
        settings = "".join(f", {key} {value}" for key, value in chosen.items())
        lines.append(
            f"Tuned painters start from {tuned.start}{settings}; counts and sizes are measured on the same "
            f"photos, places and boxes also on {tuned.calibrate_on} pictures that each painted before."
        )
    return lines


def _training(outcome: Outcome) -> list[str]:
    """Detector and steps, and how the arms that refine divide them where they were trained."""
    config, total = outcome.materials.config, len(outcome.materials.train)
    fit, weights = config.fit, config.detector.pretrained
    lines = [
        f"Detector: {config.detector.name}, from {'random weights' if weights == 'none' else f'weights: {weights}'}; "
        f"every arm {fit.steps} steps of {fit.batch_size} pictures with augmentation {fit.augment}, at a learning rate "
        f"of {fit.learning_rate:g}."
    ]
    refined = [result.job for result in outcome.results if result.job.traits.refines]
    ways = {job.number: job.refine for job in refined if job.refine is not None}
    if not ways:
        return lines
    parts = [
        f"{way.steps} {with_images(number, total)} at {way.learning_rate:g}"
        + (f", keeping {way.start_share:.0%} of the weights before" if way.start_share else "")
        for number, way in ways.items()
    ]
    names = dict.fromkeys(f"`{job.arm.title}`" for job in refined)
    text = f"The last steps of {' and '.join(names)} see real pictures alone: {'; '.join(parts)}."
    measured = sorted({measured_on(job, config) for job in refined} - {0})
    if measured:
        text += f" Painted boxes are scaled as measured on the first {' or '.join(map(str, measured))} pictures of "
        text += "the subset."
    return [*lines, text]


def _judging(outcome: Outcome) -> list[str]:
    """Intervals, the claim and when it was made, seeds, and what else lies in the folder."""
    config = outcome.materials.config
    lines = [
        f"Intervals: Student's t over subsets; their variance and that over {config.bootstrap} bootstrap draws of test "
        "pictures, the same for both arms, are added. In the first line they are wider (Bonferroni), so that all of "
        f"its numbers hold together; fewer than {MIN_SUBSETS} subsets carry no claim."
    ]
    if config.claim in config.arms:
        when = "as the file said before there were scores"
        if outcome.changes:
            when = "but the file was changed after there were scores: see above"
        lines.append(f"The verdict is about `{config.claim.title}`, {when}.")
    if outcome.not_shown:
        lines.append(f"Not shown: {outcome.not_shown} scored trainings in the same folder, made with other settings.")
    lines.append(
        f"Seeds: {config.seed} and the number of each subset. {len(outcome.results)} scored trainings and what they "
        f"start from, {outcome.seconds / 60:.0f} minutes of one thread in all, {config.workers} at a time."
    )
    return lines


def _mean_and_spread(cell: Cell | None) -> str:
    if cell is None:
        return ABSENT
    spread = f" ± {points(cell.spread)}" if not math.isnan(cell.spread) else ""
    return f"{points(cell.mean)}{spread} ({len(cell.ap)})"


def _gain(interval: Interval) -> str:
    text = f"{points(interval.value, signed=True)} {range_of(interval)}"
    return f"**{text}**" if interval.sign else text


def _mean_of(values: Sequence[float], *, digits: int = 1) -> str:
    return f"{sum(values) / len(values):.{digits}f}" if values else ABSENT


def _decimals(*values: float) -> list[str]:
    return ["" if math.isnan(value) else f"{value:.5f}" for value in values]
