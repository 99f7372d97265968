"""YOLO keeps the promises of every detector; its own: nothing is fetched, run or left behind, and no clock decides."""

from __future__ import annotations

import copy
import importlib
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml

from detection.coco_metrics import mean_average_precision
from detection.datasets.read import read_rgb
from detection.datasets.types import DetectionSet, Sample
from detection.detectors import yolo_library, yolo_weights
from detection.detectors.registry import load_detector, make_detector
from detection.detectors.settings import FitSettings, ModelOptions
from detection.detectors.types import TrainingMix
from detection.detectors.yolo import YoloDetector, YoloModel, labels_for_loss
from generator.errors import ModelError, ModelNotFoundError
from tests.detection.detectors.test_contract import (
    StopAfter,
    assert_equal_answers,
    assert_equal_weights,
    odd_pictures,
)
from tests.detection.discs import COLOURS, disc_set

CPU = torch.device("cpu")
CATEGORIES = tuple(COLOURS)
SETTINGS = FitSettings(steps=3, batch_size=2, warmup_steps=0, checkpoint_every=1, validate_every=1)
# Strides 8 and 16, 40 thousand weights
TINY: dict[str, Any] = {
    "nc": 80,
    "scales": {"n": [1.0, 0.125, 256]},
    "backbone": [
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "Conv", [128, 3, 2]],
        [-1, 1, "Conv", [256, 3, 2]],
        [-1, 1, "C3k2", [256, False, 0.25]],
        [-1, 1, "Conv", [256, 3, 2]],
    ],
    "head": [[[3, 4], 1, "Detect", ["nc"]]],
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("network") / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return str(path)


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> DetectionSet:
    return disc_set(tmp_path_factory.mktemp("discs"), 8, seed=1)


@pytest.fixture(scope="module")
def mix(discs: DetectionSet) -> TrainingMix:
    blank = Sample.of(discs.samples[0].path, (discs.samples[0].width, discs.samples[0].height), [], [])
    other = DetectionSet(categories=CATEGORIES, samples=(blank, discs.samples[2]))
    return TrainingMix(sets=(discs.choose([0, 1]), other), shares=(0.5, 0.5))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something asks the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def make(variant: str | None, *, categories: tuple[str, ...] = CATEGORIES, **options: Any) -> YoloDetector:
    chosen = ModelOptions(input_wh=(72, 48), variant=variant, **options)
    detector = make_detector("yolo", categories, chosen, seed=0, device=CPU)
    assert isinstance(detector, YoloDetector)
    return detector


def head_of(detector: YoloDetector) -> Any:
    return detector.model.network.model[-1]


def write_pt(path: Path, names: tuple[str, ...], **changes: Any) -> Any:
    """Write a checkpoint as ultralytics does: a pickled network of half precision."""
    network = yolo_library.DetectionModel({**copy.deepcopy(TINY), "scale": "n", "nc": len(names)}, verbose=False)
    network.names = dict(enumerate(names))
    torch.save({"epoch": -1, "model": copy.deepcopy(network).half(), "ema": None, "train_args": {}, **changes}, path)
    return network


def test_stopped_and_resumed_gives_the_weights_of_an_undisturbed_training(
    mix: TrainingMix, discs: DetectionSet, tiny: str, tmp_path: Path
) -> None:
    straight, stopped = make(tiny), make(tiny)
    result = straight.fit(mix, SETTINGS, seed=5, validation=discs)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(mix, SETTINGS, seed=5, validation=discs, checkpoint=tmp_path, listener=StopAfter(1))
    assert stopped.fit(mix, SETTINGS, seed=5, validation=discs, checkpoint=tmp_path) == result
    assert_equal_weights(straight, stopped)
    assert len(result.losses) == len(result.validations) == 3


def test_another_seed_gives_other_weights_and_the_same_the_same(mix: TrainingMix, tiny: str) -> None:
    first, again, other = make(tiny), make(tiny), make(tiny)
    for detector, seed in ((first, 1), (again, 1), (other, 2)):
        detector.fit(mix, SETTINGS, seed=seed)
    assert_equal_weights(first, again)
    with pytest.raises(AssertionError):
        assert_equal_weights(first, other)


@pytest.mark.parametrize("variant", ["tiny", "yolo26n"])  # with and without suppression of overlaps
def test_saved_and_loaded_answers_alike_on_pictures_of_any_size(variant: str, tiny: str, tmp_path: Path) -> None:
    detector = make(tiny if variant == "tiny" else variant)
    answers = detector.predict(odd_pictures())
    detector.save(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "model.json",
        "model.safetensors",
        "network.json",
    }
    loaded = load_detector(tmp_path / "model", CPU)
    assert loaded.categories == CATEGORIES
    assert_equal_answers(loaded.predict(odd_pictures()), answers)
    assert detector.predict([]) == []
    for picture, found in zip(odd_pictures(), answers, strict=True):
        height, width = picture.shape[:2]
        assert len(found.labels)
        assert found.boxes_xyxy.shape == (len(found.labels), 4)
        assert np.all(found.boxes_xyxy >= 0)
        assert np.all(found.boxes_xyxy <= [width, height, width, height])
        assert set(found.labels.tolist()) <= {1, 2}
        assert np.all(np.diff(found.scores) <= 0)
        assert found.masks is None


