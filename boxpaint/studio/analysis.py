"""One photo that somebody uploads: what it shows in words, where its objects are, what a classifier looks at."""

from __future__ import annotations

import io
import tempfile
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from boxpaint.studio import MAX_MEGABYTES
from detection.datasets.masks import front_object, masks_of, outline, semantic_map
from detection.datasets.types import Detections
from detection.detectors.types import Predictor
from detection.inference.drawing import draw_found, draw_overlay, pixel_box, semantic_picture, with_legend
from detection.inference.results import ResultFiles
from generator.config import Config
from generator.foundation.decoding import decode_rgb
from generator.foundation.errors import BoxpaintError, ModelNotFoundError
from generator.foundation.geometry import Box, square_around
from generator.painting.crop import resize

# Imported where they are needed: the page is there before torch is.
if TYPE_CHECKING:
    from detection.classifier.model_folder import ModelCard
    from detection.classifier.models import Classifier

FORMATS, MAX_PIXELS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF"), 24_000_000
# Photos are made smaller until their longer side has so many pixels, and of more objects the surest are kept: one photo
# must not fill the memory of the server.
MAX_SIDE_PX, MAX_OBJECTS = 2048, 50
# Objects that are looked at one by one, the surest first.
MOST_LOOKED_AT = 6
# Windows share the models, and what Grad-CAM hangs onto one must not hear of another's photo.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Analysis:
    """A photo (H, W, 3) uint8 and what was found; every object has a mask, outlined where the detector gives none."""

    photo: np.ndarray
    categories: tuple[str, ...]
    found: Detections

    @property
    def boxes(self) -> Image.Image:
        """The photo with boxes, classes and scores."""
        return draw_found(Image.fromarray(self.photo), self.found, self.categories)

    @property
    def overlay(self) -> Image.Image:
        """The photo with every object filled and outlined, and a legend."""
        return with_legend(draw_overlay(self.photo, self.found, self.categories), self.found, self.categories)

    @property
    def instances(self) -> Image.Image:
        """A colour for each object, of as many as there are."""
        front = front_object(masks_of(self.found))
        return semantic_picture(front, min(255, len(self.found.labels))).convert("RGB")

    @property
    def semantic(self) -> Image.Image:
        """A colour for each class."""
        classes = semantic_map(masks_of(self.found), self.found.labels)
        return semantic_picture(classes, len(self.categories)).convert("RGB")

    def rows(self) -> list[dict[str, object]]:
        """A row for each object."""
        return [
            {
                "class": self.categories[int(label) - 1],
                "score": round(float(score), 3),
                "box (x, y, width, height)": ", ".join(f"{value:.0f}" for value in box),
                "pixels": int(mask.sum()),
            }
            for box, label, score, mask in zip(
                self.found.boxes_xywh, self.found.labels, self.found.scores, masks_of(self.found), strict=True
            )
        ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """What a classifier says of a part of a photo; the part (S, S, 3) uint8, and with what spoke for that."""

    said: str
    probability: float
    view: np.ndarray
    heat: np.ndarray


def read_photo(data: bytes) -> np.ndarray:
    """Decode an upload to (H, W, 3) uint8 RGB, of MAX_SIDE_PX at most.

    Raises BoxpaintError for no picture, or one that is too large.
    """
    if len(data) > MAX_MEGABYTES * 1_000_000:
        raise BoxpaintError(f"the file has {len(data) / 1e6:.0f} MB; {MAX_MEGABYTES} are the most")
    try:
        picture = decode_rgb(data, formats=FORMATS, max_pixels=MAX_PIXELS)
    except ValueError as error:
        raise BoxpaintError(f"the file cannot be used: {error}") from None
    picture.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    return np.array(picture)


def analyse(photo: np.ndarray, detector: Predictor, *, min_score: float) -> Analysis:
    """Find objects with a score of `min_score` or better, the MAX_OBJECTS surest. Raises ModelError."""
    with _ONE_AT_A_TIME:
        (answer,) = detector.predict([photo])
    found = answer.confident(min_score).choose(slice(MAX_OBJECTS))
    if found.masks is None:
        found = replace(found, masks=_outlined(photo, found.boxes_xyxy))
    return Analysis(photo=photo, categories=tuple(detector.categories), found=found)


def _outlined(photo: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
    masks = np.zeros((len(boxes_xyxy), *photo.shape[:2]), bool)
    for mask, box in zip(masks, boxes_xyxy, strict=True):
        found = outline(photo, box)
        if found is not None:
            mask[:] = found
        else:  # nothing stands out: all of the box
            mask[pixel_box(box).slices] = True
    return masks


def find_classifier(run: Path) -> tuple[Classifier, ModelCard]:
    """Load the best model of a comparison of classifiers, with painted crops where there is one. Raises ModelError."""
    from detection.classifier.model_folder import load_classifier

    models = run / "models"
    files = list(models.glob("*/model.onnx")) or list(models.glob("*/model.json"))
    if not files:
        raise ModelNotFoundError(f"{run}: no classifier is there")
    names = sorted(path.parent.name for path in files)
    return load_classifier(models / min(names, key=lambda name: not name.startswith("augmented")))


def look_at(photo: np.ndarray, boxes: Sequence[Box], classifier: Classifier, card: ModelCard) -> list[Look]:
    """Classify the objects in some boxes, or of none the middle of the photo, and say what spoke for it."""
    import torch

    from detection.classifier.grad_cam import grad_cam, heated
    from detection.classifier.trainer import to_tensor

    height, width = photo.shape[:2]
    boxes = list(boxes) or [Box.from_xyxy(0, 0, width, height)]
    windows = [square_around(box, margin=card.margin, size_wh=(width, height)) for box in boxes]
    views = np.stack([resize(photo[window.slices], (card.crop_px, card.crop_px)) for window in windows])
    pixels = to_tensor(views, torch.device("cpu"))
    with _ONE_AT_A_TIME:
        with torch.no_grad():
            probabilities = classifier(pixels).softmax(1)
        sure, said = probabilities.max(1)
        heat = grad_cam(classifier, pixels, said).numpy()
    return [
        Look(said=card.classes[int(label)], probability=float(probability), view=view, heat=heated(view, hot))
        for view, hot, label, probability in zip(views, heat, said, sure, strict=True)
    ]


def caption(photo: np.ndarray, captioner_run: Path | None, config: Config) -> str:
    """Say what a photo shows: by a captioner that was trained here, or by the bundle's. Raises ModelError."""
    from generator.bundles import ModelRef
    from generator.foundation.device import choose_device
    from generator.prompts.models import Captioner
    from generator.prompts.sources import PromptModels

    if captioner_run is not None:
        ref = ModelRef(folder=str(captioner_run / "model"))
        return Captioner(ref, device=choose_device(config.device), offline=True).caption([photo])[0]
    return PromptModels(config).captioner.caption([photo])[0]


def result_zip(analysis: Analysis, text: str) -> bytes:
    """Everything that was found, as `boxpaint segment` writes it, with the caption."""
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="boxpaint-") as scratch:
        files = ResultFiles(Path(scratch), analysis.categories, ["photo.png"])
        files.add("photo.png", analysis.photo, analysis.found)
        files.finish()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(Path(scratch).rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(scratch))
            if text:
                archive.writestr("caption.txt", f"{text}\n")
    return buffer.getvalue()
