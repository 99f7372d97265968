"""Objects and backgrounds a second: boxpaint against the plain diffusers loop, in one run, and where the time goes.

    python -m benchmarks.throughput [--bundle pocket|sd21] [--objects 12] [--scenes 8] [--rounds 3] [--workers N]

sd21 is built at real size with random weights (benchmarks/full_size.py), so nothing is downloaded; the pocket is small
enough for two CPU cores. All contestants paint the same crops, in turn, so that ratios hold on a noisy machine. The
plain loop is that of the documentation of diffusers: one object at a time, guided at every step, prompts and masked
picture encoded for each, then encoded to PNG; ours ends with the same bytes on disk. Below: a whole run of `generate`,
stage by stage, and what share of the device's matrix products the UNet reaches. Prints tables, writes throughput.json.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.full_size import save_models
from detection.machine import describe_machine
from generator import Config, Plan, load_spec
from generator.dataset.folder import RunFolder
from generator.foundation.device import choose_device, count_threads
from generator.painting.crop import native_mask, to_native
from generator.painting.painter import BackgroundJob, InpaintJob
from generator.painting.scene_state import frame_for
from generator.painting.stable_diffusion import StableDiffusionPainter
from generator.run import generate

PLAIN_STEPS = 50
MATRIX_SIDE = {"cuda": 8192, "cpu": 1024}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", choices=("pocket", "sd21"), default="pocket")
    parser.add_argument("--objects", type=int, default=12)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, help="processes of the whole run (default: what the machine bears)")
    parser.add_argument("--compile", choices=("auto", "on", "off"), default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/throughput"))
    arguments = parser.parse_args()
    config = _config(arguments.bundle, arguments.out).model_copy(
        update={"workers": arguments.workers or "auto", "compile": arguments.compile}
    )
    device = choose_device(config.device)
    threads = torch.get_num_threads()
    plan = Plan(spec=load_spec(canvas_wh=config.canvas_wh), config=config)
    painter = StableDiffusionPainter(config, on_note=print, on_warning=print)
    jobs = _jobs(plan, painter, arguments.objects)
    plain = _plain_pipeline(config, painter)

    def painted(steps: int) -> Callable[[], object]:
        return lambda: [_png(each) for each in _plain_loop(plain, jobs, config, steps)]

    steps = config.painting.steps
    # On a CPU 50 steps would take most of the benchmark's time, to say what the steps themselves say.
    contestants: dict[str, Callable[[], object]] = {
        f"plain diffusers, {count} steps": painted(count)
        for count in ([PLAIN_STEPS, steps] if device.type == "cuda" else [steps])
    }
    contestants |= {
        f"boxpaint, {steps} steps, batches of {painter.batch_size}": lambda: [
            _png(each.pixels) for each in painter.inpaint(jobs)
        ],
    }
    seconds = _in_turn(contestants, arguments.rounds, device)
    console = Console(width=110)
    first = statistics.median(seconds[f"plain diffusers, {steps} steps"])
    table = Table(
        title=f"{len(jobs)} objects, {arguments.bundle}, {_number_format(painter)}, {device}, {threads} threads"
    )
    for column in ("painter", "objects a second", f"against plain, {steps} steps"):
        table.add_column(column)
    for name, runs in seconds.items():
        middle = statistics.median(runs)
        table.add_row(name, f"{len(jobs) / middle:.2f}", f"{first / middle:.2f}")
    console.print(table)

    meter = _measure_unet(painter, jobs, device)
    ceiling = _matrix_flops(device, painter.inpaint_model.dtype)
    share = meter["flops"] / meter["seconds"] / ceiling
    console.print(
        f"UNet: {meter['flops'] / meter['seconds'] / 1e12:.3f} TFLOP/s, {share:.0%} of the {ceiling / 1e12:.3f} of a "
        f"plain matrix product; it takes {meter['seconds'] / meter['wall']:.0%} of the painter's time"
    )
    idle = _idle_share(painter, jobs) if device.type == "cuda" else None
    if idle is not None:
        console.print(f"the GPU is idle for {idle:.0%} of the painter's time")
    run = _whole_run(plan, config, arguments)
    console.print(
        f"generate, {run['workers']} workers of {count_threads(config)} threads: {run['scenes']} scenes, "
        f"{run['objects']} objects in {run['seconds']:.1f} s with loading; {run['objects_per_s']:.2f} objects a second"
    )
    for stage, spent in run["stages"].items():
        console.print(f"  {stage}: {spent:.1f} s, {100 * spent / sum(run['stages'].values()):.0f} %")
    arguments.out.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": describe_machine(),
        "bundle": arguments.bundle,
        "dtype": _number_format(painter),
        "objects": len(jobs),
        "seconds": seconds,
        "unet": meter,
        "matrix_flops": ceiling,
        "idle_share": idle,
        "run": run,
    }
    (arguments.out / "throughput.json").write_text(json.dumps(content, indent=1) + "\n")


def _config(bundle: str, out: Path) -> Config:
    if bundle == "pocket":
        return Config(prompts={"enrich": "none"}, audit={"scenes": 0})
    folders = save_models(out / "models", device=choose_device("auto"))
    # Noise passes no check: whatever is painted is taken, so that each object is painted once.
    return Config(
        bundle="sd21",
        prompts={"enrich": "none"},
        audit={"scenes": 0},
        painting={"background_negative_prompt": "a blood cell", "object_negative_prompt": "a blood cell"},
        labels={
            "verify": False,
            "max_attempts": 1,
            "min_area": 1e-6,
            "max_edge_contact": 1.0,
            "min_visible": 0.0,
            "max_fragments": 1.0,
            "size_range": (0.0, 10.0),
            "max_sharpness": 1e6,
        },
        models={role: {"folder": str(folder), "variant": None} for role, folder in folders.items()},
    )


def _number_format(painter: StableDiffusionPainter) -> str:
    return str(painter.inpaint_model.dtype).removeprefix("torch.")


def _plain_pipeline(config: Config, painter: StableDiffusionPainter) -> StableDiffusionInpaintPipeline:
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(
        config.models.inpaint.folder, dtype=painter.inpaint_model.dtype, safety_checker=None
    ).to(painter.device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _plain_loop(
    pipeline: StableDiffusionInpaintPipeline, jobs: Sequence[InpaintJob], config: Config, steps: int
) -> Iterator[np.ndarray]:
    for job in jobs:
        (picture,) = pipeline(
            job.prompt,
            negative_prompt=job.negative_prompt or None,
            image=Image.fromarray(job.image),
            mask_image=Image.fromarray(job.mask.astype(np.uint8) * 255),
            height=job.size_wh[1],
            width=job.size_wh[0],
            num_inference_steps=steps,
            guidance_scale=config.painting.guidance_scale,
            generator=torch.Generator("cpu").manual_seed(job.seed % 2**32),
        ).images
        yield np.asarray(picture)


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _in_turn(contestants: dict[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            _finish(device)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _measure_unet(
    painter: StableDiffusionPainter, jobs: Sequence[InpaintJob], device: torch.device
) -> dict[str, float]:
    """Operations and seconds in the UNet while the jobs are painted, and the seconds of all of it."""
    unet = painter.inpaint_model.unet
    flops: dict[tuple[int, ...], int] = {}
    spent = {"flops": 0.0, "seconds": 0.0}
    begun = 0.0

    def before(_module: Any, _arguments: tuple[Any, ...]) -> None:
        nonlocal begun
        _finish(device)
        begun = time.perf_counter()

    def after(_module: Any, arguments: tuple[Any, ...], _result: Any) -> None:
        _finish(device)
        spent["seconds"] += time.perf_counter() - begun
        shape = tuple(arguments[0].shape)
        if shape not in flops:
            for hook in hooks:
                hook.remove()
            with FlopCounterMode(display=False) as counter, torch.inference_mode():
                unet(*arguments, return_dict=False)
            flops[shape] = counter.get_total_flops()
            hooks[:] = [unet.register_forward_pre_hook(before), unet.register_forward_hook(after)]
        spent["flops"] += flops[shape]

    hooks = [unet.register_forward_pre_hook(before), unet.register_forward_hook(after)]
    painter.inpaint(jobs)  # the shapes are counted here
    spent.update(flops=0.0, seconds=0.0)
    start = time.perf_counter()
    painter.inpaint(jobs)
    _finish(device)
    wall = time.perf_counter() - start
    for hook in hooks:
        hook.remove()
    return {**spent, "wall": wall}


def _matrix_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a plain product of square matrices: what the device can do at best."""
    side = MATRIX_SIDE.get(device.type, 4096)
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    best = 0.0
    for _ in range(20):
        _finish(device)
        start = time.perf_counter()
        matrix @ matrix
        _finish(device)
        best = max(best, 2 * side**3 / (time.perf_counter() - start))
    return best


