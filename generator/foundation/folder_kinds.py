"""What a folder of ours is, and what to do with it: for messages where a command was given one of another kind."""

from __future__ import annotations

import json
from pathlib import Path

PAINTED, IMPORTED = "painted data set", "imported data set"
# Kind -> what the folder is, and what it is good for. "boxpaint ..." is the `kind` in one of _MARKERS.
KINDS: dict[str, tuple[str, str]] = {
    PAINTED: (
        "a painted data set",
        "boxpaint validate, audit, review, calibrate, export and merge take it, and boxpaint train as --synthetic",
    ),
    IMPORTED: (
        "an imported data set",
        "boxpaint validate, export and merge take it, boxpaint train and calibrate as --real, refine as --data",
    ),
    "prompt book": ("a prompt book", "boxpaint generate takes it as --prompts"),
    "experiment": ("an experiment", "its proof is card.md; with keep_models: true its detectors lie in jobs/*/model"),
    "boxpaint detector run": (
        "a training of a detector or segmenter",
        "boxpaint predict, evaluate and segment take it, boxpaint annotate and refine detector as --from",
    ),
    "boxpaint detector": (
        "a saved detector",
        "boxpaint predict, evaluate and segment take it, boxpaint annotate and refine detector as --from",
    ),
    "boxpaint classifier comparison": (
        "a training of classifiers",
        "its scores are in report.html, and boxpaint app shows photos through its models",
    ),
    "boxpaint classifier": ("a saved classifier", "boxpaint app shows photos through it"),
    "boxpaint captioner": ("a training of a captioner", "its model/ goes into a config as models.captioner.folder"),
    "boxpaint evaluation": ("what boxpaint evaluate has written", "look at report.html"),
    "boxpaint prediction": ("what boxpaint predict has written", "look at drawn/"),
    "boxpaint segmentation": ("what boxpaint segment has written", "look at index.html"),
    "boxpaint export": ("an export", "its README.md says what opens it, and boxpaint import reads what holds boxes"),
}
_MARKERS = ("run.json", "model.json", "scores.json", "predict.json", "segment.json", "export.json")
_MOST_READ_BYTES = 5_000_000
_OWN_FILES = {"experiment.json": "experiment", "import.json": IMPORTED, "enriched.json": "prompt book"}


def kind_of(folder: Path) -> str | None:
    """The kind of a folder, a key of KINDS; None where it is none of ours."""
    for marker in _MARKERS:
        content = _read(folder / marker)
        if (kind := str(content.get("kind"))) in KINDS:
            return kind
        if marker == "run.json" and "spec_digest" in content:
            return PAINTED
    return next((kind for name, kind in _OWN_FILES.items() if (folder / name).is_file()), None)


def add_kind(message: str, folder: Path) -> str:
    """A message about a folder, and what that is instead, where it is known.

    >>> add_kind("no detector is there", Path("runs/classifier"))  # doctest: +SKIP
    'no detector is there; it is a training of classifiers: its scores are in report.html, and boxpaint app shows ...'
    """
    kind = kind_of(folder)
    return message if kind is None else f"{message}; it is {': '.join(KINDS[kind])}"


def _read(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > _MOST_READ_BYTES:
            return {}
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
