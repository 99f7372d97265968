"""Where a YOLO starts from: nothing is fetched in silence, nothing in a file is run, and what is known is kept."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from detection.detectors import yolo_network
from detection.detectors.registry import load_detector
from generator.foundation.errors import ModelError, ModelNotFoundError
from tests.detection.detectors.test_contract import assert_equal_answers, assert_equal_weights, odd_pictures
from tests.detection.detectors.tiny_yolo import CATEGORIES, CPU, head_of, make, write_pt, write_tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tiny(tmp_path_factory.mktemp("network") / "tiny.yaml")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something asks the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"variant": "yolo11q"}, ModelError, "yolo11n"),
        ({"variant": "yolo11n-seg"}, ModelError, "does not find boxes alone"),
        ({"variant": "there/is/none.yaml"}, ModelNotFoundError, "there/is/none.yaml"),
        ({"variant": None, "pretrained": "imagenet"}, ModelError, "no imagenet weights"),
        ({"variant": None, "pretrained": "coco"}, ModelNotFoundError, "checkpoints/yolo11n.pt, or allow the download"),
        ({"variant": "yolov8s", "pretrained": "coco"}, ModelNotFoundError, "yolov8s.pt"),
        ({"variant": "yolov8n-ghost", "pretrained": "coco"}, ModelError, "no coco weights for yolov8n-ghost"),
        ({"variant": None, "pretrained": "yolo11n.pt"}, ModelNotFoundError, "releases/download/v8.4.0/yolo11n.pt"),
        ({"variant": None, "pretrained": "mine.pt"}, ModelNotFoundError, "no checkpoint mine.pt"),
    ],
)
def test_what_is_not_here_is_said_and_not_fetched(
    options: dict[str, Any],
    error: type[ModelError],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=re.escape(words)):
        make(**options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["yolov5n.pt", "it's mine.pt"])  # ultralytics would look for other names, and fetch
@pytest.mark.usefixtures("offline")
def test_weights_of_ultralytics_keep_the_categories_they_know(name: str, tmp_path: Path) -> None:
    network = write_pt(tmp_path / name, ("cat", "Blue ", "dog"))
    detector = make(None, pretrained=str(tmp_path / name))
    given, taken = network.state_dict(), detector.model.network.state_dict()
    per_category = {key for key in given if re.search(r"cv3\.\d\.2\.", key)}
    assert len(per_category) == 4
    for key, value in given.items():
        if key not in per_category:
            assert torch.equal(value.half().float(), taken[key].float()), key
        else:
            assert len(taken[key]) == len(CATEGORIES)
            assert torch.equal(taken[key][CATEGORIES.index("blue")], value[1].half().float())
    assert (head_of(detector).nc, head_of(detector).no) == (2, 66)


def test_a_saved_detector_is_refined_for_other_categories(tiny: str, tmp_path: Path) -> None:
    first = make(tiny)
    first.save(tmp_path / "first")
    second = make(None, categories=("green", "red", "blue"), pretrained=str(tmp_path / "first"))
    for one, other in zip(head_of(first).cv3, head_of(second).cv3, strict=True):
        assert torch.equal(other[-1].weight[[1, 2]], one[-1].weight)
    # What was saved of it can be loaded, though a network of three categories would have been made otherwise.
    second.save(tmp_path / "second")
    assert_equal_answers(
        load_detector(tmp_path / "second", CPU).predict(odd_pictures()), second.predict(odd_pictures())
    )
    assert_equal_weights(make(tiny, pretrained=str(tmp_path / "first")), first)
    with pytest.raises(ModelError, match="another network than yolov8n; leave variant out"):
        make("yolov8n", pretrained=str(tmp_path / "first"))


def test_a_head_that_was_trained_for_more_categories_keeps_its_width(tmp_path: Path) -> None:
    names = tuple(f"thing {number}" for number in range(60))
    write_pt(tmp_path / "many.pt", names)
    detector = make(None, pretrained=str(tmp_path / "many.pt"))
    assert head_of(detector).cv3[0][-1].in_channels == 60
    detector.save(tmp_path / "saved")
    loaded = load_detector(tmp_path / "saved", CPU)
    assert_equal_answers(loaded.predict(odd_pictures()), detector.predict(odd_pictures()))


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    write_pt(tmp_path / "evil.pt", ("a", "b"), extra=_Evil(tmp_path / "done"))
    with pytest.raises(ModelError, match=r"evil\.pt cannot be used"):
        make(None, pretrained=str(tmp_path / "evil.pt"))
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "torn"), (b"no pickle", "torn"), (None, "not a detection network")],
)
def test_a_file_of_something_else_is_refused(content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "torn.pt"
    if content is None:
        torch.save({"model": torch.nn.Conv2d(3, 3, 1)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=words):
        make(None, pretrained=str(path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"activation": "__import__('os').getcwd()"}, "should be as nn.SiLU"),
        ({"backbone": [[-1, 1, "torch_safe_load", ["evil.pt"]]]}, "no layer that may be used"),
        ({"backbone": [[-1, 1, "TorchVision", [64, "resnet18", "DEFAULT"]]]}, "no layer that may be used"),
        ({"backbone": [[-1, "Conv"]]}, "should be [from, repeats, module, args]"),
        ({"backbone": [[7, 1, "Conv", [64, 3, 2]]]}, "no network that can be built"),
        ({"head": []}, "head should be a list of layers"),
    ],
)
def test_a_description_is_data_not_code(changes: dict[str, Any], words: str, tiny: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=re.escape(words)):
        make(write_tiny(tmp_path / "other.yaml", **changes))
    make(tiny).save(tmp_path / "saved")
    described = json.loads((tmp_path / "saved" / "network.json").read_text())
    (tmp_path / "saved" / "network.json").write_text(json.dumps({**described, **changes}))
    with pytest.raises(ModelError, match=re.escape(words)):
        load_detector(tmp_path / "saved", CPU)


def test_a_damaged_folder_is_named(tiny: str, tmp_path: Path) -> None:
    make(tiny).save(tmp_path)
    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    weights.pop("network.model.0.conv.weight")
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_detector(tmp_path, CPU)
    with pytest.raises(ModelError, match=r"model\.safetensors does not hold the weights of its network"):
        make(None, pretrained=str(tmp_path))
    (tmp_path / "network.json").write_text("{")
    with pytest.raises(ModelError, match=r"network\.json"):
        load_detector(tmp_path, CPU)


def test_coco_weights_come_from_the_cache_or_where_allowed_from_their_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "release").mkdir()
    network = write_pt(tmp_path / "release" / "yolo11n.pt", CATEGORIES)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr(yolo_network, "_RELEASE", (tmp_path / "release").as_uri())
    fetched = make("yolo11n", pretrained="coco", download=True)
    (tmp_path / "release" / "yolo11n.pt").unlink()
    cached = make("yolo11n", pretrained="coco")
    assert_equal_weights(fetched, cached)
    assert torch.equal(cached.model.network.model[0].conv.weight, network.model[0].conv.weight.half().float())
    with pytest.raises(ModelNotFoundError, match=r"yolo11s\.pt cannot be fetched .* put it at"):
        make("yolo11s", pretrained="coco", download=True)
