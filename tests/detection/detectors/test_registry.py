from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from detection.detectors.architectures import ARCHITECTURES
from detection.detectors.registry import DETECTORS, load_detector, make_detector
from detection.detectors.settings import ModelOptions
from generator.foundation.errors import ModelError, ModelNotFoundError

CPU = torch.device("cpu")
SMALL = ModelOptions(input_wh=(64, 48))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a saved detector."""
    folder = tmp_path_factory.mktemp("saved")
    make_detector("retinanet_small", ("cell", "plate"), SMALL, seed=0, device=CPU).save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture()
def folder(saved: dict[str, bytes], tmp_path: Path) -> Path:
    for name, content in saved.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_the_names_are_known_without_loading_torch() -> None:
    code = "import sys, detection.detectors.registry; sys.exit('torch' in sys.modules or 'ultralytics' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_registry_and_the_architectures_agree() -> None:
    assert set(DETECTORS) == {*ARCHITECTURES, "yolo"}
    for name, architecture in ARCHITECTURES.items():
        assert DETECTORS[name].gives_masks == architecture.gives_masks


def test_a_saved_folder_holds_a_card_and_weights(folder: Path) -> None:
    card = json.loads((folder / "model.json").read_text())
    assert card == {
        "schema_version": 1,
        "kind": "boxpaint detector",
        "name": "retinanet_small",
        "categories": ["cell", "plate"],
        "options": {"input_wh": [64, 48], "variant": None, "pretrained": "none", "download": False},
    }
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]
    assert load_detector(folder, CPU).categories == ("cell", "plate")


def test_a_saved_detector_loads_where_the_weights_it_began_with_are_gone(folder: Path, tmp_path: Path) -> None:
    options = SMALL.model_copy(update={"pretrained": str(folder)})
    make_detector("retinanet_small", ("cell", "plate"), options, seed=0, device=CPU).save(tmp_path / "tuned")
    (folder / "model.safetensors").unlink()
    assert load_detector(tmp_path / "tuned", CPU).categories == ("cell", "plate")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema_version": 2}, "schema_version is 2, not 1; it was saved by another version"),
        ({"kind": "captioner"}, "its kind is 'captioner'"),
        ({"name": "retina"}, "there is no detector 'retina'; known:\\n  retinanet_small: .*at most 50 boxes"),
        ({"categories": []}, "it names no categories"),
        ({"categories": None}, "cannot be used"),
        ({"options": {"input_wh": [64, 48], "colour": 1}}, "colour"),
        ({"categories": ["cell"]}, r"model\.safetensors cannot be used"),
    ],
)
def test_a_card_that_does_not_fit_is_refused_in_plain_words(folder: Path, change: dict[str, Any], reason: str) -> None:
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**card, **change}))
    with pytest.raises(ModelError, match=reason):
        load_detector(folder, CPU)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("model.json", text) for text in (b"", b"{", b"[]", b"{}", b'"card"')),
        *(("model.safetensors", length) for length in (0, 7, 1000)),
    ],
)
def test_damaged_files_are_refused(folder: Path, name: str, content: bytes | int) -> None:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else path.read_bytes()[:content])
    with pytest.raises(ModelError, match=re.escape(f"{name} cannot be used: ")):
        load_detector(folder, CPU)


def test_what_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"nowhere: no saved detector is there"):
        load_detector(tmp_path / "nowhere", CPU)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelNotFoundError, match=r"model\.safetensors: the weights .* are missing"):
        load_detector(folder, CPU)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("fast_rcnn", {}, "there is no detector 'fast_rcnn'; known:\\n  retinanet_small: "),
        ("retinanet_small", {"variant": "large"}, "retinanet_small has no variants, so no 'large'"),
        ("ssdlite", {"input_wh": (300, 300)}, "ssdlite takes pictures of 320 x 320 only, not 300 x 300"),
        ("retinanet", {"input_wh": (64, 64)}, "retinanet takes pictures of more than 64 pixels"),
    ],
)
def test_what_cannot_be_made_is_refused(name: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        make_detector(name, ("cell",), ModelOptions(**options), seed=0, device=CPU)


def test_the_seed_decides_the_weights_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    first, again, other = (
        make_detector("retinanet_small", ("cell",), SMALL, seed=seed, device=CPU) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.rand(3), expected)
    weights = [each.model.state_dict()["backbone.body.stem.0.weight"] for each in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
