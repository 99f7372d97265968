"""Options that several commands have, and how what they are given is read."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from generator.foundation.errors import BoxpaintError
from generator.foundation.seeds import MAX_SEED


def rename(help: str) -> Any:
    """`--rename OLD=NEW`, to be read by `parse_renames`."""
    return typer.Option("--rename", metavar="OLD=NEW", help=help)


def overwrite(help: str) -> Any:
    """`--overwrite`."""
    return typer.Option("--overwrite", help=help)


def seed(help: str) -> Any:
    """`--seed`."""
    return typer.Option("--seed", min=0, max=MAX_SEED, help=help)


def min_score(help: str) -> Any:
    """`--min-score`."""
    return typer.Option("--min-score", min=0, max=1, help=help)


_DEVICES = typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")
Device = Annotated[str, _DEVICES]
ConfiguredDevice = Annotated[str | None, _DEVICES]
"""None: what the config says."""
ResumedOut = Annotated[Path, typer.Option("--out", help="Folder; the same command again goes on where it stopped.")]
StartAgain = Annotated[bool, overwrite("Start the folder again.")]
ReplaceResults = Annotated[bool, overwrite("Replace the results in the folder.")]
ReplaceExport = Annotated[bool, overwrite("Replace an earlier export.")]
Copy = Annotated[
    bool, typer.Option("--copy", help="Copy pictures (default: hard links where possible; they take no space).")
]
RenameClass = Annotated[list[str] | None, rename("Another name for a class; may be repeated.")]

# What to paint, and how.
Background = Annotated[Path, typer.Option("--background", help="CSV of the scenes: prompt, num_imgs, ...")]
Classes = Annotated[Path, typer.Option("--classes", help="CSV of the objects: prompt, min_appear, max_appear, ...")]
Attributes = Annotated[
    Path | None,
    typer.Option("--attributes", help="CSV of light, pose, weather ... (default: attributes.csv beside the classes)"),
]
Prompts = Annotated[
    Path | None, typer.Option("--prompts", help="Prompt book to use: enriched.json or its folder, made or edited.")
]
PaintConfig = Annotated[
    Path | None,
    typer.Option(
        "--config", help="YAML of how to paint (default: config.yaml if there, else the embedded pocket bundle)"
    ),
]
PaintSeed = Annotated[int | None, seed("Another seed gives another data set.")]
Force = Annotated[
    bool, typer.Option("--force", help="Go on though the CSV files hold words that the bundle never learned.")
]
BalanceTo = Annotated[
    str | None,
    typer.Option(
        "--balance-to",
        metavar="DATASET[:SPLIT]",
        help="Paint of each class what this real COCO set lacks (default split: train).",
    ),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="NAME=N",
        help="With --balance-to: this class until both sets hold N, no other (default: all as the commonest).",
    ),
]
RenameReal = Annotated[list[str] | None, rename("With --balance-to: a class of the real set is called NEW here.")]
BACKGROUND, CLASSES = Path("background.csv"), Path("classes.csv")

# How to train.
Validation = Annotated[
    str | None,
    typer.Option(
        metavar="DATASET[:SPLIT]", help="Keep the weights that are best on these (default: the real set's split val)."
    ),
]
NoValidation = Annotated[bool, typer.Option("--no-validation", help="Keep the last weights.")]
TrainConfigFile = Annotated[
    Path | None, typer.Option("--config", help="YAML with any of the settings; options given here win.")
]
Size = Annotated[str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Pictures are resized to it, such as 320x240.")]
Pretrained = Annotated[str | None, typer.Option(help="none, imagenet, coco, or a checkpoint (default: none).")]
Download = Annotated[
    bool | None, typer.Option("--download", help="Fetch pretrained weights when they are not here yet.")
]
Patience = Annotated[int | None, typer.Option(help="Validations without a better AP before it stops.")]
ReadWorkers = Annotated[int | None, typer.Option(help="Processes that read pictures; the result is the same.")]
TrainSeed = Annotated[int, seed("Another seed: other weights and batches.")]

# What was trained.
Run = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="Folder of `boxpaint train detector`, `train segmenter` or `refine detector`."),
]


def command_line() -> list[str]:
    """The words that this was started with, as a person would type them."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


def settings_in(parameters: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Those parameters of a command that are settings of this model, which have the same names."""
    return {name: parameters[name] for name in model.model_fields if name in parameters}


def parse_size(text: str | None) -> list[int] | None:
    """'320x240' -> [320, 240]; None for None. Raises BoxpaintError."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d{1,5})\s*[x×]\s*(\d{1,5})\s*", text.lower())
    if match is None:
        raise BoxpaintError(f"--size: found {text!r}; width x height in pixels is needed, such as 320x240")
    return [int(match[1]), int(match[2])]


def parse_names(option: str, text: str | None) -> list[str] | None:
    """'a, b' -> ['a', 'b']; None for None. Raises BoxpaintError for none at all, or one that stands there twice."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or len({name.casefold() for name in names}) < len(names):
        raise BoxpaintError(f"{option}: found {text!r}; names with commas between them are needed, each once")
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
