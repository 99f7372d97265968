"""How a training goes, shown on the small RetinaNet; the contract of all detectors is in test_contract.py."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from detection.datasets.read import read_rgb
from detection.datasets.types import DetectionDataset, Sample
from detection.detectors.registry import make_detector
from detection.detectors.settings import FitSettings, ModelOptions
from detection.detectors.torchvision_detector import TorchvisionDetector
from detection.detectors.types import TrainingMix
from detection.evaluation.coco_metrics import mean_average_precision
from generator.foundation.errors import BoxpaintError, DatasetError, ModelError
from generator.foundation.history import Listener
from generator.foundation.stopping import Stopped
from tests.detection.discs import COLOURS, disc_set

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
BRIEF = FitSettings(steps=4, batch_size=2, warmup_steps=0, checkpoint_every=2, validate_every=1)


class Watcher(Listener):
    def __init__(self, *, stop_after: int | None = None, end_at: int | None = None) -> None:
        self.stop_after = stop_after
        self.end_at = end_at
        self.started: tuple[int, int] | None = None
        self.steps: list[int] = []
        self.validations: list[tuple[int, float, bool]] = []

    def on_start(self, steps: int, finished: int) -> None:
        self.started = steps, finished

    def on_step(self, step: int, loss: float) -> None:
        self.steps.append(step)
        if step == self.stop_after:
            raise KeyboardInterrupt
        if step == self.end_at:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_validation(self, step: int, ap: float, *, is_best: bool) -> None:
        self.validations.append((step, ap, is_best))


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> DetectionDataset:
    return disc_set(tmp_path_factory.mktemp("discs"), 6, seed=2)


def make(*, input_wh: tuple[int, int] = (64, 48), name: str = "retinanet_small") -> TorchvisionDetector:
    detector = make_detector(name, tuple(COLOURS), ModelOptions(input_wh=input_wh), seed=0, device=CPU)
    assert isinstance(detector, TorchvisionDetector)
    return detector


def weights_of(detector: TorchvisionDetector) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in detector.model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in first.items() if torch.equal(value, second[name])}


def test_learns_four_pictures_by_heart(discs: DetectionDataset) -> None:
    four = discs.choose(range(4))
    detector = make(input_wh=(128, 96))
    settings = FitSettings(steps=80, batch_size=4, learning_rate=4e-3, warmup_steps=10, augment="none")
    result = detector.fit(TrainingMix.of(four), settings, seed=0)
    found = detector.predict([read_rgb(sample.path) for sample in four.samples])
    assert mean_average_precision(four, found) > 0.5
    assert result.losses[-1] < 0.5 * result.losses[0]


def test_masks_are_learnt_too(discs: DetectionDataset) -> None:
    one = discs.choose([2])
    detector = make(input_wh=(128, 96), name="mask_rcnn_small")
    settings = FitSettings(steps=60, batch_size=1, learning_rate=4e-3, warmup_steps=10, augment="none")
    detector.fit(TrainingMix.of(one), settings, seed=0)
    found = detector.predict([read_rgb(one.samples[0].path)])
    assert mean_average_precision(one, found, iou_type="segm") > 0.5


def test_the_best_weights_are_kept_and_patience_ends_it(discs: DetectionDataset) -> None:
    detector, watcher = make(), Watcher()
    settings = BRIEF.model_copy(update={"steps": 50, "patience": 2, "learning_rate": 1e-9})
    result = detector.fit(TrainingMix.of(discs), settings, seed=0, validation=discs, listener=watcher)
    # Nothing is learnt at such a rate: AP stays 0, the first validation is the best, two more are waited for.
    assert len(result.losses) == 3
    assert result.best_step == 1
    assert result.validations == [(1, 0.0), (2, 0.0), (3, 0.0)]
    assert watcher.validations == [(1, 0.0, True), (2, 0.0, False), (3, 0.0, False)]
    assert int(detector.model.state_dict()["backbone.body.stem.1.num_batches_tracked"]) == 1


@pytest.mark.parametrize("name", ["retinanet_small", "faster_rcnn_small"])  # the second draws what it learns from
def test_resumed_after_a_validation_keeps_the_best_weights_of_before(
    discs: DetectionDataset, tmp_path: Path, name: str
) -> None:
    mix = TrainingMix.of(discs)
    straight, stopped, watcher = make(name=name), make(name=name), Watcher()
    result = straight.fit(mix, BRIEF, seed=3, validation=discs)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(mix, BRIEF, seed=3, validation=discs, checkpoint=tmp_path, listener=Watcher(stop_after=3))
    resumed = stopped.fit(mix, BRIEF, seed=3, validation=discs, checkpoint=tmp_path, listener=watcher)
    assert watcher.started == (4, 2)
    assert watcher.steps == [3, 4]
    assert resumed == result
    assert same(weights_of(straight), weights_of(stopped)) == set(weights_of(straight))
    # Once more, as after a kill that came before the weights were saved: nothing is trained again.
    late, idle = make(name=name), Watcher()
    assert late.fit(mix, BRIEF, seed=3, validation=discs, checkpoint=tmp_path, listener=idle) == result
    assert idle.steps == []
    assert same(weights_of(straight), weights_of(late)) == set(weights_of(straight))


def test_sigterm_keeps_the_step_in_hand(discs: DetectionDataset, tmp_path: Path) -> None:
    mix, settings = TrainingMix.of(discs), BRIEF.model_copy(update={"checkpoint_every": 100, "workers": 2})
    straight, stopped, watcher = make(), make(), Watcher()
    result = straight.fit(mix, BRIEF, seed=3)
    with pytest.raises(Stopped):
        stopped.fit(mix, settings, seed=3, checkpoint=tmp_path, listener=Watcher(end_at=3))
    assert stopped.fit(mix, settings, seed=3, checkpoint=tmp_path, listener=watcher) == result
    assert watcher.started == (4, 3)
    assert same(weights_of(straight), weights_of(stopped)) == set(weights_of(straight))


def test_a_kill_that_reaches_the_reading_processes_leaves_the_step_in_hand_its_batch(discs: DetectionDataset) -> None:
    class Ending(Listener):
        def on_step(self, step: int, loss: float) -> None:
            for child in psutil.Process().children() if step == 1 else ():
                child.terminate()

    mix = TrainingMix.of(discs)
    result = make().fit(mix, BRIEF.model_copy(update={"workers": 1}), seed=3, listener=Ending())
    assert result == make().fit(mix, BRIEF, seed=3)


def test_a_stopped_training_leaves_the_weights_as_they_were(discs: DetectionDataset) -> None:
    detector = make()
    before = weights_of(detector)
    with pytest.raises(KeyboardInterrupt):
        detector.fit(TrainingMix.of(discs), BRIEF, seed=0, listener=Watcher(stop_after=2))
    assert same(before, weights_of(detector)) == set(before)


@pytest.mark.parametrize(
    ("settings", "seed", "pictures", "differs"),
    [
        ({"steps": 5}, 0, 6, "settings.steps: 4 before, 5 now"),
        ({}, 1, 6, "seed: 0 before, 1 now"),
        ({}, 0, 5, r"pictures\[1\]: "),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(
    discs: DetectionDataset, tmp_path: Path, settings: dict[str, int], seed: int, pictures: int, differs: str
) -> None:
    make().fit(TrainingMix.of(discs), BRIEF, seed=0, checkpoint=tmp_path)
    with pytest.raises(BoxpaintError, match=rf"is of another training; .*\n  {differs}"):
        make().fit(
            TrainingMix.of(discs.choose(range(pictures))),
            BRIEF.model_copy(update=settings),
            seed=seed,
            checkpoint=tmp_path,
        )


def test_a_data_set_may_move_while_its_training_is_stopped(discs: DetectionDataset, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        make().fit(TrainingMix.of(discs), BRIEF, seed=0, checkpoint=tmp_path / "c", listener=Watcher(stop_after=3))
    moved = disc_set(tmp_path / "moved", 6, seed=2)
    watcher = Watcher()
    make().fit(TrainingMix.of(moved), BRIEF, seed=0, checkpoint=tmp_path / "c", listener=watcher)
    assert watcher.started == (4, 2)


def test_a_checkpoint_begun_from_other_weights_is_refused(discs: DetectionDataset, tmp_path: Path) -> None:
    detector = make()
    detector.fit(TrainingMix.of(discs), BRIEF, seed=0, checkpoint=tmp_path)
    with pytest.raises(BoxpaintError, match=r"of another training; .*\n  weights: "):
        detector.fit(TrainingMix.of(discs), BRIEF, seed=0, checkpoint=tmp_path)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_cannot_be_read_is_named(discs: DetectionDataset, tmp_path: Path, workers: int) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    torn = DetectionDataset(categories=discs.categories, samples=(Sample.of(tmp_path / "torn.png", (64, 48), [], []),))
    with pytest.raises(DatasetError, match=r"torn\.png"):
        make().fit(TrainingMix.of(torn), BRIEF.model_copy(update={"workers": workers}), seed=0)


def test_a_frozen_backbone_keeps_weights_and_statistics(discs: DetectionDataset) -> None:
    detector = make()
    before = weights_of(detector)
    detector.fit(TrainingMix.of(discs), BRIEF.model_copy(update={"freeze_backbone": True}), seed=0)
    body = {name for name in before if name.startswith("backbone.body.")}
    assert same(before, weights_of(detector)) == body
    detector.fit(TrainingMix.of(discs), BRIEF, seed=0)  # and it is free again afterwards
    assert not {name for name in same(before, weights_of(detector)) if name.endswith("weight")}


def test_a_share_of_the_first_weights_is_kept(discs: DetectionDataset) -> None:
    plain, careful = make(), make()
    before = weights_of(careful)
    plain.fit(TrainingMix.of(discs), BRIEF, seed=0)
    careful.fit(TrainingMix.of(discs), BRIEF.model_copy(update={"start_share": 0.25}), seed=0)
    found, trained = weights_of(careful), weights_of(plain)
    for name, value in before.items():
        expected = 0.25 * value + 0.75 * trained[name] if value.is_floating_point() else trained[name]
        torch.testing.assert_close(found[name], expected, msg=name)


def test_sets_of_other_categories_or_without_objects_are_refused(discs: DetectionDataset) -> None:
    other = DetectionDataset(categories=("cell",), samples=discs.samples)
    with pytest.raises(ModelError, match="the detector finds red, blue, but the data set holds cell"):
        make().fit(TrainingMix.of(other), BRIEF, seed=0)
    blank = discs.choose([])
    with pytest.raises(ModelError, match="the validation pictures hold no object"):
        make().fit(TrainingMix.of(discs), BRIEF, seed=0, validation=blank)


def test_the_loss_does_not_see_boxes_without_an_area(discs: DetectionDataset) -> None:
    sample = discs.samples[0]
    thin = Sample.of(sample.path, (64, 48), [[3, 3, 3, 9], [5, 5, 20, 20]], [1, 1])
    data = DetectionDataset(categories=discs.categories, samples=(thin,))
    result = make().fit(TrainingMix.of(data), BRIEF.model_copy(update={"augment": "none"}), seed=0)
    assert np.all(np.isfinite(result.losses))