def _idle_share(painter: StableDiffusionPainter, jobs: Sequence[InpaintJob]) -> float:
    """Share of the painter's time in which no kernel runs on the GPU."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        start = time.perf_counter()
        painter.inpaint(jobs)
        torch.cuda.synchronize()
        wall = time.perf_counter() - start
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profiled.events()
        if event.device_type == torch.autograd.DeviceType.CUDA
    )
    busy, reached = 0.0, float("-inf")
    for begin, end in spans:
        busy += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return 1 - busy / 1e6 / wall


def _whole_run(plan: Plan, config: Config, arguments: argparse.Namespace) -> dict[str, Any]:
    from generator.engines.local import LocalEngine

    start = time.perf_counter()
    dataset = generate(
        plan.spec, config, arguments.out / arguments.bundle, limit=arguments.scenes, overwrite=True, allow_leak=True
    )
    seconds = time.perf_counter() - start
    run = RunFolder.open(dataset.folder, plan)
    stages: dict[str, float] = {}
    for line in run.read_timings():
        for stage, spent in line["seconds"].items():
            stages[stage] = stages.get(stage, 0.0) + spent
    chunks = -(-arguments.scenes // config.chunk)
    return {
        "workers": LocalEngine(config, chunks).workers,
        "scenes": dataset.num_scenes,
        "objects": dataset.num_objects,
        "seconds": seconds,
        "objects_per_s": dataset.num_objects / seconds,
        "stages": dict(sorted(stages.items(), key=lambda item: -item[1])),
    }


def _jobs(plan: Plan, painter: StableDiffusionPainter, count: int) -> list[InpaintJob]:
    """Make the first planned objects, each on a freshly painted background."""
    config = plan.config
    scene = plan.scene(0)
    (background,) = painter.paint_backgrounds(
        [BackgroundJob(prompt=scene.prompt, negative_prompt="", seed=scene.seed, size_wh=config.canvas_wh)]
    )
    jobs: list[InpaintJob] = []
    for scene in plan:
        for placement in scene.placements:
            frame = frame_for(placement.box, painter)
            nothing = np.zeros((frame.crop.height, frame.crop.width), bool)
            jobs.append(
                InpaintJob(
                    prompt=placement.prompt,
                    negative_prompt=placement.negative_prompt,
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
