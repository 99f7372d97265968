"""What can be said of a blood smear: captions of cells and scenes, from measured attributes or for language alone.

Only words that the bundle's card lists are used, so that whatever GPT-2 learns from them the diffusion model has seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import CLIPTokenizer

from generator.foundation.errors import BoxpaintError
from generator.foundation.seeds import derive_rng

PREFIXES = ("a photo of", "a micrograph of", "an image of")
PLACES = ("in a stained blood smear", "in a blood smear", "on a stained blood smear", "on a blood smear background")
SCENES = (
    "a blood smear",
    "a stained blood smear",
    "a micrograph of blood",
    "a micrograph of a blood smear",
    "a photo of a stained blood smear",
    "an image of a blood smear",
)
AMOUNTS = ("many", "some", "a few")
SIZES = ("large", "small", "")
TONES = ("dark", "pale", "")
# Nothing to label: what a decoy or an empty place is called.
EMPTY = ("red blood cells", "blood smear background", "a blood smear with red blood cells only")
# From this many red cells in view on they are "some", then "many".
SOME, MANY = 5, 12
HELD_OUT_SHARE = 0.05
OBJECT_KINDS = ("white blood cell", "platelet", "red blood cell")
STAINED = OBJECT_KINDS[:2]


def name_cell(kind: str, *, size: str = "", tone: str = "", purple: bool = False, single: bool = False) -> str:
    """Name a cell: name_cell("platelet", size="small", tone="pale") is "a small pale platelet"."""
    words = ["a", "single" * single, size, tone, "purple" * (purple and kind in STAINED), kind]
    return " ".join(word for word in words if word)


def object_caption(kind: str, size: str, tone: str, purple: bool, rng: np.random.Generator) -> str:
    """Caption of one cell in varying words, with some of its attributes."""
    name = name_cell(
        kind,
        size=size if rng.random() < 0.6 else "",
        tone=tone if rng.random() < 0.5 else "",
        purple=bool(purple and rng.random() < 0.7),
        single=bool(rng.random() < 0.2),
    )
    return f"{rng.choice(PREFIXES)} {name}" if rng.random() < 0.3 else name


def free_caption(kind: str, rng: np.random.Generator) -> str:
    """Caption of a cell that nobody has seen, for the language model: attributes drawn, a place at times."""
    size, tone = str(rng.choice(SIZES)), str(rng.choice(TONES))
    caption = object_caption(kind, size, tone, bool(rng.random() < 0.5), rng)
    return f"{caption} {rng.choice(PLACES)}" if rng.random() < 0.35 else caption


def amount_of(num_red: int) -> str:
    """Say how many red cells that is: amount_of(4) is "a few"."""
    return AMOUNTS[0] if num_red >= MANY else AMOUNTS[1] if num_red >= SOME else AMOUNTS[2]


def scene_caption(num_red: int, others: Sequence[str], rng: np.random.Generator) -> str:
    """Caption of a whole scene with `num_red` red cells and one cell each of the kinds `others` in view."""
    scene = f"{rng.choice(SCENES)} with {amount_of(num_red)} red blood cells"
    if others:
        return f"{scene} and " + " and ".join(f"a {kind}" for kind in others)
    return scene + str(rng.choice([", no white blood cells", " only", ""], p=[0.5, 0.4, 0.1]))


def empty_caption(rng: np.random.Generator) -> str:
    """Caption of a place without anything to label."""
    return str(rng.choice(EMPTY))


def read_captions(path: Path) -> list[str]:
    """Read one caption a line; lower case without the final full stop, as captioners write."""
    if not path.is_file():
        raise BoxpaintError(f"{path}: there is no such file; --captions is a text file with one caption a line")
    lines = (" ".join(line.lower().split()).rstrip(" .") for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def split_captions(lines: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """Split into training and held-out lines, in blocks, so that captions of one photo stay together."""
    rng = derive_rng(seed, 0)
    block = 100
    starts = list(range(0, len(lines), block))
    held_out = set(rng.choice(starts, max(1, round(HELD_OUT_SHARE * len(starts))), replace=False).tolist())
    train = [line for start in starts if start not in held_out for line in lines[start : start + block]]
    return train, [line for start in sorted(held_out) for line in lines[start : start + block]]


def domain_line(rng: np.random.Generator, kind: str) -> str:
    """One line about blood smears: of a cell's kind, or of a scene ("scene")."""
    if kind == "scene":
        return scene_caption(int(rng.integers(1, 25)), (), rng)
    return free_caption(kind, rng)


def documents(lines: Sequence[str], domain_share: float, rng: np.random.Generator) -> Iterator[list[str]]:
    """Yield endless documents: a few lines that belong together, of the captions or of one kind in the domain."""
    while True:
        length = int(rng.integers(2, 8))
        if rng.random() < domain_share:
            kind = str(rng.choice([*OBJECT_KINDS, "scene"], p=[0.35, 0.35, 0.1, 0.2]))
            yield [domain_line(rng, kind) for _ in range(length)]
        else:
            start = int(rng.integers(max(1, len(lines) - length)))
            yield list(lines[start : start + length])


def clip_tokenizer(vocabulary: int, positions: int, seed: int) -> Any:
    """Train a tokenizer of at most `vocabulary` tokens (512 of them bytes) for texts of `positions` tokens."""
    rng = derive_rng(seed, 4)
    texts = [name_cell(kind, size=size, tone=tone) for kind in OBJECT_KINDS for size in SIZES for tone in TONES]
    texts += [domain_line(rng, kind) for kind in (*OBJECT_KINDS, "scene") for _ in range(200)]
    tokenizer = CLIPTokenizer().train_new_from_iterator([*texts, *EMPTY], vocabulary, show_progress=False)
    tokenizer.model_max_length = positions
    return tokenizer
