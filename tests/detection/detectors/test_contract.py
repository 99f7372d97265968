"""What every detector of the registry promises; written for `types.Detector`, whatever library is behind it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from detection.datasets.types import DetectionDataset, Detections, Sample
from detection.detectors.architectures import ARCHITECTURES, WEIGHTS
from detection.detectors.registry import DETECTORS, load_detector, make_detector
from detection.detectors.settings import FitSettings, ModelOptions
from detection.detectors.torchvision_detector import TorchvisionDetector
from detection.detectors.types import Detector, TrainingMix
from generator.foundation.errors import ModelError
from generator.foundation.history import History, Listener
from tests.detection.discs import COLOURS, disc_set

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SETTINGS = FitSettings(steps=2, batch_size=2, optimizer="sgd", warmup_steps=0, checkpoint_every=1)


class StopAfter(Listener):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, step: int, loss: float) -> None:
        if step > self.step:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> TrainingMix:
    """Two sets, one of them with a picture that holds nothing."""
    discs = disc_set(tmp_path_factory.mktemp("discs"), 3, seed=1)
    blank = Sample.of(discs.samples[0].path, (discs.samples[0].width, discs.samples[0].height), [], [])
    other = DetectionDataset(categories=discs.categories, samples=(blank, discs.samples[2]))
    return TrainingMix(sets=(discs.choose([0, 1]), other), shares=(0.5, 0.5))


def make(name: str) -> Detector:
    info = DETECTORS[name]
    if info.package is not None:
        pytest.importorskip(info.package)
    options = ModelOptions(input_wh=info.input_wh if info.has_one_size else (96, 64))
    return make_detector(name, tuple(COLOURS), options, seed=0, device=CPU)


def odd_pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (height, width, 3), np.uint8) for height, width in ((33, 57), (200, 31))]


def saved_weights(detector: Detector) -> dict[str, bytes]:
    """Files of a saved detector, but model.json: that says where the first weights came from, too."""
    with tempfile.TemporaryDirectory() as folder:
        detector.save(Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.name != "model.json"}


def assert_equal_weights(first: Detector, second: Detector) -> None:
    weights = saved_weights(first)
    assert weights and weights == saved_weights(second)


def without_doubt(detector: Detector, name: str, folder: Path) -> Detector:
    """The same detector, but as sure of every class: fresh ones of one stage are sure of nothing."""
    detector.save(folder)
    scores = ARCHITECTURES[name].per_category if name in ARCHITECTURES else ()
    weights = safetensors.torch.load_file(folder / WEIGHTS)
    for key in [key for key in weights if key.startswith(scores) and key.endswith(".bias")]:
        weights[key] = torch.zeros_like(weights[key])
    safetensors.torch.save_file(weights, folder / WEIGHTS)
    return load_detector(folder, CPU)


def assert_equal_answers(first: list[Detections], second: list[Detections]) -> None:
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.boxes_xyxy, other.boxes_xyxy)
        assert np.array_equal(one.labels, other.labels)
        assert np.array_equal(one.scores, other.scores)


def check_resumed(make: Callable[[], Detector], mix: TrainingMix, folder: Path, **how: Any) -> History:
    """Train at once, and stopped after a step and resumed."""
    straight, stopped = make(), make()
    fresh = saved_weights(straight)
    result = straight.fit(mix, seed=5, **how)
    assert saved_weights(straight) != fresh
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(mix, seed=5, checkpoint=folder, listener=StopAfter(1), **how)
    assert stopped.fit(mix, seed=5, checkpoint=folder, **how) == result
    assert_equal_weights(straight, stopped)
    assert len(result.losses) == how["settings"].steps
    return result


def check_saved_and_loaded(detector: Detector, folder: Path, *, has_masks: bool) -> None:
    """Hold answers on odd pictures against what they promise, and against those of the detector saved and loaded."""
    answers = detector.predict(odd_pictures())
    detector.save(folder)
    loaded = load_detector(folder, CPU)
    assert loaded.categories == tuple(COLOURS)
    assert_equal_weights(loaded, detector)
    assert_equal_answers(loaded.predict(odd_pictures()), answers)
    assert_equal_answers(detector.predict(odd_pictures(), with_masks=False), answers)
    assert detector.predict([]) == []
    for picture, found in zip(odd_pictures(), answers, strict=True):
        height, width = picture.shape[:2]
        count = len(found.labels)
        assert count
        assert found.boxes_xyxy.shape == (count, 4)
        assert np.all(found.boxes_xyxy >= 0)
        assert np.all(found.boxes_xyxy <= [width, height, width, height])
        assert np.all(found.boxes_xyxy[:, 2:] > found.boxes_xyxy[:, :2])
        assert set(found.labels.tolist()) <= {1, 2}
        assert np.all(np.diff(found.scores) <= 0)
        assert (found.masks is not None) == has_masks
        assert found.masks is None or found.masks.shape == (count, height, width)


@pytest.mark.parametrize("name", DETECTORS)
def test_stopped_and_resumed_gives_the_weights_of_an_undisturbed_training(
    name: str, mix: TrainingMix, tmp_path: Path
) -> None:
    assert check_resumed(lambda: make(name), mix, tmp_path, settings=SETTINGS).best_step == 2


def test_one_picture_alone_is_too_little_for_a_map_of_one_pixel(mix: TrainingMix) -> None:
    with pytest.raises(ModelError, match="use --batch-size 2 or more, or a larger input"):
        make("ssdlite").fit(mix, SETTINGS.model_copy(update={"batch_size": 1}), seed=0)


@pytest.mark.parametrize("name", DETECTORS)
def test_saved_and_loaded_answers_alike_on_pictures_of_any_size(name: str, tmp_path: Path) -> None:
    detector = without_doubt(make(name), name, tmp_path / "sure")
    check_saved_and_loaded(detector, tmp_path / "saved", has_masks=DETECTORS[name].gives_masks)
    assert all(found.masks is None for found in detector.predict(odd_pictures(), with_masks=False))


def test_where_memory_is_short_fewer_pictures_are_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = make("faster_rcnn_small")
    assert isinstance(detector, TorchvisionDetector)
    pictures = [*odd_pictures(), *odd_pictures()]
    expected = [answer for picture in pictures for answer in detector.predict([picture])]
    forward, most = detector.model.forward, 1

    def short_of_memory(images: list[torch.Tensor]) -> object:
        if len(images) > most:
            raise RuntimeError("CUDA out of memory")
        return forward(images)

    monkeypatch.setattr(detector.model, "forward", short_of_memory)
    assert_equal_answers(detector.predict(pictures), expected)
    most = 0
    with pytest.raises(ModelError, match="not enough memory on cpu for batches of 1; try a smaller model"):
        detector.predict(pictures)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_published_weights_and_what_depends_on_the_categories_are_of_this_model(name: str) -> None:
    architecture = ARCHITECTURES[name]
    model = architecture.build(90, DETECTORS[name].input_wh)  # the numbers of COCO's categories go up to 90
    for prefix in architecture.per_category:
        assert any(key.startswith(prefix) for key in model.state_dict()), prefix
    fewer = architecture.build(5, DETECTORS[name].input_wh).state_dict()
    changed = [key for key, value in model.state_dict().items() if value.shape != fewer[key].shape]
    assert changed
    assert all(key.startswith(architecture.per_category) for key in changed)
    if architecture.coco is not None:
        parameters = sum(each.numel() for each in model.parameters())
        # torchvision's own trunk has constants where ours can learn.
        norms = [each for each in model.get_submodule("backbone").modules() if isinstance(each, torch.nn.BatchNorm2d)]
        learned = sum(each.numel() for norm in norms for each in norm.parameters())
        assert architecture.coco.meta["num_params"] in (parameters, parameters - learned)
