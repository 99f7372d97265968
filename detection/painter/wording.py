"""What a painter is told of what it is shown: captions of objects, of places without any, and of whole scenes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from detection.calibration.scenario import prompt_of
from detection.painter.photos import HUES, SIZES, TONES, LabelledObject, LabelledPhoto
from generator.bundles import EMPTY_SCENE
from generator.foundation.geometry import Box, intersection_area

# Of an object of which less can be seen a caption may say nothing, neither that it is there nor that it is not.
MIN_VISIBLE_SHARE = 0.4
# From this many on, objects of a class are many.
MANY = 5
# How often a word for an attribute is said, so that no prompt needs to say all.
ATTRIBUTE_SHARE = 0.6
_WORD = re.compile(r"[^\W\d_]+")
_ARTICLE = re.compile(r"^(an?) ")


class Wording(Protocol):
    """Words for what photos show. None: there are no true ones, so that it is not shown."""

    def object(self, each: LabelledObject, rng: np.random.Generator) -> str:
        """Caption of one object."""

    def place(self, rng: np.random.Generator) -> str:
        """Caption of a place or scene without an object."""

    def view(self, photo: LabelledPhoto, box: Box, rng: np.random.Generator) -> str | None:
        """Caption of a part of a photo, a scene with or without objects."""

    def content(self, photo: LabelledPhoto, box: Box) -> str | None:
        """What a part of a photo shows: where two show the same, the caption of one is true of the other.

        None: nothing is known of it but its own caption.
        """


@dataclass(frozen=True, kw_only=True)
class PlainWording:
    """Words from the names of the classes and from what was measured.

    `scene` is the prompt of an empty scene; `captions` are captions of whole photos, by the name of the photo's file,
    which then take the place of those that count objects.
    """

    scene: str = EMPTY_SCENE
    captions: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def object(self, each: LabelledObject, rng: np.random.Generator) -> str:
        """Name an object, with some of its attributes.

        >>> cell = LabelledObject(category="dead cell", box=Box.from_xywh(0, 0, 8, 8), size="small", tone="dark")
        >>> PlainWording().object(cell, np.random.default_rng(0))
        'a dead cell, dark'
        """
        return object_prompt(each.category, [word for word in each.attributes if rng.random() < ATTRIBUTE_SHARE])

    def place(self, _rng: np.random.Generator) -> str:
        """The prompt of an empty scene."""
        return self.scene

    def view(self, photo: LabelledPhoto, box: Box, rng: np.random.Generator) -> str | None:
        """Count what is in view; None where a small part of an object is."""
        is_whole = box.area > 0.8 * photo.image.shape[0] * photo.image.shape[1]
        if is_whole and (written := self.captions.get(photo.name)):
            return str(rng.choice(list(written)))
        visible = [(each, intersection_area(each.box, box) / each.box.area) for each in photo.objects]
        if any(0 < share < MIN_VISIBLE_SHARE for _, share in visible):
            return None
        counts = Counter(each.category for each, share in visible if share)
        return scene_caption(counts) if counts else self.scene

    def content(self, _photo: LabelledPhoto, _box: Box) -> str | None:
        """None: one caption counts objects, another was written by a person."""
        return None


def object_prompt(category: str, attributes: Iterable[str] = ()) -> str:
    """Name an object of a class, with attributes as attributes.csv adds them (prompts/sources.py: compose).

    >>> object_prompt("eagle", ["large", "brown"]), object_prompt("eagle")
    ('an eagle, large, brown', 'an eagle')
    """
    return ", ".join([prompt_of(category), *attributes])


def scene_caption(counts: Mapping[str, int]) -> str:
    """Caption of a scene with so many objects of each class.

    >>> scene_caption({"dead cell": 1, "living cell": 3})
    'a photo with a dead cell and some living cells'
    """
    parts = []
    for name, count in sorted(counts.items()):
        noun = _ARTICLE.sub("", prompt_of(name))
        plural = noun if noun.endswith("s") else f"{noun}s"
        parts.append(prompt_of(name) if count == 1 else f"{'many' if count >= MANY else 'some'} {plural}")
    return f"a photo with {' and '.join(parts)}"


def vocabulary_of(categories: Sequence[str], wording: PlainWording) -> list[str]:
    """All words, lower case and in order, that captions may use: those a bundle's card lists."""
    texts = [wording.scene, *(text for written in wording.captions.values() for text in written)]
    texts += [scene_caption({name: count}) for name in categories for count in (1, 2, MANY)]
    texts += ["a an the of and with in on", *SIZES, *TONES, *(name for _, name in HUES)]
    return sorted({word for text in texts for word in _WORD.findall(text.lower())})
