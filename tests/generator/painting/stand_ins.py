"""What stands at the seams of painting a chunk: scenes put together by hand, a painter of discs, a verifier that
answers as it is told."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
import pytest
import torch

from generator.config import Config
from generator.foundation.geometry import Box, box_of_mask
from generator.labels.verifier import Verifier, View
from generator.painting import stable_diffusion
from generator.painting.crop import CropFrame
from generator.painting.diffusion import decode
from generator.painting.models import DiffusionModel
from generator.painting.painter import InpaintJob, Painting
from generator.painting.stable_diffusion import StableDiffusionPainter
from generator.plan import Placement, ScenePlan
from generator.types import Sighting, Unlabelled

SCENE_PROMPT, OBJECT_PROMPT = "a blood smear with many red blood cells", "a large purple white blood cell"


def config_with(keys: Mapping[str, Any], **changes: object) -> Config:
    """A config of these top-level keys, with some keys of its sections changed."""
    sections = {
        name: {**keys.get(name, {}), **change} if isinstance(change, Mapping) else change
        for name, change in changes.items()
    }
    return Config.load(**{**keys, **sections})


PainterKind = TypeVar("PainterKind", bound=StableDiffusionPainter)


def with_config(painter: PainterKind, config: Config) -> PainterKind:
    """The same painter, its models not loaded again, for scenes of another config."""
    other = copy.copy(painter)
    other.config = config
    return other


def place(number: int, box: Box, *, is_decoy: bool = False) -> Placement:
    """One object to paint, with seeds that follow its number."""
    return Placement(
        object_index=number,
        category="white blood cell",
        prompt=SCENE_PROMPT if is_decoy else OBJECT_PROMPT,
        negative_prompt="",
        box=box,
        seed=1000 + number,
        blender="feather",
        is_decoy=is_decoy,
    )


def scene(
    index: int = 0,
    *,
    seed: int | None = None,
    placements: Sequence[Placement] = (),
    decoys: Sequence[Placement] = (),
) -> ScenePlan:
    """A scene whose seed follows its number."""
    return ScenePlan(
        index=index,
        split="train",
        prompt=SCENE_PROMPT,
        negative_prompt="",
        seed=10 + index if seed is None else seed,
        placements=tuple(placements),
        decoys=tuple(decoys),
    )


def frame_of(region_xyxy: tuple[int, int, int, int], *, crop_px: int = 100, native_px: int = 200) -> CropFrame:
    """Frame of a square crop, two native pixels to one of the canvas unless told."""
    crop = Box.from_xywh(0, 0, crop_px, crop_px)
    return CropFrame(crop=crop, native_wh=(native_px, native_px), region=Box.from_xyxy(*region_xyxy))


INNER = frame_of((40, 48, 152, 160))  # 20..76 by 24..80 on the canvas


class DiscPainter(StableDiffusionPainter):
    """Paints scenes as its models do, and discs as objects: they are found, where the tiny models' noise is not."""

    def inpaint(self, jobs: Sequence[InpaintJob]) -> list[Painting]:
        """Draw a dark disc, of a colour that follows the seed, in the middle of each mask."""
        return [Painting(pixels=_with_disc(job), fault="") for job in jobs]


def _with_disc(job: InpaintJob) -> np.ndarray:
    box = box_of_mask(job.mask)
    assert box is not None
    middle = ((box.x_min + box.x_max - 1) // 2, (box.y_min + box.y_max - 1) // 2)
    red, green, blue = (int(level) for level in np.random.default_rng(job.seed).integers(0, 60, 3))
    picture = job.image.copy()
    cv2.circle(picture, middle, min(box.width, box.height) // 3, (red, green, blue + 60), -1)
    return picture


def spoil_decoder(monkeypatch: pytest.MonkeyPatch, is_spoilt: Callable[[int], bool]) -> list[int]:
    """Make NaN of what the decoder gives in these of its calls; returns a list that grows by the pictures of each."""
    sizes: list[int] = []

    def spoilt(model: DiffusionModel, latents: torch.Tensor) -> torch.Tensor:
        pixels = decode(model, latents)
        sizes.append(len(pixels))
        return torch.full_like(pixels, float("nan")) if is_spoilt(len(sizes) - 1) else pixels

    monkeypatch.setattr(stable_diffusion, "decode", spoilt)
    return sizes


def seeded_margin(view: View) -> float:
    """A margin of 0.4 to 0.9 that is a function of the picture alone, as the real one is."""
    seed = zlib.crc32(np.ascontiguousarray(view.picture).tobytes())
    return float(np.random.default_rng(seed).uniform(0.4, 0.9))


class ToldVerifier(Verifier):
    """The verifier's methods without its models; what it was shown is kept.

    `margin` says by how much it believes an object, `stray` how sure it is of a stray in a picture (with the part that
    is looked at; None for a whole one).
    """

    def __init__(
        self,
        *,
        margin: Callable[[View], float] = seeded_margin,
        stray: Callable[[np.ndarray, Box | None], float] = lambda _picture, _within: 0.0,
    ) -> None:
        self._margin, self._stray = margin, stray
        self.views: list[View] = []
        self.searched: list[tuple[Box | None, tuple[Box, ...]]] = []

    def look(self, views: Sequence[View]) -> list[Sighting]:
        """Believe each object by its margin, and the background by the rest."""
        self.views += views
        margins = [self._margin(view) for view in views]
        return [Sighting(score=(1 + each) / 2, rival="", rival_score=(1 - each) / 2) for each in margins]

    def find_unlabelled(
        self, picture: np.ndarray, *, within: Box | None = None, known: Sequence[Box] = ()
    ) -> list[Unlabelled]:
        """Find one platelet in the corner, as surely as told."""
        self.searched.append((within, tuple(known)))
        score = self._stray(picture, within)
        return [Unlabelled(category="platelet", box=Box.from_xywh(0, 0, 4, 4), score=score)] if score else []


def in_turn(*answers: float) -> Callable[..., float]:
    """A function that gives these answers, one for each call, and the last one from then on."""
    left = list(answers)
    return lambda *_: left.pop(0) if len(left) > 1 else left[0]
