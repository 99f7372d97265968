"""What does each part add to a detector? The blood smears' experiment, on data sets painted without one part each.

    python -m benchmarks.contributions [--scenes 150] [--out runs/contributions] [--only "no decoys" ...]

All sets are painted from the same plan's seeds and the same prompt book, and trained on in the same way, with equally
many pictures. Columns: mAP 0.50:0.95 on the real test photos of a detector that saw painted pictures only, and of one
that was refined on --real-images photos; mean and standard deviation over seeds and subsets. Stopped, the same command
goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks import ROOT, Results, make_parser
from boxpaint.cli.experiment_progress import ExperimentProgress
from detection.datasets.boxes import BoxMode
from detection.experiment.config import ExperimentConfig, RealImages
from detection.experiment.results import Cell
from detection.experiment.run import run_experiment
from generator.config import Config
from generator.run import generate
from generator.spec import Spec, load_spec
from generator.spec.calibration import DECILES, ClassCalibration

EXPERIMENT = ROOT / "configs/experiments/bccd.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A data set without one part: sections of the config that say so, and whether real boxes were measured."""

    sections: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    calibrated: bool = True
    on_ground: bool = True
    """Whether objects lie on such ground as real ones do, or on any."""
    boxes: BoxMode = "labelled"
    painted_as: str | None = None
    """Another variant's pictures, read with other labels."""


EVEN = tuple(np.linspace(0, 1, DECILES).tolist())
SEAMS = {"painting": {"blend": "feather", "harmonize_strength": 0, "sensor_noise": 0}}
DECOYS = {"placement": {"decoys": 0}}
VERIFIER = {"labels": {"verify": False}}
WHOLE = "all of it"
VARIANTS = {
    WHOLE: Variant(),
    "tight boxes as labels": Variant(boxes="tight", painted_as=WHOLE),
    "not calibrated": Variant(calibrated=False),
    "on any ground": Variant(on_ground=False),
    "no decoys": Variant(sections=DECOYS),
    "seams as they are": Variant(sections=SEAMS),
    "nobody verifies": Variant(sections=VERIFIER),
    "none of it": Variant(sections={**SEAMS, **DECOYS, **VERIFIER}, calibrated=False),
}


def paint(variant: Variant, experiment: ExperimentConfig, out: Path, scenes: int, book: Path | None) -> Path:
    """Paint the variant's data set, or what is missing of it, and return its folder."""
    settings = experiment.synthetic
    assert settings.background is not None
    assert settings.classes is not None
    sections = Config.load(settings.config).model_dump(mode="json")
    config = Config.load(
        settings.config, **{name: {**sections[name], **keys} for name, keys in variant.sections.items()}
    )
    spec = load_spec(settings.background, settings.classes, canvas_wh=config.canvas_wh, scene=config.card.scene)
    if not variant.calibrated:
        spec = _recalibrated(spec, lambda _: None)
    elif not variant.on_ground:
        spec = _recalibrated(spec, lambda found: found.model_copy(update={"ground": EVEN}))
    return generate(spec, config, out, prompts=book, limit=scenes, allow_leak=True).folder


def _recalibrated(spec: Spec, change: Callable[[ClassCalibration], ClassCalibration | None]) -> Spec:
    return replace(
        spec,
        classes=tuple(
            replace(row, calibration=change(row.calibration)) if row.calibration is not None else row
            for row in spec.classes
        ),
    )


def cells(variant: Variant, painted: Path, experiment: ExperimentConfig, out: Path, scenes: int) -> list[Cell]:
    """Train on painted pictures alone, and refined; trainings on real ones alone are shared by all variants."""
    settings = experiment.synthetic.model_copy(update={"data": painted, "num_images": scenes, "boxes": variant.boxes})
    with ExperimentProgress(Console(markup=False, highlight=False)) as progress:
        outcome = run_experiment(experiment.model_copy(update={"synthetic": settings}), out, listener=progress)
    return list(outcome.cells)


def main() -> None:
    """Paint, train and print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--scenes", type=int, default=150)
    parser.add_argument("--real-images", type=int, default=5)
    parser.add_argument("--subsets", type=int, default=3)
    parser.add_argument("--real", type=Path, help="instead of the experiment's real photos")
    parser.add_argument("--out", type=Path, default=Path("runs/contributions"))
    parser.add_argument("--only", nargs="+", choices=tuple(VARIANTS), default=list(VARIANTS))
    arguments = parser.parse_args()
    experiment = ExperimentConfig.load(EXPERIMENT, real=arguments.real).model_copy(
        update={
            "arms": ("real", "synthetic", "refined"),
            "real_images": (RealImages(number=arguments.real_images, subsets=arguments.subsets),),
            "synthetic_seeds": arguments.subsets,
            "value_curve": None,
        }
    )
    book = None
    title = f"mAP, points, {arguments.scenes} painted scenes each"
    with Results(title, "data set", "painted alone", f"refined on {arguments.real_images} real") as table:
        for name, variant in VARIANTS.items():
            if name not in arguments.only:
                continue
            source = variant.painted_as or name
            folder = arguments.out / source.replace(" ", "_")
            paint(VARIANTS[source], experiment, folder, arguments.scenes, book)
            book = book or folder / "prompts"
            trained = cells(variant, folder, experiment, arguments.out / "trained", arguments.scenes)
            ap = {cell.arm: 100 * cell.ap for cell in trained}
            table.add(name, *(f"{ap[arm].mean():.1f} ± {ap[arm].std(ddof=1):.1f}" for arm in ("synthetic", "refined")))


if __name__ == "__main__":
    main()
