"""Analyse: one photo, by models that were trained here: caption, boxes, masks, and what a classifier looks at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from boxpaint.studio import MAX_MEGABYTES
from boxpaint.studio.analysis import (
    MAX_OBJECTS,
    MOST_LOOKED_AT,
    Analysis,
    analyse,
    caption,
    find_classifier,
    look_at,
    read_photo,
    result_zip,
)
from boxpaint.studio.views.parts import keep, load_config, pick, plain, show_error
from boxpaint.studio.workspace import Workspace
from detection.inference.drawing import pixel_box
from generator.config import Config
from generator.foundation.errors import BoxpaintError
from generator.foundation.geometry import Box

# Imported where they are needed: the page is there before torch is.
if TYPE_CHECKING:
    from detection.classifier.model_folder import ModelCard
    from detection.classifier.models import Classifier
    from detection.detectors.types import Detector

_NOBODY, _BUNDLE = "none", "that of the bundle"
# A run, and what tells one training from a later one in the same folder: models are kept by both.
_Trained = tuple[str, int]


def show(workspace: Workspace) -> None:
    """Draw the page."""
    config = load_config(workspace)
    upload, camera = st.tabs(["Upload", "Camera"])
    with upload:
        given = st.file_uploader(f"A photo, of {MAX_MEGABYTES} MB at most", key="photo")
    with camera:
        taken = st.camera_input("A photo of the camera", key="camera") if st.toggle("Switch the camera on") else None
    first, second, third, fourth = st.columns(4)
    with first:
        detector = pick(workspace, "detector", label="Detector or segmenter", key="detector", none=_NOBODY)
    with second:
        classifier = pick(workspace, "classifier", label="Classifier", key="classifier", none=_NOBODY)
    with third:
        captioner = pick(workspace, "captioner", label="Captioner", key="captioner", none=_BUNDLE)
    min_score = fourth.slider("Least score", 0.05, 0.95, 0.5, 0.05)
    source = taken or given
    if source is None:
        st.text("Give a photo, and choose what is to look at it.")
        return
    try:
        photo = read_photo(source.getvalue())
    except BoxpaintError as error:
        show_error(error)
        return
    left, right = st.columns(2)
    left.image(photo, caption=plain(source.name), width="stretch")
    with right, st.spinner("looking"):
        text = _caption(photo, captioner.folder if captioner else None, config)
        st.caption("caption")
        st.text(text)
    boxes = _show_found(photo, detector.folder, min_score, text) if detector else []
    if classifier:
        _show_looks(photo, boxes, classifier.folder)


def _show_found(photo: np.ndarray, run: Path, min_score: float, text: str) -> list[Box]:
    """Show the objects that a detector finds; returns the boxes of the surest."""
    with st.spinner("looking for objects"):
        trained = _trained(run, run / "model" / "model.json")

        def found() -> tuple[Analysis, bytes]:
            analysis = analyse(photo, _detector(trained), min_score=min_score)
            return analysis, result_zip(analysis, text)

        analysis, archive = keep("analysis", (_digest(photo), trained, min_score, text), found)
    count = len(analysis.found.labels)
    st.subheader(f"{count} objects" + (", the surest" if count == MAX_OBJECTS else ""))
    pictures = {
        "boxes": analysis.boxes,
        "objects filled": analysis.overlay,
        "instances": analysis.instances,
        "classes": analysis.semantic,
    }
    for column, (name, picture) in zip(st.columns(len(pictures)), pictures.items(), strict=True):
        column.image(picture, caption=name, width="stretch")
    st.dataframe(analysis.rows(), width="stretch", hide_index=True)
    st.download_button("Download the result", archive, file_name="result.zip", mime="application/zip")
    return [pixel_box(box) for box in analysis.found.boxes_xyxy[:MOST_LOOKED_AT]]


def _show_looks(photo: np.ndarray, boxes: Sequence[Box], run: Path) -> None:
    model, card = _classifier(_trained(run, run / "scores.json"))
    st.subheader("What the classifier looks at")
    if not boxes:
        st.text("Without objects it is asked about the middle of the photo.")
    for column, look in zip(st.columns(MOST_LOOKED_AT), look_at(photo, boxes, model, card), strict=False):
        column.image(look.view, caption=plain(f"{look.said} {look.probability:.2f}"), width="stretch")
        column.image(look.heat, caption="what spoke for it", width="stretch")


def _trained(run: Path, file: Path) -> _Trained:
    return str(run), file.stat().st_mtime_ns if file.is_file() else 0


@st.cache_resource(max_entries=2, show_spinner=False)
def _detector(trained: _Trained) -> Detector:
    import torch

    from detection.detectors.registry import load_detector
    from detection.runs.folder import find_model

    return load_detector(find_model(Path(trained[0])), torch.device("cpu"))


@st.cache_resource(max_entries=2, show_spinner=False)
def _classifier(trained: _Trained) -> tuple[Classifier, ModelCard]:
    return find_classifier(Path(trained[0]))


def _caption(photo: np.ndarray, run: Path | None, config: Config) -> str:
    key = _digest(photo), run, config
    try:
        return keep("caption", key, lambda: caption(photo, run, config))
    except BoxpaintError as error:
        return f"none: {error}"


def _digest(photo: np.ndarray) -> str:
    return hashlib.sha256(photo.tobytes()).hexdigest()
