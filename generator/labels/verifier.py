"""Is it what was asked for, and is there anything else? Asked of models that had no part in the painting.

*Relevance*: CLIP compares a crop with the prompts of every class and with those of the scenes (zero-shot
classification, Radford et al. 2021, arXiv 2103.00020). *Place*: where the bundle has an open-vocabulary detector, its
own box. *Unlabelled objects*: of a class that nobody asked for and nobody would label, found by the detector, or by
CLIP in windows of the size of each class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from generator.config import Config, LabelConfig
from generator.foundation.device import choose_device
from generator.foundation.geometry import Box, box_iou, intersection_area, square_around
from generator.models.vision_language import Clip, Owl
from generator.plan.placing import usual_side_px
from generator.spec import Spec
from generator.types import Sighting, Unlabelled, Verdict, percent

# How much of its surroundings a crop shows, as a share of the object's longer side.
MARGIN = 0.25
# Windows that look for unlabelled objects move by this share of their side.
STRIDE = 0.5
# A detector's box that shares more of its area with a known object's is of that one.
_KNOWN_SHARE = 0.1
# A detector's box that overlaps the painted one less is of something else.
_SAME_OBJECT_IOU = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """A picture (HWC uint8 RGB) with an object in it: its tight box, and what it should be."""

    picture: np.ndarray
    box: Box
    category: str


class Verifier:
    """Holds the models that look. Raises ModelError when they cannot be loaded."""

    def __init__(self, config: Config, spec: Spec):
        if config.models.clip is None:
            raise ValueError("a verifier needs models.clip")
        device = choose_device(config.device)
        self._clip = Clip("clip", config.models.clip, device=device, offline=config.offline)
        detector = config.models.detector
        self._owl = Owl("detector", detector, device=device, offline=config.offline) if detector is not None else None
        self.categories = tuple(spec.categories)
        self._sides_px = {row.name: usual_side_px(row, config.canvas_wh) for row in reversed(spec.classes)}
        self._prompts = {
            name: tuple(dict.fromkeys(row.prompt for row in spec.classes if row.name == name))
            for name in self.categories
        }
        background = dict.fromkeys([*(row.prompt for row in spec.backgrounds), *config.labels.background_prompts])
        texts = [(name, text) for name in self.categories for text in self._prompts[name]]
        texts += [("", text) for text in background]
        self._owners = np.array([owner for owner, _ in texts])
        self._texts = self._clip.embed_texts([text for _, text in texts])

    def look(self, views: Sequence[View]) -> list[Sighting]:
        """Look at objects, one picture each."""
        crops = [view.picture[_surroundings(view.box, view.picture).slices] for view in views]
        return [self._sighting(view, row) for view, row in zip(views, self._probabilities(crops), strict=True)]

    def find_unlabelled(
        self, picture: np.ndarray, *, within: Box | None = None, known: Sequence[Box] = ()
    ) -> list[Unlabelled]:
        """Find objects of any class in a picture, or around the middle of its part `within`, beside those `known`.

        The surest first. Without a detector every window is named, however unlikely: the score says how sure it is.
        """
        if self._owl is not None:
            found = [
                Unlabelled(category=name, box=box, score=score)
                for name in self.categories
                for box, score in self._owl.find(picture, self._prompts[name])
                if _is_centred_in(box, within)
                and all(intersection_area(box, other) <= _KNOWN_SHARE * box.area for other in known)
            ]
        else:
            found = list(self._scan(picture, within, known))
        return sorted(found, key=lambda each: -each.score)

    def unlabelled_verdict(
        self, picture: np.ndarray, limits: LabelConfig, *, within: Box | None = None, known: Sequence[Box] = ()
    ) -> Verdict:
        """Pass when nothing that should be labelled is seen beside what is known; score is the surest one's."""
        return stray_verdict(self.find_unlabelled(picture, within=within, known=known), limits)

    def _sighting(self, view: View, probabilities: Mapping[str, float]) -> Sighting:
        rival = max((name for name in probabilities if name != view.category), key=lambda name: probabilities[name])
        box, box_score = None, 0.0
        if self._owl is not None:
            found = self._owl.find(view.picture, self._prompts[view.category])
            near = [each for each in found if box_iou(each[0], view.box) >= _SAME_OBJECT_IOU]
            box, box_score = max(near, key=lambda each: each[1]) if near else (None, 0.0)
        return Sighting(
            score=probabilities[view.category],
            rival=rival,
            rival_score=probabilities[rival],
            box=box,
            box_score=box_score,
        )

    def _scan(self, picture: np.ndarray, within: Box | None, known: Sequence[Box]) -> Iterator[Unlabelled]:
        height, width = picture.shape[:2]
        for name in self.categories:
            side = min(round(self._sides_px[name] * (1 + 2 * MARGIN)), width, height)
            # A window that shows a bit of a known object, or of the next one, says nothing of its middle.
            windows = [
                box
                for box in _windows((width, height), side)
                if _is_centred_in(box, within) and not any(intersection_area(box, other) for other in known)
            ]
            crops = [picture[box.slices] for box in windows]
            for box, probabilities in zip(windows, self._probabilities(crops), strict=True):
                yield Unlabelled(category=name, box=_inner(box), score=probabilities[name])

    def _probabilities(self, crops: Sequence[np.ndarray]) -> list[dict[str, float]]:
        """Of each class, and of the background (""): softmax over the best text of each."""
        if not crops:
            return []
        logits = self._clip.logit_scale * self._clip.embed_pictures(crops) @ self._texts.T
        names = (*self.categories, "")
        best = np.stack([logits[:, self._owners == name].max(axis=1) for name in names], axis=1)
        shares = np.exp(best - best.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return [dict(zip(names, (float(share) for share in row), strict=True)) for row in shares]


def stray_verdict(found: Sequence[Unlabelled], limits: LabelConfig, *, wanted: str = "asked for") -> Verdict:
    """Pass when nothing of what was found, the surest first, is surer than allowed; its score is the surest one's."""
    score = round(found[0].score, 4) if found else 0.0
    passed = score <= limits.max_unlabelled
    sure = f"{percent(score)}, above {percent(limits.max_unlabelled)}"
    reason = "" if passed else f"shows a {found[0].category} that nobody {wanted} ({sure})"
    return Verdict(check="stray", passed=passed, score=score, reason=reason)


def _surroundings(box: Box, picture: np.ndarray) -> Box:
    return square_around(box, margin=MARGIN, size_wh=(picture.shape[1], picture.shape[0]))


def _windows(size_wh: tuple[int, int], side: int) -> Iterator[Box]:
    step = max(1, round(STRIDE * side))
    xs, ys = (sorted({*range(0, length - side, step), length - side}) for length in size_wh)
    return (Box.from_xywh(x, y, side, side) for y in ys for x in xs)


def _inner(window: Box) -> Box:
    """The part of a window that an object in the middle of it takes."""
    border = round(window.width * MARGIN / (1 + 2 * MARGIN))
    return Box(
        x_min=window.x_min + border,
        y_min=window.y_min + border,
        x_max=window.x_max - border,
        y_max=window.y_max - border,
    )


def _is_centred_in(box: Box, within: Box | None) -> bool:
    x, y = (box.x_min + box.x_max) // 2, (box.y_min + box.y_max) // 2
    return within is None or within.contains(Box.from_xywh(x, y, 1, 1))