def test_learns_two_pictures(discs: DetectionSet, tiny: str) -> None:
    detector = make(tiny)
    chosen = discs.choose([2, 5])  # with a disc of each category
    settings = FitSettings(steps=150, batch_size=2, learning_rate=2e-2, warmup_steps=10, augment="none")
    detector.fit(TrainingMix.of(chosen), settings, seed=0)
    found = detector.predict([read_rgb(sample.path) for sample in chosen.samples])
    assert mean_average_precision(chosen, found) > 0.5


def test_a_frozen_backbone_keeps_weights_and_statistics(mix: TrainingMix, tiny: str) -> None:
    detector = make(tiny)
    before = copy.deepcopy(detector.model.state_dict())
    detector.fit(mix, SETTINGS.model_copy(update={"freeze_backbone": True}), seed=0)
    changed = {name for name, value in detector.model.state_dict().items() if not torch.equal(value, before[name])}
    backbone = {name for name in before if int(name.split(".")[2]) < len(TINY["backbone"])}
    assert backbone
    assert changed
    assert not changed & backbone


def test_labels_are_shares_of_the_padded_picture() -> None:
    targets = [
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)},
        {"boxes": torch.tensor([[8.0, 4.0, 24.0, 12.0]]), "labels": torch.tensor([2])},
    ]
    labels = labels_for_loss(targets, torch.zeros(2, 3, 32, 64))
    assert labels["batch_idx"].tolist() == [1]
    assert labels["cls"].tolist() == [1]
    assert labels["bboxes"].tolist() == [[0.25, 0.25, 0.25, 0.25]]


def test_the_loss_is_computed_in_float32_on_pictures_padded_to_whole_strides(tiny: str) -> None:
    model = make(tiny).model
    assert isinstance(model, YoloModel)
    seen: dict[str, Any] = {}

    def loss(answers: dict[str, Any], labels: dict[str, torch.Tensor]) -> tuple[torch.Tensor, None]:
        seen.update(answers)
        return answers["boxes"].sum() * torch.tensor([1.0, 2.0, 3.0]), None

    model._loss = loss
    targets = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}]
    with torch.autocast("cpu", torch.bfloat16):
        model.train()(list(torch.zeros(1, 3, 50, 70)), targets)
    assert {seen[name].dtype for name in ("boxes", "scores")} == {torch.float32}
    # 70 x 50 px become 80 x 64: 10 x 8 cells and 5 x 4
    assert seen["boxes"].shape[2] == 80 + 20


def test_a_busy_machine_empties_no_prediction(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = make(tiny)
    pictures = odd_pictures()
    before = detector.predict(pictures)
    hours = iter(range(10**6))
    monkeypatch.setattr("ultralytics.utils.nms.time.time", lambda: 3600.0 * next(hours))
    assert_equal_answers(detector.predict(pictures), before)
    assert next(hours) > len(pictures)  # it did look at the clock
    assert all(len(found.labels) for found in before)


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


def test_a_saved_detector_is_refined_for_other_categories(mix: TrainingMix, tiny: str, tmp_path: Path) -> None:
    first = make(tiny)
    first.fit(mix, SETTINGS, seed=0)
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
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump({**TINY, **changes}))
    with pytest.raises(ModelError, match=re.escape(words)):
        make(str(path))
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
    monkeypatch.setattr(yolo_weights, "_RELEASE", (tmp_path / "release").as_uri())
    fetched = make("yolo11n", pretrained="coco", download=True)
    (tmp_path / "release" / "yolo11n.pt").unlink()
    cached = make("yolo11n", pretrained="coco")
    assert_equal_weights(fetched, cached)
    assert torch.equal(cached.model.network.model[0].conv.weight, network.model[0].conv.weight.half().float())
    with pytest.raises(ModelNotFoundError, match=r"yolo11s\.pt cannot be fetched .* put it at"):
        make("yolo11s", pretrained="coco", download=True)


def test_without_ultralytics_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] == "ultralytics":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    monkeypatch.delitem(sys.modules, "detection.detectors.yolo_library")
    with pytest.raises(ModelError, match=r"pip install 'boxpaint\[yolo\]'"):
        importlib.import_module("detection.detectors.yolo_library")


_LOOK = """
import os, socket, sys, warnings
import cv2, numpy, torch, torchvision
from PIL import Image
import generator.errors

def refuse(*_):
    sys.exit("it asks the network")

def state():
    return {
        "environment": dict(os.environ), "threads": (torch.get_num_threads(), cv2.getNumThreads()),
        "functions": (torch.save, torch.load, Image.open, cv2.imread), "warnings": list(warnings.filters),
        "printing": (numpy.get_printoptions(), str(torch.rand(3, 300, generator=torch.Generator().manual_seed(0)))),
        "draws": torch.get_rng_state().tolist(), "exact": torch.are_deterministic_algorithms_enabled(),
    }

socket.getaddrinfo = socket.socket.connect = refuse
before = state()
import detection.detectors.yolo_library
after = state()
assert "ultralytics" in sys.modules
sys.exit(", ".join(name for name in before if before[name] != after[name]) or None)
"""


def test_its_import_changes_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "YOLO_", "XDG_"))}
    path = str(Path(__file__).parents[3])
    ran = subprocess.run(
        [sys.executable, "-c", _LOOK],
        cwd=home,
        env={**variables, "HOME": str(home), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert not list(home.iterdir())
