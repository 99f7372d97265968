"""A calibration, and plans of classes that have it."""

from __future__ import annotations

from generator.config import Config
from generator.plan import Plan
from generator.spec import BackgroundSpec, ClassSpec, Spec
from generator.spec.calibration import ClassCalibration

CANVAS_WH = (400, 100)  # the square root of its area is 200 px

# Real platelets: people's boxes have a side of 20 px here, and 20 * 1.5 / 1.25 = 24 are asked for; 32 x 18 px.
PLATELET = ClassCalibration(
    label_scale=1.25,
    paint_scale=1.5,
    paint_spread=0.0,
    side=0.1,
    side_spread=0.2,
    aspect=16 / 9,
    aspect_spread=0.1,
    centres_x=(0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.9),
    centres_y=(0.3, 0.34, 0.38, 0.42, 0.46, 0.5, 0.54, 0.58, 0.62, 0.66, 0.7),
    ground=(0.7, 0.75, 0.8, 0.8, 0.85, 0.85, 0.9, 0.9, 0.95, 0.95, 1.0),
    real_boxes=10,
    painted_boxes=100,
)


def config_of(canvas_wh: tuple[int, int], **given: object) -> Config:
    return Config.model_validate({"canvas": {"width": canvas_wh[0], "height": canvas_wh[1]}, **given})


def plan_of(*classes: ClassSpec, num_imgs: int = 400, canvas_wh: tuple[int, int] = CANVAS_WH, **given: object) -> Plan:
    spec = Spec(backgrounds=(BackgroundSpec(prompt="a smear", num_imgs=num_imgs),), classes=classes)
    return Plan(spec=spec, config=config_of(canvas_wh, **given))
