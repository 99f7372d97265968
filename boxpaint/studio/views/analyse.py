"""Analyse: one photo, by models that were trained here: caption, boxes, masks, and what a classifier looks at."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from boxpaint.studio.limits import MAX_MEGABYTES, MAX_OBJECTS
from boxpaint.studio.plain_text import plain
from boxpaint.studio.uploads import read_photo
from boxpaint.studio.views.parts import load_config, pick, show_error
from boxpaint.studio.workspace import Workspace
from generator.foundation.errors import BoxpaintError

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
        text = _caption(source.getvalue(), captioner.folder if captioner else None, config.model_dump_json())
        st.caption("caption")
        st.text(text)
    _show_found(
        photo, detector.folder if detector else None, classifier.folder if classifier else None, min_score, text
    )


def _show_found(
    photo: np.ndarray, detector_run: Path | None, classifier_run: Path | None, min_score: float, text: str
) -> None:
    from boxpaint.studio.analysis import MOST_LOOKED_AT, analyse, look_at, result_zip
    from detection.inference.drawing import pixel_box

    boxes = []
    if detector_run is not None:
        with st.spinner("looking for objects"):
            trained = _trained(detector_run, detector_run / "model" / "model.json")
            key = hashlib.sha256(photo.tobytes()).hexdigest(), trained, min_score, text
            if st.session_state.get("analysed") != key:
                analysis = analyse(photo, _detector(trained), min_score=min_score)
                st.session_state["analysis"] = analysis, result_zip(analysis, text)
                st.session_state["analysed"] = key
            analysis, archive = st.session_state["analysis"]
        boxes = [pixel_box(box) for box in analysis.found.boxes_xyxy[:MOST_LOOKED_AT]]
        count = len(analysis.found.labels)
        st.subheader(f"{count} objects" + (", the surest" if count == MAX_OBJECTS else ""))
        for column, (name, picture) in zip(
            st.columns(4),
            (
                ("boxes", analysis.boxes),
                ("objects filled", analysis.overlay),
                ("instances", analysis.instances),
                ("classes", analysis.semantic),
            ),
            strict=True,
        ):
            column.image(picture, caption=name, width="stretch")
        st.dataframe(analysis.rows(), width="stretch", hide_index=True)
        st.download_button("Download the result", archive, file_name="result.zip", mime="application/zip")
    if classifier_run is not None:
        model, card = _classifier(_trained(classifier_run, classifier_run / "scores.json"))
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
    from boxpaint.studio.analysis import find_classifier

    return find_classifier(Path(trained[0]))


def _caption(data: bytes, run: Path | None, settings: str) -> str:
    """The caption of a photo, found once: every click draws the page again."""
    key = hashlib.sha256(b"\0".join([data, str(run).encode(), settings.encode()])).hexdigest()
    if st.session_state.get("captioned") != key:
        from boxpaint.studio.analysis import caption
        from generator.config import Config

        try:
            st.session_state["caption"] = caption(read_photo(data), run, Config.model_validate_json(settings))
        except BoxpaintError as error:
            return f"none: {error}"
        st.session_state["captioned"] = key
    found: str = st.session_state["caption"]
    return found
