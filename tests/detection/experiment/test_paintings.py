"""Whole experiments whose painted pictures know real ones: painters of a few steps, on pictures of discs."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from detection.datasets.read import read_detection_set
from detection.experiment.card import CARD, write_card
from detection.experiment.config import ExperimentConfig
from detection.experiment.jobs import Job, Painting
from detection.experiment.run import ExperimentListener, Outcome, run_experiment
from generator.dataset.folder import Dataset
from generator.foundation.errors import BoxpaintError
from generator.run import generate
from generator.spec.calibration import CALIBRATION
from tests.conftest import ANYTHING_GOES
from tests.detection.experiment.conftest import IN_PHOTOS, TUNED, write_experiment

pytestmark = pytest.mark.slow

BACKGROUND = "prompt,num_imgs\na blood smear background,1\n"
CLASSES = (
    "prompt,min_appear,max_appear,width_min,height_min,width_max,height_max,name\n"
    "a red cell,1,2,20%,20%,30%,30%,red\n"
    "a blue cell,1,2,20%,20%,30%,30%,blue\n"
)
TUNING = {"steps": 2, "vae_steps": 2, "clip_steps": 2, "validate_every": 2, "samples": 1, "batch_size": 2, "side": 64}
IN_TUNED_PHOTOS = {**TUNED, "scenes": "photos"}


@pytest.fixture(scope="module", autouse=True)
def labelled() -> Iterator[None]:
    """Label every painted picture, whatever the models have painted in it and accepted: processors differ in that."""

    def generate_labelled(*arguments: Any, **options: Any) -> Dataset:
        dataset = generate(*arguments, **options)
        for file in dataset.annotations.parent.glob("*.json"):
            content = json.loads(file.read_bytes())
            for number, (image, category) in enumerate(itertools.product(content["images"], (1, 2)), start=10_000):
                box = [8 * category, 16, 18, 18]
                known = {"bbox": box, "tight_bbox": box, "requested_bbox": [*box[:2], 20, 20], "area": 18 * 18}
                about = {"id": number, "image_id": image["id"], "category_id": category, "iscrowd": 0}
                content["annotations"].append({**about, **known, "segmentation": []})
            file.write_text(json.dumps(content))
        return replace(dataset, problem="")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("detection.experiment.paintings.generate", generate_labelled)
        yield


class Noted(ExperimentListener):
    """Remembers what was painted and trained; interrupts when the first training begins."""

    def __init__(self, *, stops: bool = False):
        self.paintings: list[str] = []
        self.painted = 0
        self.trained: list[str] = []
        self._stops = stops

    def on_painting(self, painting: Painting, done: int, total: int) -> None:
        assert len(self.paintings) == done < total
        self.paintings.append(painting.name)

    def on_scene(self, count: int) -> None:
        self.painted += count
        if self._stops and len(self.paintings) == 2:
            raise KeyboardInterrupt

    def on_tuning(self, step: int, steps: int, loss: float) -> None:
        self.trained.append(f"painter, step {step}/{steps}")

    def on_job_end(self, job: Job, steps: int, score: float | None) -> None:
        self.trained.append(job.name)


def run(folder: Path, discs: Path, out: Path, listener: ExperimentListener | None = None, **changes: Any) -> Outcome:
    (folder / "b.csv").write_text(BACKGROUND)
    (folder / "c.csv").write_text(CLASSES)
    how: dict[str, Any] = {
        "chunk": 2,
        "canvas": {"width": 64, "height": 64},
        "painting": {"steps": 2},
        "labels": {**ANYTHING_GOES, "max_attempts": 2, "verify": False},
        "prompts": {"enrich": "none"},
    }
    (folder / "how.yaml").write_text(yaml.safe_dump(how))
    synthetic = {
        **{"data": "painted", "background": "b.csv", "classes": "c.csv", "config": "how.yaml", "num_images": 4},
        **{"boxes": "labelled", "tuned": {**TUNING, "config": "how.yaml", "calibrate_on": 2}, "photos": {"crop": 0.8}},
    }
    settings = {
        "arms": ["real", "refined", TUNED, IN_TUNED_PHOTOS, IN_PHOTOS],
        "claim": TUNED,
        "synthetic": synthetic,
        "real_images": [{"number": 3, "subsets": 1}],
        **changes,
    }
    for name in ("real", "painted"):
        if not (folder / name).exists():
            (folder / name).symlink_to(discs / name)
    return run_experiment(ExperimentConfig.load(write_experiment(folder, **settings)), out, listener=listener)


@pytest.fixture(scope="module")
def whole(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome, Noted]:
    """All kinds of painted pictures, next to three photos; stopped while it paints, and done."""
    folder = tmp_path_factory.mktemp("own")
    with pytest.raises(KeyboardInterrupt):
        run(folder, discs, folder / "out", Noted(stops=True))
    noted = Noted()
    outcome = run(folder, discs, folder / "out", noted)
    write_card(outcome, folder / "out", command="")
    return folder, outcome, noted


def test_painters_learn_the_photos_of_their_arm_alone_and_are_shared(whole: tuple[Path, Outcome, Noted]) -> None:
    folder, outcome, noted = whole
    out = folder / "out"
    assert noted.paintings == ["photos-real3-seed0", "tuned-real3-seed0", "tuned+photos-real3-seed0"]
    (photos,) = (out / "photos").iterdir()
    (painter,) = (out / "painters").iterdir()
    seen = {sample.path.read_bytes() for sample in read_detection_set(photos).samples}
    owned = outcome.materials.subset(0, 3)
    assert seen == {sample.path.read_bytes() for sample in owned.samples}
    assert {made.tuning.folder.name for made in outcome.materials.own.values() if made.tuning} == {painter.name}
    assert len(json.loads((painter / "run.json").read_bytes())["pictures"]) == 3
    for scenario in (out / "scenarios").iterdir():
        assert "red" in (scenario / "classes.csv").read_text()
        assert (scenario / CALIBRATION).is_file()
    assert len([*(out / "scenarios").iterdir()]) == 2
    assert len([*(out / "paintings").iterdir()]) == 3


def test_arms_with_their_own_pictures_are_compared(whole: tuple[Path, Outcome, Noted]) -> None:
    folder, outcome, _ = whole
    compared = {(gain.arm.name, gain.baseline.name, gain.number) for gain in outcome.gains}
    own = ("refined+tuned", "refined+tuned+photos", "synthetic+photos")
    assert compared == {(name, "real", 3) for name in ("refined", *own)}
    assert {(gain.arm.name, gain.baseline.name) for gain in outcome.pairs} == {
        ("refined+tuned", "refined"),
        ("refined+tuned+photos", "refined+tuned"),
    }
    text = (folder / "out" / CARD).read_text()
    for words in (
        "## Painters and scenes",
        "tuned in photos, then refined on real",
        "minutes to tune",
        "samples.png",
        "](photos/",
    ):
        assert words in text


def test_a_finished_one_tunes_paints_and_trains_nothing_wherever_it_lies(
    whole: tuple[Path, Outcome, Noted], discs: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(whole[0] / "out", tmp_path / "moved")
    noted = Noted()
    outcome = run(tmp_path, discs, out, noted)
    assert (noted.painted, noted.trained) == (0, [])
    assert outcome.changes == ()


def test_a_class_that_an_arm_has_never_seen_is_said_before_anything(discs: Path, tmp_path: Path) -> None:
    with pytest.raises(BoxpaintError, match=r"the 1 pictures of subset \d hold no (red|blue)"):
        run(tmp_path, discs, tmp_path / "out", real_images=[{"number": 1, "subsets": 3}])
    assert not (tmp_path / "out" / "painters").exists()
