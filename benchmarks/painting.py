"""Objects a second: boxpaint's batched painter against the plain diffusers pipeline, one object at a time.

    python -m benchmarks.painting [--objects 12] [--rounds 3]

Both paint the same crops with the same bundle at the same number of steps and guidance scale, in turn, in one process,
so that the ratio holds on a noisy machine. The pipeline guides at every step and encodes prompts and masked picture for
each object, as its documentation shows; ours also in the variant that guides at every step, so that what comes from
where can be told apart.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image
from rich.console import Console
from rich.table import Table

from generator import Config, Plan, load_spec
from generator.painting.chunk import paint_chunk
from generator.painting.crop import to_native
from generator.painting.easel import frame_for
from generator.painting.mask import native_mask
from generator.painting.painter import BackgroundJob, InpaintJob, Painter
from generator.painting.stopwatch import Stopwatch
from generator.verifying.verifier import Verifier


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    config = Config()
    plan = Plan(spec=load_spec(canvas_wh=config.canvas_wh), config=config)
    painter = Painter(config)
    always = config.model_copy(
        update={"painting": config.painting.model_copy(update={"guidance_interval": (0.0, 1.0)})}
    )
    guided = Painter(always)
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(config.models.inpaint.folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    jobs = _jobs(plan, painter, arguments.objects)

    def plain() -> None:
        for job in jobs:
            pipeline(
                job.prompt,
                image=Image.fromarray(job.image),
                mask_image=Image.fromarray(job.mask.astype(np.uint8) * 255),
                height=job.size_wh[1],
                width=job.size_wh[0],
                num_inference_steps=config.painting.steps,
                guidance_scale=config.painting.guidance_scale,
                generator=torch.Generator("cpu").manual_seed(job.seed % 2**32),
            )

    contestants: dict[str, Callable[[], object]] = {
        "plain diffusers pipeline, one at a time": plain,
        f"boxpaint, batches of {guided.batch_size}, guided at every step": lambda: guided.inpaint(jobs),
        f"boxpaint, batches of {painter.batch_size}, guidance in its interval": lambda: painter.inpaint(jobs),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    for _ in range(arguments.rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)

    table = Table(
        title=f"{len(jobs)} objects, {config.painting.steps} steps, pocket, {torch.get_num_threads()} CPU threads"
    )
    for column in ("painter", "objects a second", "against plain"):
        table.add_column(column, justify="left" if column == "painter" else "right")
    first = statistics.median(next(iter(seconds.values())))
    for name, runs in seconds.items():
        middle = statistics.median(runs)
        table.add_row(name, f"{len(jobs) / middle:.2f}", f"{first / middle:.2f}")
    console = Console(width=110)
    console.print(table)

    watch = Stopwatch()
    scenes = [plan.scene(index) for index in range(8)]
    start = time.perf_counter()
    painted = paint_chunk(scenes, painter, config, verifier=Verifier(config, plan.spec), watch=watch)
    whole = time.perf_counter() - start
    objects = sum(len(scene.objects) for scene in painted)
    console.print(f"one chunk end to end: {len(scenes)} scenes, {objects} objects in {whole:.1f} s")
    for stage, spent in watch.seconds.items():
        console.print(f"  {stage}: {spent:.1f} s, {100 * spent / whole:.0f} %")


def _jobs(plan: Plan, painter: Painter, count: int) -> list[InpaintJob]:
    """Make the first planned objects, each on a freshly painted background."""
    config = plan.config
    scene = plan.scene(0)
    (background,) = painter.paint_backgrounds(
        [BackgroundJob(prompt=scene.prompt, negative_prompt="", seed=scene.seed, size_wh=config.canvas_wh)]
    )
    jobs: list[InpaintJob] = []
    for scene in plan:
        for placement in scene.placements:
            frame = frame_for(placement, painter, config)
            nothing = np.zeros((frame.crop.height, frame.crop.width), bool)
            jobs.append(
                InpaintJob(
                    prompt=placement.prompt,
                    negative_prompt="",
                    seed=placement.seed,
                    size_wh=frame.native_wh,
                    image=to_native(background.pixels[frame.crop.slices], frame),
                    mask=native_mask(frame, nothing),
                )
            )
            if len(jobs) == count:
                return jobs
    return jobs


if __name__ == "__main__":
    main()
