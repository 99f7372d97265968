"""A data set whose seams a probe finds gets no annotations, unless somebody wants them all the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from generator.audit.files import AUDIT, AUDIT_PICTURE, Auc, Audit, Finding, read_audit
from generator.audit.leak import audit_folder, write_audit
from generator.config import Config
from generator.dataset.folder import RunFolder
from generator.foundation.errors import DatasetError, LeakError
from generator.foundation.geometry import Box
from generator.plan import Placement, Plan
from generator.prompts.book import PromptBook
from generator.prompts.make import make_book
from generator.run import Listener, generate
from generator.spec import BackgroundSpec, ClassSpec, Length, Spec
from generator.types import PaintedObject, Scene

pytestmark = pytest.mark.slow

CANVAS = {"width": 160, "height": 120}
SCENES = 30
SIDE = Length(value=40, is_share=False)
SPEC = Spec(
    backgrounds=(BackgroundSpec(prompt="a stained blood smear", num_imgs=SCENES),),
    classes=(
        ClassSpec(prompt="a platelet", name="platelet", min_appear=1, max_appear=1, sizes=(SIDE, SIDE, SIDE, SIDE)),
    ),
)


class Heard(Listener):
    """Keeps what was warned of and noted."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.notes: list[str] = []

    def on_warning(self, text: str) -> None:
        self.warnings.append(text)

    def on_note(self, text: str) -> None:
        self.notes.append(text)


def config(**audit: object) -> Config:
    return Config.model_validate({"canvas": CANVAS, "prompts": {"enrich": "none"}, "audit": audit})


def book(settings: Config) -> PromptBook:
    return make_book(SPEC, settings)


def finished_run(folder: Path, settings: Config, *, leaks: bool) -> None:
    """Lay down a run that is finished: in each picture one decoy, bright as a pasted rectangle where it `leaks`."""
    run = RunFolder.open(folder, Plan(spec=SPEC, config=settings)).with_book(book(settings))
    run.begin({})
    for index in range(SCENES):
        rng = np.random.default_rng(index)
        image = np.clip(rng.normal(150, 12, (CANVAS["height"], CANVAS["width"], 3)), 0, 255).astype(np.uint8)
        box = Box.from_xywh(int(rng.integers(16, 105)), int(rng.integers(16, 65)), 40, 40)
        if leaks:
            image[box.slices] = np.clip(image[box.slices].astype(int) + 25, 0, 255)
        wish = Placement(
            object_index=1,
            category="platelet",
            prompt="a stained blood smear",
            negative_prompt="",
            box=box,
            seed=index,
            blender="feather",
            is_decoy=True,
        )
        decoy = PaintedObject(placement=wish, crop=box, region=box, attempts=(), label=None)
        plan = run.plan.scene(index)
        scene = Scene(plan=plan, image=image, background_attempts=(), background_taken=0, objects=(), decoys=(decoy,))
        run.write_scene(scene, batch_size=1)


@pytest.mark.parametrize("leaks", [True, False], ids=["pasted", "untouched"])
def test_annotations_are_written_only_when_no_probe_finds_a_trace(tmp_path: Path, leaks: bool) -> None:
    settings = config()
    finished_run(tmp_path / "out", settings, leaks=leaks)
    labels = tmp_path / "out" / "annotations" / "instances_train.json"
    if not leaks:
        heard = Heard()
        dataset = generate(SPEC, settings, tmp_path / "out", listener=heard)
        assert dataset.complete
        assert labels.is_file()
        assert any("finds them with an AUC of" in text for text in heard.notes)
        return
    with pytest.raises(LeakError, match=r"AUC of 1\.00 .* above audit\.max_leak_auc \(0\.7\).*--allow-leak"):
        generate(SPEC, settings, tmp_path / "out")
    assert not labels.exists()
    # What was painted stays, and the report shows why.
    assert len(list((tmp_path / "out" / "images").iterdir())) == SCENES
    assert "Leak audit" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / AUDIT_PICTURE).is_file()

    heard = Heard()
    dataset = generate(SPEC, settings, tmp_path / "out", allow_leak=True, listener=heard)
    assert dataset.complete
    assert labels.is_file()
    assert any("a probe tells painted from untouched places" in text for text in heard.warnings)
    with pytest.raises(LeakError):
        generate(SPEC, settings, tmp_path / "out")
    assert not labels.exists(), "what was let through once is taken back"


def test_the_limit_is_no_part_of_the_run(tmp_path: Path) -> None:
    finished_run(tmp_path / "out", config(), leaks=True)
    dataset = generate(SPEC, config(max_leak_auc=1.0), tmp_path / "out")
    assert dataset.complete
    found = read_audit(tmp_path / "out")
    assert found is not None
    assert found.leak is not None
    assert found.leak.value > 0.95
    assert generate(SPEC, config(scenes=0), tmp_path / "out").complete, "without an audit nothing is asked"


