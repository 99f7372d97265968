"""A million scenes: seconds, memory and bytes of everything around painting, from the plan to the report.

    python -m benchmarks.scale [--scenes 1000 10000 100000 1000000] [--without STEP ...] [--folder DIR]
        [--out scale.json]

Each step runs in a process of its own, so that its peak memory (ru_maxrss) is its own; "imports" is what a process
takes that does nothing. Seconds are those of the wall, and in brackets those of the CPU. Nothing is painted: the run
folder of N finished scenes holds N records of 240 planned scenes of the default scenario, over and over, each with its
own number, an ellipse in each box as what was painted and five verdicts an object (4 kB, as real ones); and N pictures
that are hard links to an empty one of the canvas's size. They are written without fsync. --folder chooses the file
system that is measured; 5 kB and two files a scene are needed there, and removed in the end.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import Figures, Results, in_own_process, make_parser, root_spec, timed

if TYPE_CHECKING:
    from generator.dataset.folder import RunFolder
    from generator.dataset.record import SceneRecord
    from generator.plan import Plan

PAINTER = {"device": "none: benchmarks.scale"}
TEMPLATES = 240
CHECKS = ("picture", "changed_area", "edge_contact", "fragments", "sharpness")
# Of one file ext4 takes 65,000 hard links.
LINKS = 60_000
LOOK_UPS, PER_SUBFOLDER = 2_000, 1_000


def main() -> None:
    """Run the steps for each number of scenes, print a table of each, write JSON."""
    parser = make_parser(__doc__)
    parser.add_argument("--scenes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--out", type=Path, default=Path("scale.json"))
    parser.add_argument("--without", nargs="+", default=[], choices=STEPS, help="steps to leave out")
    arguments = parser.parse_args()
    results: dict[int, dict[str, Figures]] = {}
    for scenes in arguments.scenes:
        found = results[scenes] = {}
        columns = ("step", "seconds", "CPU seconds", "peak memory, MB", "and")
        with (
            Results(f"{scenes:,} scenes", *columns) as table,
            tempfile.TemporaryDirectory(dir=arguments.folder) as name,
        ):
            for step in STEPS:
                if step in arguments.without:
                    continue
                figures = found[step] = in_own_process(run_step, step, scenes, Path(name))
                del figures["child_peak_mb"]
                fixed = (f"{figures[key]:.{digits}f}" for key, digits in (("s", 2), ("cpu_s", 2), ("peak_mb", 0)))
                others = (f"{key} {figures[key]:,.4g}" for key in figures if key not in ("s", "cpu_s", "peak_mb"))
                table.add(step, *fixed, ", ".join(others))
        arguments.out.write_text(json.dumps(results, indent=1) + "\n")


def run_step(step: str, scenes: int, folder: Path) -> Figures:
    """One of STEPS."""
    return STEPS[step](scenes, folder)


def plan_of(scenes: int) -> Plan:
    """Plan of the default scenario with so many scenes."""
    from generator.config import Config
    from generator.plan import Plan

    config = Config()
    return Plan(spec=root_spec(config.canvas_wh, scenes), config=config)


def open_run(scenes: int, folder: Path) -> RunFolder:
    """The run folder of so many scenes."""
    from generator.dataset.folder import RunFolder

    return RunFolder.open(folder / "run", plan_of(scenes))


def _imports(_scenes: int, _folder: Path) -> Figures:
    plan_of(1)
    importlib.import_module("generator.run")
    return {"s": 0.0, "cpu_s": 0.0}


def _make_plan(scenes: int, _folder: Path) -> Figures:
    plan_of(1).scene(0)  # modules are loaded
    return timed(lambda: _none(plan_of(scenes).scene(scenes - 1)))


def _random_scenes(scenes: int, _folder: Path) -> Figures:
    plan = plan_of(scenes)
    draw = random.Random(0)
    indices = [draw.randrange(scenes) for _ in range(LOOK_UPS)]
    plan.scene(0)
    found = timed(lambda: _none([plan.scene(index) for index in indices]))
    return {**found, "ms a scene": found["s"] / LOOK_UPS * 1000}


def _write_plan(scenes: int, folder: Path) -> Figures:
    from generator.plan import write_plan

    path, plan = folder / "whole.jsonl", plan_of(scenes)
    return {**timed(lambda: _none(write_plan(plan, path))), "MB": path.stat().st_size / 1e6}


def _begin(scenes: int, folder: Path) -> Figures:
    from generator.dataset.folder import RunFolder

    def begin() -> None:
        RunFolder.open(folder / "run", plan_of(scenes)).begin(PAINTER)

    return {**timed(begin), "MB of plan.jsonl": (folder / "run" / "plan.jsonl").stat().st_size / 1e6}


def _make_folder(scenes: int, folder: Path) -> Figures:
    from PIL import Image

    plan, run, whole = plan_of(scenes), folder / "run", folder / "whole.jsonl"
    if whole.exists():
        whole.replace(run / "plan.jsonl")
    else:  # only its end is read
        with (run / "plan.jsonl").open("a") as stream:
            stream.write(json.dumps(plan.scene(scenes - 1).to_json(), separators=(",", ":")) + "\n")
    templates = [_record(plan, index).model_dump_json(indent=1) for index in range(min(TEMPLATES, scenes))]
    picture = folder / "picture.png"
    Image.new("RGB", plan.config.canvas_wh, "#b4a0a8").save(picture)

    def fill() -> Figures:
        size = 0
        for index in range(scenes):
            name = f"{index:06d}"
            old = f"{index % TEMPLATES:06d}.png"
            text = templates[index % TEMPLATES].replace(old, f"{name}.png", 1)
            text = text.replace(f'"index": {index % TEMPLATES},', f'"index": {index},', 1)
            size += (run / "records" / f"{name}.json").write_text(text)
            if index % LINKS == 0:
                source = run / "images" / f"{name}.png"
                shutil.copyfile(picture, source)
            else:
                os.link(source, run / "images" / f"{name}.png")
        return {"kB a record": size / scenes / 1e3}

    return timed(fill)


def _record(plan: Plan, index: int) -> SceneRecord:
    import cv2
    import numpy as np

    from generator.dataset.record import record_of
    from generator.types import Attempt, PaintedObject, Scene, Verdict, label_from_mask

    scene = plan.scene(index)
    width, height = plan.config.canvas_wh
    verdicts = tuple(Verdict(check=check, passed=True, score=0.5) for check in CHECKS)
    objects = []
    for item in scene.placements:
        mask = np.zeros((height, width), np.uint8)
        x, y, box_w, box_h = item.box.xywh
        cv2.ellipse(mask, (x + box_w // 2, y + box_h // 2), (box_w // 2 - 1, box_h // 2 - 1), 20, 0, 360, 1, -1)
        attempts = (Attempt(number=0, seed=item.seed, verdicts=verdicts),)
        label = label_from_mask(mask.astype(bool))
        objects.append(
            PaintedObject(placement=item, crop=item.box, region=item.box, attempts=attempts, label=label, dropped="")
        )
    image = np.zeros((height, width, 3), np.uint8)
    painted = Scene(plan=scene, image=image, background_attempts=(), background_taken=0, objects=tuple(objects))
    return record_of(painted, file_name=f"{index:06d}.png", sha256="0" * 64, batch_size=2)


def _open(scenes: int, folder: Path) -> Figures:
    from generator.dataset.folder import RunFolder

    plan = plan_of(scenes)
    return timed(lambda: {"finished": len(RunFolder.open(folder / "run", plan).finished)})


def _resume(scenes: int, folder: Path) -> Figures:
    run = open_run(scenes, folder)
    return timed(lambda: _none(run.begin(PAINTER)))


def _export(scenes: int, folder: Path) -> Figures:
    from generator.dataset.coco import export_coco

    run = open_run(scenes, folder)

    def export() -> Figures:
        return {"MB": sum(path.stat().st_size for path in export_coco(run.records(), run.plan, run.folder)) / 1e6}

    return timed(export)


def _report(scenes: int, folder: Path) -> Figures:
    from generator.report import write_report

    run = open_run(scenes, folder)
    return timed(lambda: {"objects": write_report(run).objects})


def _files(scenes: int, folder: Path, per_folder: int) -> Figures:
    """Create empty files, look some up, and list all of them."""
    base = folder / f"files_{per_folder}"
    names = [base / f"{index // per_folder:03d}" / f"{index:06d}.png" for index in range(scenes)]

    def create() -> None:
        for name in names:
            if not name.parent.exists():
                name.parent.mkdir(parents=True)
            name.touch()

    def list_all() -> None:
        for each in os.scandir(base):
            for _ in os.scandir(each):
                pass

    draw = random.Random(0)
    created = timed(create)
    looked_up = timed(lambda: _none([draw.choice(names).stat() for _ in range(LOOK_UPS)]))
    listed = timed(list_all)
    shutil.rmtree(base)
    return {**created, "us a look-up": looked_up["s"] / LOOK_UPS * 1e6, "s to list": listed["s"]}


def _none(_: object) -> None:
    return None


STEPS: dict[str, Callable[[int, Path], Figures]] = {
    "imports": _imports,
    "make the plan": _make_plan,
    "plan scenes at random": _random_scenes,
    "write the whole plan": _write_plan,
    "begin a run": _begin,
    "(make the run folder)": _make_folder,
    "open it for a resume": _open,
    "begin again": _resume,
    "export COCO": _export,
    "report": _report,
    "files in one folder": lambda scenes, folder: _files(scenes, folder, scenes),
    f"files, {PER_SUBFOLDER} a folder": lambda scenes, folder: _files(scenes, folder, PER_SUBFOLDER),
}


if __name__ == "__main__":
    main()
