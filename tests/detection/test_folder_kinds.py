"""A command that is given a folder of another kind says what it is."""

import json
from pathlib import Path

import pytest

from detection.captioner import folder as captioner
from detection.classifier import model_folder as classifier
from detection.classifier import run as comparison
from detection.detectors import model_folder as detector
from detection.evaluation import predict, report
from detection.formats import exporting as exporting
from detection.runs import folder as runs
from detection.segmenter import segment
from generator.audit.leak import audit_folder
from generator.foundation.coco import find_annotation_files
from generator.foundation.errors import DatasetError, ModelNotFoundError
from generator.foundation.folder_kinds import IMPORTED, KINDS, PAINTED, add_kind, kind_of

# Kind -> the file that every folder of it holds, as the part that writes it says.
MARKERS = {
    runs.KIND: runs.RUN,
    detector.KIND: detector.CARD,
    comparison.KIND: comparison.RUN,
    classifier.KIND: classifier.CARD,
    captioner.KIND: captioner.SCORES,
    report.KIND: report.SCORES,
    predict.KIND: predict.ABOUT,
    segment.KIND: segment.ABOUT,
    exporting.KIND: exporting.MARKER,
}
OWN_FILES = {"experiment": "experiment.json", "imported data set": "import.json", "prompt book": "enriched.json"}


def folder_of(kind: str, folder: Path) -> Path:
    if kind == PAINTED:
        name, content = "run.json", {"schema_version": 2, "spec_digest": "sha256:0", "config": {}}
    else:
        name, content = MARKERS.get(kind) or OWN_FILES[kind], {"kind": kind} if kind in MARKERS else {}
    (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_known_by_its_file(kind: str, tmp_path: Path) -> None:
    assert kind_of(tmp_path) is None
    assert add_kind("nothing", tmp_path) == "nothing"
    assert kind_of(folder_of(kind, tmp_path)) == kind
    assert add_kind("no detector is there", tmp_path).startswith(f"no detector is there; it is {KINDS[kind][0]}: ")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in (runs.KIND, detector.KIND)])
def test_what_is_no_detector_says_what_it_is(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no trained detector is there; it is ") as caught:
        runs.find_model(folder_of(kind, tmp_path))
    assert KINDS[kind][1] in str(caught.value)
    assert "unfinished" not in str(caught.value)


def test_a_training_that_has_no_model_yet_is_unfinished(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="this training is unfinished"):
        runs.find_model(folder_of(runs.KIND, tmp_path))
    with pytest.raises(ModelNotFoundError, match="no trained detector is there, nor any such folder; give the --out"):
        runs.find_model(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_data_set_says_what_it_is(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        find_annotation_files(folder_of(kind, tmp_path))
    if kind == PAINTED:
        assert "unfinished, or its leak audit refused it" in str(caught.value)
    elif kind == IMPORTED:
        assert "run the same `boxpaint import` again" in str(caught.value)
    else:
        assert f"no COCO file is in it or in its annotations/; it is {KINDS[kind][0]}" in str(caught.value)


def test_only_painted_sets_can_be_audited(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no records/ are in it; only what .* can be audited; it is an imported"):
        audit_folder(folder_of("imported data set", tmp_path))
    with pytest.raises(DatasetError, match="there is no such folder; only what"):
        audit_folder(tmp_path / "nowhere")
