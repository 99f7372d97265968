"""Attributes added to a prompt: light, distance, pose, weather, each value as attributes.csv has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from generator.spec.rules import BACKGROUNDS, EVERYTHING, OBJECTS
from generator.spec.spec import AttributeSpec

# An attribute is left out at times, so that no text needs to say everything.
USE_SHARE = 0.75
# Draws without a new text before all are taken to have come up.
PATIENCE = 100


def attributes_for(attributes: Sequence[AttributeSpec], category: str) -> dict[str, tuple[str, ...]]:
    """Attribute -> its values for a category, or for backgrounds where `category` is ""."""
    wanted = (EVERYTHING, OBJECTS, category) if category else (EVERYTHING, BACKGROUNDS)
    values: dict[str, tuple[str, ...]] = {}
    for row in attributes:
        if row.applies_to in wanted:
            values[row.attribute] = (*values.get(row.attribute, ()), row.text)
    return values


def compose(prompt: str, values: dict[str, tuple[str, ...]], rng: np.random.Generator) -> Iterator[str]:
    """Yield texts, each once: the prompt with one value each of some attributes, in the order of the file.

    Ends when nothing new has come up for a while.

    With light ("at dusk", "at noon") and weather ("in fog"), "a cow" may become "a cow, at dusk, in fog".
    """
    seen: set[str] = set()
    idle = 0
    while values and idle < PATIENCE:
        chosen = [str(rng.choice(texts)) for texts in values.values() if rng.random() < USE_SHARE]
        text = ", ".join([prompt, *chosen])
        idle += 1
        if chosen and text not in seen:
            idle = 0
            seen.add(text)
            yield text
