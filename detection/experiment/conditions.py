"""How an experiment was measured and on what: the part of the card that a sceptic reads first."""

from __future__ import annotations

from detection.experiment.config import REFINED_ARMS
from detection.experiment.results import measured_on
from detection.experiment.run import Outcome
from detection.experiment.statistics import MIN_SUBSETS
from detection.experiment.verdict import ARM_NAMES, with_images
from detection.machine import describe_machine


def conditions(outcome: Outcome, command: str) -> str:
    """Command, data, detector, subsets, intervals, seeds and machine, as Markdown."""
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
    return lines


def _training(outcome: Outcome) -> list[str]:
    """Detector and steps, and how the arms that refine divide them where they were trained."""
    materials = outcome.materials
    config, total = materials.config, len(materials.train)
    fit = config.fit
    weights = config.detector.pretrained
    lines = [
        f"Detector: {config.detector.name}, from {'random weights' if weights == 'none' else f'weights: {weights}'}; "
        f"every arm {fit.steps} steps of {fit.batch_size} pictures with augmentation {fit.augment}, at a learning rate "
        f"of {fit.learning_rate:g}."
    ]
    refined = [result.job for result in outcome.results if result.job.kind in REFINED_ARMS]
    ways = {job.number: job.refine for job in refined if job.refine is not None}
    if not ways:
        return lines
    parts = [
        f"{way.steps} {with_images(number, total)} at {way.learning_rate:g}"
        + (f", keeping {way.start_share:.0%} of the weights before" if way.start_share else "")
        for number, way in ways.items()
    ]
    names = dict.fromkeys(ARM_NAMES[job.kind] for job in refined if job.kind != "pretrain")
    text = f"The last steps of {' and '.join(f'`{name}`' for name in names)} see real pictures alone: "
    text += f"{'; '.join(parts)}."
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
        lines.append(f"The verdict is about `{ARM_NAMES[config.claim]}`, {when}.")
    if outcome.not_shown:
        lines.append(f"Not shown: {outcome.not_shown} scored trainings in the same folder, made with other settings.")
    lines.append(
        f"Seeds: {config.seed} and the number of each subset. {len(outcome.results)} scored trainings and what they "
        f"start from, {outcome.seconds / 60:.0f} minutes of one thread in all, {config.workers} at a time."
    )
    return lines
