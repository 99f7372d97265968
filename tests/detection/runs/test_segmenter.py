"""What a training of a segmenter adds to a detector's run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from detection.datasets.sources import Source, match_sources, read_source
from detection.detectors.settings import FitSettings, ModelOptions
from detection.runs.run import RunPlan
from detection.runs.segmenter import SegmenterResult, train_segmenter
from generator.foundation.errors import DatasetError
from generator.foundation.history import Listener
from tests.detection.discs import disc_splits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("discs")
    disc_splits(folder, {"train": 4, "val": 2}, seed=0)
    return folder


class StopBefore(Listener):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, step: int, loss: float) -> None:
        if step == self.step:
            raise KeyboardInterrupt


def plan_of(source: Source, *, seed: int = 0, validation: Source | None = None) -> RunPlan:
    return RunPlan(
        detector="mask_rcnn_small",
        options=ModelOptions(input_wh=(96, 64)),
        settings=FitSettings(steps=3, batch_size=2, warmup_steps=0, checkpoint_every=1),
        seed=seed,
        sources=(source,),
        shares=(1.0,),
        validation=validation,
    )


def run(plan: RunPlan, out: Path, **options: Any) -> SegmenterResult:
    return train_segmenter(plan, out, device=torch.device("cpu"), command=["x"], **options)


def train(
    discs: Path, out: Path, *, scored: bool = True, validation: str = "", seed: int = 0, **options: Any
) -> SegmenterResult:
    scored_on = read_source(validation or str(discs), "validation") if scored else None
    return run(plan_of(read_source(str(discs), "trained"), seed=seed, validation=scored_on), out, **options)


def test_stopped_and_gone_on_with_it_ends_with_the_same_scores(discs: Path, tmp_path: Path) -> None:
    whole = train(discs, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(discs, tmp_path / "parts", listener=StopBefore(3))
    assert not (tmp_path / "parts" / "mask_scores.json").exists()
    parts = train(discs, tmp_path / "parts")
    assert parts.masks == whole.masks
    assert whole.masks is not None and whole.masks["instances"]["pictures"] == 2
    names = {"loss.png", "overlays.png", "mask_scores.json"}
    for name in names:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_scores_of_another_training_do_not_stay(discs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(discs, out)
    first = json.loads((out / "mask_scores.json").read_text())
    train(discs, out, seed=1, overwrite=True)
    second = json.loads((out / "mask_scores.json").read_text())
    assert first["model"] != second["model"]
    (out / "mask_scores.json").write_text("{")
    assert train(discs, out, seed=1).masks == second["masks"]
    assert json.loads((out / "mask_scores.json").read_text()) == second
    result = train(discs, out, scored=False, overwrite=True)
    assert result.masks is None
    assert not (out / "mask_scores.json").exists()
    assert not (out / "overlays.png").exists()


def test_other_validation_pictures_are_scored_anew(discs: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "run", tmp_path / "other"
    disc_splits(other, {"val": 5}, seed=9)
    first = train(discs, out)
    second = train(discs, out, validation=str(other), overwrite=True)
    assert first.masks is not None and first.masks["instances"]["pictures"] == 2
    assert second.masks is not None and second.masks["instances"]["pictures"] == 5


def test_only_the_chosen_categories_need_masks(discs: Path, tmp_path: Path) -> None:
    source = without_blue_masks(read_source(str(discs), "trained"))
    with pytest.raises(DatasetError, match="2 of 5 objects have no segmentation"):
        run(plan_of(source), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (red,) = match_sources((source,), ("red",), {})
    assert run(plan_of(red), tmp_path / "run").run.steps == 3


def without_blue_masks(source: Source) -> Source:
    samples = [
        replace(
            sample,
            segmentations=tuple(
                mask if label == 1 else None for mask, label in zip(sample.segmentations, sample.labels, strict=True)
            ),
        )
        for sample in source.data.samples
    ]
    return replace(source, data=replace(source.data, samples=tuple(samples)))