@pytest.mark.parametrize(("low", "kind", "refused"), [
    (0.75, "decoys", True), (0.65, "decoys", False), (0.85, "objects", False), (0.95, "objects", True),
])  # fmt: skip
def test_objects_without_decoys_may_be_found_as_easily_as_real_ones(
    tmp_path: Path, low: float, kind: str, refused: bool
) -> None:
    settings = config()
    finished_run(tmp_path / "out", settings, leaks=False)
    generate(SPEC, settings, tmp_path / "out")
    auc = Auc(value=low + 0.02, low=low, high=low + 0.04)
    found = {"decoys": None, "objects": None, kind: Finding(places=60, pictures=30, auc={"features": auc})}
    audit = Audit(pictures=SCENES, seed=0, found=found)
    (tmp_path / "out" / AUDIT).write_text(audit.model_dump_json())
    if refused:
        with pytest.raises(LeakError, match="around objects" if kind == "objects" else "max_leak_auc"):
            generate(SPEC, settings, tmp_path / "out")
    else:
        assert generate(SPEC, settings, tmp_path / "out").complete


def test_an_audit_that_could_judge_nothing_says_so(tmp_path: Path) -> None:
    settings = config()
    finished_run(tmp_path / "out", settings, leaks=False)
    nothing = Audit(
        pictures=SCENES, seed=0, found={"decoys": None, "objects": None}, compared={"decoys": 0, "objects": 2}
    )
    (tmp_path / "out" / AUDIT).write_text(nothing.model_dump_json())
    heard = Heard()
    assert generate(SPEC, settings, tmp_path / "out", listener=heard).complete
    (said,) = heard.notes
    assert "was not judged; decoys: 0 could be compared with an untouched place, 20 in 2 pictures" in said
    assert said in (tmp_path / "out" / "README.md").read_text()


def test_an_audit_of_some_scenes_and_again_is_the_same(tmp_path: Path) -> None:
    finished_run(tmp_path / "out", config(), leaks=True)
    first, second = (audit_folder(tmp_path / "out", scenes=25, with_network=False) for _ in range(2))
    assert first.audit == second.audit
    write_audit(tmp_path / "out", first)
    assert read_audit(tmp_path / "out") == first.audit
    assert first.audit.pictures == 25
    assert first.audit.found["objects"] is None, "there are none"
    assert first.audit.shortage("objects").startswith("0 could be compared with an untouched place, 20 in ")
    write_audit(tmp_path / "out", audit_folder(tmp_path / "out", with_network=False))
    assert (tmp_path / "out" / AUDIT_PICTURE).is_file()
    write_audit(tmp_path / "out", audit_folder(tmp_path / "out", scenes=3, with_network=False))
    assert not (tmp_path / "out" / AUDIT_PICTURE).exists(), "no picture of another audit stays"


def audit_of(pictures: int, *judged: tuple[str, str]) -> Audit:
    auc = Auc(value=0.6, low=0.5, high=0.7)
    found: dict[str, Finding | None] = {"decoys": None, "objects": None}
    for kind, name in judged:
        before = found[kind]
        found[kind] = Finding(places=40, pictures=20, auc={**(before.auc if before else {}), name: auc})
    return Audit(pictures=pictures, seed=0, found=found)


DECOYS, NETWORK, OBJECTS = ("decoys", "features"), ("decoys", "network"), ("objects", "features")


@pytest.mark.parametrize(("new", "old", "poorer"), [
    (audit_of(8), audit_of(8), False),
    (audit_of(8), audit_of(8, DECOYS), True),
    (audit_of(24), audit_of(8, OBJECTS), True),
    (audit_of(8, DECOYS), audit_of(8), False),
    (audit_of(24, DECOYS), audit_of(24, DECOYS), False),
    (audit_of(12, DECOYS), audit_of(24, DECOYS), True),
    (audit_of(24, DECOYS), audit_of(24, DECOYS, NETWORK), True),
    (audit_of(24, OBJECTS), audit_of(24, DECOYS), False),
    (audit_of(99, DECOYS), audit_of(24, DECOYS, NETWORK), False),
    (audit_of(12, DECOYS, NETWORK), audit_of(24, DECOYS), False),
])  # fmt: skip
def test_an_audit_is_poorer_than_one_that_judged_all_it_did_and_more(new: Audit, old: Audit, poorer: bool) -> None:
    assert new.is_poorer_than(old) is poorer


def test_a_damaged_audit_is_said_to_be_one(tmp_path: Path) -> None:
    assert read_audit(tmp_path) is None
    (tmp_path / AUDIT).write_text(json.dumps({"pictures": -1}))
    with pytest.raises(DatasetError, match=r"audit\.json"):
        read_audit(tmp_path)
