"""Objects and backgrounds a second: boxpaint against the plain diffusers loop, in one run, and where the time goes.

    python -m benchmarks.throughput [--bundle pocket|sd21] [--objects 12] [--scenes 8] [--rounds 3] [--workers N]

sd21 is built at real size with random weights, so nothing is downloaded; the pocket is small
enough for two CPU cores. All contestants paint the same crops, in turn, so that ratios hold on a noisy machine. The
plain loop is that of the documentation of diffusers: one object at a time, guided at every step, prompts and masked
picture encoded for each, then encoded to PNG; ours ends with the same bytes on disk. Below: a whole run of `generate`,
stage by stage, and what share of the device's matrix products the UNet reaches. Prints tables, writes throughput.json.
"""

from __future__ import annotations

import io
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from benchmarks import Figures, Results, make_parser, root_spec, timed
from benchmarks.leak import object_job
from detection.pages import describe_machine
from generator import Config, Plan
from generator.bundles import load_card
from generator.dataset.folder import RunFolder
from generator.foundation.device import choose_device
from generator.painting.hardware import count_threads
from generator.painting.painter import BackgroundJob, InpaintJob
from generator.painting.scene_state import frame_for
from generator.painting.stable_diffusion import StableDiffusionPainter
from generator.run import generate

PLAIN_STEPS = 50
MATRIX_SIDE = {"cuda": 8192, "cpu": 1024}
# Stable Diffusion 2.1 and its inpainting twin.
UNET = {
    "sample_size": 96,
    "block_out_channels": (320, 640, 1280, 1280),
    "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "sample_size": 768,
}
TEXT = {
    "vocab_size": 49408,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "projection_dim": 512,
    "hidden_act": "gelu",
}
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}


def main() -> None:
    """Measure, print and write."""
    parser = make_parser(__doc__)
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
    plan = Plan(spec=root_spec(config.canvas_wh), config=config)
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
    first = statistics.median(seconds[f"plain diffusers, {steps} steps"])
    title = f"{len(jobs)} objects, {arguments.bundle}, {_number_format(painter)}, {device}, {threads} threads"
    with Results(title, "painter", "objects a second", f"against plain, {steps} steps") as table:
        for name, runs in seconds.items():
            middle = statistics.median(runs)
            table.add(name, f"{len(jobs) / middle:.2f}", f"{first / middle:.2f}")
    meter = _measure_unet(painter, jobs, device)
    ceiling = _matrix_flops(device, painter.inpaint_model.dtype)
    share = meter["flops"] / meter["seconds"] / ceiling
    print(
        f"UNet: {meter['flops'] / meter['seconds'] / 1e12:.3f} TFLOP/s, {share:.0%} of the {ceiling / 1e12:.3f} of a "
        f"plain matrix product; it takes {meter['seconds'] / meter['wall']:.0%} of the painter's time"
    )
    idle = _idle_share(painter, jobs) if device.type == "cuda" else None
    if idle is not None:
        print(f"the GPU is idle for {idle:.0%} of the painter's time")
    run = _whole_run(plan, arguments.out / arguments.bundle, arguments.scenes)
    title = (
        f"generate, {run['workers']} workers of {count_threads(config)} threads: {run['scenes']} scenes, "
        f"{run['objects']} objects in {run['seconds']:.1f} s with loading; {run['objects_per_s']:.2f} objects a second"
    )
    with Results(title, "stage", "seconds", "share") as table:
        for stage, spent in run["stages"].items():
            table.add(stage, f"{spent:.1f}", f"{spent / sum(run['stages'].values()):.0%}")
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


