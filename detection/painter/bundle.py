"""The card of a trained painter: what it paints, which words it knows, and the settings that its photos ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from detection.painter.photos import LabelledPhoto, words_taught
from detection.painter.wording import PlainWording, object_prompt, vocabulary_of
from generator.bundles import CARD_FILE, BundleCard
from generator.foundation.geometry import Box, square_around
from generator.foundation.storage import write_bytes
from generator.labels.checks import measure_contrast
from generator.painting.stitch import measure_sharpness

# Of the contrasts of real objects: those below are as hard to see for whoever labels.
_PALEST = 0.1
# Painted objects may be a little paler than the palest real ones before they are rejected.
_CONTRAST_SHARE = 0.6
_MAX_NOISE = 10.0
# By how much painted objects may be sharper than the sharpest real ones are: around those there is grain, which comes
# into a painted picture last. On grey cells 1.5 rejected three of four that nobody could tell.
_SHARPNESS_TIMES, _SHARPEST = 3.0, 0.95
_GRAIN_PX = 0.8
# Seen by a CLIP of few photos, a place is an object or is none: what lies between is a blurred object.
_MAX_UNLABELLED = 0.6
# Of 1.5, 2.5 and 4 all paint the same objects; the more, the harder their contrast, and real ones have less.
GUIDANCE = 2.0
_HEAD = "# A painter made by boxpaint train painter; numbers.json says how good it is.\n"


def write_card(
    out: Path,
    start: BundleCard,
    photos: Sequence[LabelledPhoto],
    categories: Sequence[str],
    wording: PlainWording,
    canvas_wh: tuple[int, int],
    models: Mapping[str, Any],
    noise: float,
    *,
    knows_all_words: bool = False,
) -> None:
    """Write `bundle.yaml` for the models of a painter that learned `categories` from photos. Raises StorageError.

    `start` is the card of the bundle that it started from; `noise` is the standard deviation of the grain that the
    photos have and its pictures lack, in grey levels. `knows_all_words`: it may be asked for more than it learned here.
    """
    prompts = [object_prompt(name) for name in categories]
    before = start.defaults.get("painting", {}).get("background_negative_prompt", "")
    negative = f", {before}" if knows_all_words and before else ""
    subjects = sorted({word for name in categories for word in vocabulary_of([name], PlainWording(scene="a"))} - _PLAIN)
    defaults = {
        **{key: value for key, value in start.defaults.items() if key in ("chunk", "threads")},
        "canvas": {"width": canvas_wh[0], "height": canvas_wh[1]},
        # Whether its words are near each other a CLIP of few photos cannot say: all that was taught is true.
        "prompts": {"enrich": "none", "max_similarity": 1.0, "min_similarity": -1.0},
        "painting": {
            **start.defaults.get("painting", {}),
            **({} if knows_all_words else {"guidance_scale": GUIDANCE}),
            "background_negative_prompt": " and ".join(prompts) + negative,
            "sensor_noise": round(min(noise, _MAX_NOISE), 2),
        },
        "labels": {
            "min_contrast": round(_CONTRAST_SHARE * palest_contrast(photos, categories), 1),
            "max_sharpness": round(max(8.0, _SHARPNESS_TIMES * hardest_edges(photos, categories)), 1),
            "max_unlabelled": _MAX_UNLABELLED,
            "background_prompts": [wording.scene],
        },
    }
    card = {
        "name": out.resolve().name,
        "title": f"{', '.join(categories)}: learned from {len(photos)} photos",
        "paints": f"{' and '.join(categories)}, as in the photos it was trained on",
        "licence": f"that of your photos; started from {start.name}: {start.licence}",
        "source": "boxpaint train painter",
        "instead": "Train a painter on photos that show it: boxpaint train painter --help.",
        "vocabulary": None if knows_all_words else vocabulary_of(categories, wording),
        "subjects": [] if knows_all_words else subjects,
        "scene": wording.scene,
        "classes": {
            name: {attribute: list(words) for attribute, words in words_taught(photos, name).items()}
            for name in categories
        },
        "models": dict(models),
        "defaults": defaults,
    }
    text = _HEAD + yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=120)
    write_bytes(out / CARD_FILE, text.encode())


_PLAIN = frozenset(vocabulary_of([], PlainWording(scene="a photo with many some")))


def palest_contrast(photos: Sequence[LabelledPhoto], categories: Sequence[str]) -> float:
    """Contrast that nine tenths of the objects exceed (labels/checks.py), the least over classes; 0 without objects.

    Objects are taken to fill the ellipse in their box.
    """
    least = []
    for name in categories:
        objects = ((photo, each.box) for photo in photos for each in photo.of(name))
        found = [measure_contrast(photo.image, _ellipse(box, photo)) for photo, box in objects]
        if found:
            least.append(float(np.quantile(found, _PALEST)))
    return min(least, default=0.0)


def hardest_edges(photos: Sequence[LabelledPhoto], categories: Sequence[str]) -> float:
    """How many times as sharp as their surroundings the sharpest objects are (painting/stitch.py); 0 without objects.

    Grain is smoothed first. One in twenty is left out.
    """
    found = []
    for photo in photos:
        smooth = cv2.GaussianBlur(photo.image, (0, 0), _GRAIN_PX)
        for each in photo.objects:
            if each.category in categories:
                crop = square_around(each.box, margin=1.0, size_wh=photo.size_wh)
                mask = _ellipse(each.box, photo)[crop.slices]
                wide = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
                found.append(measure_sharpness(smooth[crop.slices], mask, ~wide))
    return float(np.quantile(found, _SHARPEST)) if found else 0.0


def _ellipse(box: Box, photo: LabelledPhoto) -> np.ndarray:
    mask = np.zeros(photo.image.shape[:2], np.uint8)
    centre = (box.x_min + box.x_max) // 2, (box.y_min + box.y_max) // 2
    cv2.ellipse(mask, centre, (max(1, box.width // 2), max(1, box.height // 2)), 0, 0, 360, 1, -1)
    return mask.astype(bool)


def grain_of(picture: np.ndarray) -> float:
    """Standard deviation of the noise of a picture (HWC, [0, 255]) in grey levels.

    Immerkaer 1996, Fast noise variance estimation: the response to a kernel that planes and edges hardly move. Its
    median stands for its mean, so that objects, of which there are few, say nothing.
    """
    grey = cv2.cvtColor(np.clip(picture, 0, 255).astype(np.float32), cv2.COLOR_RGB2GRAY)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = np.abs(cv2.filter2D(grey, cv2.CV_32F, kernel))[1:-1, 1:-1]
    # The median of a half-normal distribution is 0.6745 of its deviation; the kernel's own gain is 6.
    return float(np.median(response)) / 0.6745 / 6
