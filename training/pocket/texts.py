"""Lines of text for the language models: human captions of everyday photos, and the grammar of blood smears."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from generator.foundation.errors import BoxpaintError
from generator.foundation.seeds import derive_rng
from training.pocket.grammar import free_caption, scene_caption

HELD_OUT_SHARE = 0.05
OBJECT_KINDS = ("white blood cell", "platelet", "red blood cell")


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