def save_models(folder: Path, *, device: torch.device) -> dict[str, Path]:
    """Save `background` (768 px, v-prediction) and `inpaint` (512 px, 9 channels) in half precision, unless they are
    there; returns their folders. 5 GB.
    """
    folders = {}
    for role, channels, prediction, side in (
        ("background", 4, "v_prediction", 96),
        ("inpaint", 9, "epsilon", 64),
    ):
        folders[role] = target = folder / role
        if (target / "unet" / "config.json").is_file() and (target / "complete").is_file():
            continue
        torch.manual_seed(0)
        with device:
            parts = {
                "unet": UNet2DConditionModel(**{**UNET, "in_channels": channels, "sample_size": side}),
                "vae": AutoencoderKL(**VAE),
                "text_encoder": CLIPTextModel(CLIPTextConfig(**TEXT)),
            }
        for name, part in parts.items():
            part.half().save_pretrained(target / name)
        # Words of the pocket: any will do, and none is downloaded.
        tokenizer = CLIPTokenizer.from_pretrained(Path(load_card("pocket").models["inpaint"]["folder"]) / "tokenizer")
        tokenizer.model_max_length = 77
        tokenizer.save_pretrained(target / "tokenizer")
        DDIMScheduler(**SCHEDULE, prediction_type=prediction, set_alpha_to_one=False, steps_offset=1).save_pretrained(
            target / "scheduler"
        )
        (target / "complete").touch()
    return folders


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
    for run in contestants.values():
        run()
    turns = [{name: _seconds(run, device) for name, run in contestants.items()} for _ in range(rounds)]
    return {name: [turn[name] for turn in turns] for name in contestants}


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    _finish(device)
    start = time.perf_counter()
    run()
    _finish(device)
    return time.perf_counter() - start


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _measure_unet(
    painter: StableDiffusionPainter, jobs: Sequence[InpaintJob], device: torch.device
) -> dict[str, float]:
    """Operations and seconds in the UNet while the jobs are painted, and the seconds of all of it."""
    unet = painter.inpaint_model.unet
    with FlopCounterMode(display=False) as counter:
        painter.inpaint(jobs)
    flops = sum(counter.get_flop_counts()[type(unet).__name__].values())
    marks: list[float] = []

    def mark(*_: object) -> None:
        _finish(device)
        marks.append(time.perf_counter())

    hooks = [unet.register_forward_pre_hook(mark), unet.register_forward_hook(mark)]
    wall = _seconds(lambda: painter.inpaint(jobs), device)
    for hook in hooks:
        hook.remove()
    return {"flops": flops, "seconds": sum(marks[1::2]) - sum(marks[::2]), "wall": wall}


def _matrix_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a plain product of square matrices: what the device can do at best."""
    side = MATRIX_SIDE.get(device.type, 4096)
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    return 2 * side**3 / min(_seconds(lambda: matrix @ matrix, device) for _ in range(20))


def _idle_share(painter: StableDiffusionPainter, jobs: Sequence[InpaintJob]) -> float:
    """Share of the painter's time in which no kernel runs on the GPU."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        wall = _seconds(lambda: painter.inpaint(jobs), torch.device("cuda"))
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


def _whole_run(plan: Plan, out: Path, scenes: int) -> dict[str, Any]:
    from generator.engines.local import LocalEngine

    def run() -> Figures:
        dataset = generate(plan.spec, plan.config, out, limit=scenes, overwrite=True, allow_leak=True)
        return {"scenes": dataset.num_scenes, "objects": dataset.num_objects}

    found = timed(run)
    stages = Counter[str]()
    for line in RunFolder.open(out, plan).read_timings():
        stages.update(line["seconds"])
    return {
        "workers": LocalEngine(plan.config, -(-scenes // plan.config.chunk)).workers,
        "scenes": found["scenes"],
        "objects": found["objects"],
        "seconds": found["s"],
        "objects_per_s": found["objects"] / found["s"],
        "stages": dict(stages.most_common()),
    }


def _jobs(plan: Plan, painter: StableDiffusionPainter, count: int) -> list[InpaintJob]:
    """Make the first planned objects, each on a freshly painted background."""
    config = plan.config
    scene = plan.scene(0)
    (background,) = painter.paint_backgrounds(
        [BackgroundJob(prompt=scene.prompt, negative_prompt="", seed=scene.seed, size_wh=config.canvas_wh)]
    )
    placements = (placement for scene in plan for placement in scene.placements)
    return [
        object_job(each, frame_for(each.box, painter), background.pixels, seed=each.seed)
        for each in islice(placements, count)
    ]


if __name__ == "__main__":
    main()
