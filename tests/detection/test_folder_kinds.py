"""A command that is given a folder of another kind says what it is."""

from pathlib import Path

import pytest

from detection.runs.folder import find_model
from generator.audit.leak import audit_folder
from generator.foundation.coco import find_annotation_files
from generator.foundation.errors import DatasetError, ModelNotFoundError
from generator.foundation.run_folder import DETECTOR, DETECTOR_RUN, IMPORTED, KINDS, PAINTED, FolderKind


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> FolderKind:
    return request.param


@pytest.fixture
def folder(kind: FolderKind, tmp_path: Path) -> Path:
    kind.begin(tmp_path, dict.fromkeys(kind.keys - kind.head.keys()))
    return tmp_path


def test_what_is_no_detector_says_what_it_is(kind: FolderKind, folder: Path) -> None:
    if kind == DETECTOR:
        assert find_model(folder) == folder
        return
    with pytest.raises(ModelNotFoundError) as caught:
        find_model(folder)
    said = "this training is unfinished; the command that began it starts it anew" if kind == DETECTOR_RUN else kind.use
    assert said in str(caught.value)


def test_a_place_without_anything(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no trained detector is there, nor any such folder; give the --out"):
        find_model(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="there is no such folder; only what"):
        audit_folder(tmp_path / "nowhere")


def test_what_is_no_data_set_says_what_it_is(kind: FolderKind, folder: Path) -> None:
    said = {PAINTED: "unfinished, or its leak audit refused it", IMPORTED: "run the same `boxpaint import` again"}
    with pytest.raises(DatasetError) as caught:
        find_annotation_files(folder)
    expected = f"no COCO file is in it or in its annotations/; it is {kind.what}"
    assert said.get(kind, expected) in str(caught.value)


def test_only_painted_sets_can_be_audited(kind: FolderKind, folder: Path) -> None:
    with pytest.raises(DatasetError, match=f"no records/ are in it; only what .* can be audited; it is {kind.what}"):
        audit_folder(folder)
