"""What the commands for detectors are given, checked: sizes, names, data sets that must fit together."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from generator.foundation.errors import BoxpaintError

if TYPE_CHECKING:
    from detection.runs.sources import Role, Source


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """Pictures of a training, all with the same categories."""

    real: Source | None
    synthetic: Source | None
    validation: Source | None

    @property
    def trained(self) -> tuple[Source, ...]:
        """Those that are trained on, real ones first."""
        return tuple(source for source in (self.real, self.synthetic) if source is not None)

    @property
    def missing(self) -> list[str]:
        """Categories without an object to learn from."""
        counts = [source.data.counts() for source in self.trained]
        return [name for name in counts[0] if not any(each[name] for each in counts)]


def read_inputs(
    real: str | None,
    synthetic: str | None,
    validation: str | None,
    *,
    no_validation: bool,
    categories: Sequence[str] | None,
    rename: Sequence[str] | None,
    role: Role = "real",
    is_refined: bool = False,
) -> Inputs:
    """Read DATASET[:SPLIT] of each kind and bring them to the same categories. Raises BoxpaintError.

    `role` is that of `real`: "trained" where its pictures may be painted as well. A fresh detector needs objects of
    every category; one that is refined knows them already, and `show_inputs` warns.
    """
    from detection.runs.sources import default_validation, match_sources, read_source

    if real is None and synthetic is None:
        raise BoxpaintError("what to train on? Give --real, --synthetic, or both")
    if validation is not None and no_validation:
        raise BoxpaintError("--validation and --no-validation exclude each other")
    found: dict[str, Source | None] = {
        "real": read_source(real, role) if real is not None else None,
        "synthetic": read_source(synthetic, "synthetic") if synthetic is not None else None,
        "validation": None,
    }
    if validation is not None:
        found["validation"] = read_source(validation, "validation")
    elif real is not None and not no_validation:
        found["validation"] = default_validation(real)
    names = [name for name, source in found.items() if source is not None]
    matched = match_sources(
        [source for source in found.values() if source is not None], categories, parse_renames(rename)
    )
    inputs = Inputs(**{**found, **dict(zip(names, matched, strict=True))})
    missing = inputs.missing
    if missing and (not is_refined or len(missing) == len(matched[0].data.categories)):
        where = " and ".join(source.name for source in inputs.trained)
        raise BoxpaintError(f"{where}: there is no object of the class {missing[0]!r} to learn from")
    return inputs


def show_inputs(inputs: Inputs, console: Console) -> None:
    """Say what is trained and validated on, and of what there is nothing."""
    from generator.dataset.provenance import says_synthetic

    for source in inputs.trained:
        objects = ", ".join(f"{count} {name}" for name, count in source.data.counts().items())
        console.print(f"{source.role}: {source.name}, {len(source.data)} pictures, {objects}", soft_wrap=True)
        for name, count in source.data.unlabelled().items():
            console.print(
                f"warning: {count} of these pictures do not label {name}: what they show of it is learned as "
                "background; leave the class out with --categories, or merge with --only-common",
                style="yellow",
                soft_wrap=True,
            )
        for name, scale in source.scales.items():
            console.print(
                f"  boxes of {name}: times {scale.factor:.3f}, measured on {scale.real_boxes} real and "
                f"{scale.painted_boxes} painted ones",
                soft_wrap=True,
            )
            if scale.doubt:
                console.print(f"warning: that is the usual scale: {scale.doubt}", style="yellow", soft_wrap=True)
            if not (scale.real_boxes and scale.painted_boxes):
                console.print(
                    f"warning: nothing of {name} could be measured; its painted boxes stay tight",
                    style="yellow",
                    soft_wrap=True,
                )
    if inputs.missing:
        console.print(
            f"warning: there is no {', '.join(inputs.missing)} to learn from; what the detector knows of it may fade",
            style="yellow",
            soft_wrap=True,
        )
    if inputs.validation is not None:
        validation = inputs.validation
        console.print(f"validation: {validation.name}, {len(validation.data)} pictures", soft_wrap=True)
        painted = sum(says_synthetic(sample.path) for sample in validation.data.samples)
        if 0 < painted < len(validation.data):
            console.print(
                f"warning: {painted} of them are painted: the weights are not chosen by real pictures alone; "
                "name others with --validation DATASET[:SPLIT]",
                style="yellow",
                soft_wrap=True,
            )
    else:
        console.print("no validation pictures: the weights of the last step are kept")


def command_line() -> list[str]:
    """The words that this was started with, as a person would type them."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


def parse_size(text: str) -> list[int]:
    """'320x240' -> [320, 240]. Raises BoxpaintError."""
    match = re.fullmatch(r"\s*(\d{1,5})\s*[x×]\s*(\d{1,5})\s*", text.lower())
    if match is None:
        raise BoxpaintError(f"--size: found {text!r}; width x height in pixels is needed, such as 320x240")
    return [int(match[1]), int(match[2])]


def parse_names(text: str | None) -> list[str] | None:
    """'a, b' -> ['a', 'b']; None for None. Raises BoxpaintError for none at all, or one that stands there twice."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or len({name.casefold() for name in names}) < len(names):
        raise BoxpaintError(f"--categories: found {text!r}; names with commas between them are needed, each once")
    return names


def parse_pairs(option: str, form: str, example: str, texts: Sequence[str] | None) -> dict[str, str]:
    """['a=b'] -> {'a': 'b'}; `option`, its form (KEY=VALUE) and an example are named where one is wrong.

    Raises BoxpaintError, also where one key has two values.
    """
    pairs: dict[str, str] = {}
    for text in texts or ():
        key, _, value = (part.strip() for part in text.partition("="))
        if not key or not value or pairs.get(key, value) != value:
            needed = f"{form} is needed, each {form.split('=')[0]} once, such as {option} {example}"
            raise BoxpaintError(f"{option}: found {text!r}; {needed}")
        pairs[key] = value
    return pairs


def parse_renames(texts: Sequence[str] | None) -> dict[str, str]:
    """Read what --rename was given, as `parse_pairs` does."""
    return parse_pairs("--rename", "OLD=NEW", "WBC='white blood cell'", texts)


def parse_counts(option: str, texts: Sequence[str] | None) -> dict[str, int]:
    """['cat=40'] -> {'cat': 40}; `option` is named where one is wrong. Raises BoxpaintError."""
    counts = {}
    for text in texts or ():
        name, _, number = (part.strip() for part in text.rpartition("="))
        if not name or not number.isdecimal():
            raise BoxpaintError(f"{option}: found {text!r}; NAME=N is needed, N a whole number, such as platelet=400")
        counts[name] = int(number)
    return counts


def shares_of(inputs: Inputs, mix: float | None) -> tuple[float, ...]:
    """Share of each batch that comes from each of the trained data sets. Raises BoxpaintError."""
    if len(inputs.trained) == 1:
        if mix is not None:
            raise BoxpaintError("--mix is the share of real pictures among painted ones: give --real and --synthetic")
        return (1.0,)
    share = 0.5 if mix is None else mix
    if not 0 < share < 1:
        advice = "for only one kind of pictures leave the other out"
        raise BoxpaintError(f"--mix: found {share:g}; a share above 0 and below 1 is needed; {advice}")
    return share, 1 - share


def check_patience(patience: int | None, inputs: Inputs) -> None:
    """Raise BoxpaintError when a training is to stop early by validation pictures that it does not have."""
    if patience is not None and inputs.validation is None:
        raise BoxpaintError(
            "--patience: there are no validation pictures to stop by; give --validation DATASET[:SPLIT]"
        )
