"""A NumPy facade over the diffusion models: pictures in, pictures out, batches inside."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from generator.bundles import ModelRef
from generator.config import Config, PaintingConfig
from generator.foundation.device import choose_device, choose_dtype, free_cached_memory, is_out_of_memory
from generator.foundation.errors import ModelError
from generator.foundation.seeds import derive_seed
from generator.painting.diffusion import Masking, decode, denoise, encode, redraw, starting_noise
from generator.painting.hardware import (
    choose_batch_size,
    compile_unets,
    fitting_batch,
    free_bytes,
    measured_peak,
    should_compile,
)
from generator.painting.models import DiffusionModel, load_model, load_tiny_vae
from generator.painting.painter import BackgroundJob, InpaintJob, Painter, Painting, RedrawJob, to_painting

Job = TypeVar("Job", bound=BackgroundJob)


class StableDiffusionPainter(Painter):
    """Holds the models of a run. Raises ModelError when they cannot be loaded.

    Every batch that the UNet sees has the same number of rows (short ones are filled up with copies), because kernels
    differ in the last bit between shapes: so a picture's bytes do not depend on how many others were asked for.
    """

    def __init__(
        self,
        config: Config,
        *,
        pictures: int = 0,
        sharing: int = 1,
        on_warning: Callable[[str], None] = lambda _: None,
        on_note: Callable[[str], None] = lambda _: None,
    ):
        """`pictures`: how many the whole plan will send through the UNets; it decides whether they are compiled.

        `sharing`: how many painters work on one GPU.
        """
        self.config = config
        self.device = choose_device(config.device)
        self._warn = on_warning
        self._seen_prompts: set[str] = set()
        self._grey: dict[tuple[int, int], torch.Tensor] = {}
        self.inpaint_model = self._load("inpaint")
        self.background_model = self._load("background") if config.models.background else self.inpaint_model
        batch_size = choose_batch_size(config, self.device)
        if batch_size is None:
            batch_size = fitting_batch(
                lambda count: measured_peak(self.device, lambda: self._try_out(count)), free_bytes(self.device, sharing)
            )
            on_note(f"{batch_size} pictures at a time fit into the memory of {self.device}")
        self.batch_size = batch_size
        if should_compile(config, self.device, pictures):
            unets = self.inpaint_model.unet, self.background_model.unet
            if compile_unets(unets, lambda: self._try_out(batch_size), on_warning):
                on_note(f"the UNets are compiled, which the {pictures} pictures of the plan pay back")

    def _load(self, role: str) -> DiffusionModel:
        def dtype(ref: ModelRef) -> torch.dtype:
            return choose_dtype(ref.dtype or self.config.dtype, self.device)

        ref, tiny, offline = getattr(self.config.models, role), self.config.models.vae, self.config.offline
        model = load_model(role, ref, device=self.device, dtype=dtype(ref), offline=offline)
        if tiny is None:
            return model
        return replace(model, vae=load_tiny_vae(tiny, like=model, dtype=dtype(tiny), offline=offline))

    def _try_out(self, count: int) -> None:
        """Paint so many pictures of both kinds in one guided step, for nothing but the memory and time it takes."""
        painting = self.config.painting.model_copy(
            update={"steps": 1, "guidance_scale": 2.0, "guidance_interval": (0.0, 1.0)}
        )
        for model, size_wh in (
            (self.inpaint_model, (self.inpaint_model.native_px,) * 2),
            (self.background_model, self._full_size(self.config.canvas_wh)[0]),
        ):
            noise = starting_noise([0] * count, size_wh, model)
            words = model.embed_prompt("").expand(count, -1, -1)
            masking = Masking(mask=torch.ones_like(noise[:, :1]), latents=noise)
            latents = denoise(model, noise, words, words, masking, painting, lambda _: noise)  # noqa: B023 (at once)
            decode(model, latents)

    def _painting(self, role: str) -> PaintingConfig:
        """How the model of a role is sampled: as it wants to be, else as the config says for all."""
        ref = getattr(self.config.models, role) or self.config.models.inpaint
        own = {key: value for key in ("sampler", "steps", "guidance_scale") if (value := getattr(ref, key)) is not None}
        return self.config.painting.model_copy(update=own)

    @property
    def native_px(self) -> int:
        """Side of the square crops that the inpainting model paints best."""
        return self.inpaint_model.native_px

    @property
    def size_multiple(self) -> int:
        """Sides of the crops must be a multiple of this."""
        return self.inpaint_model.size_multiple

    def paint_backgrounds(self, jobs: Sequence[BackgroundJob]) -> list[Painting]:
        """Paint whole pictures; sides that the model cannot paint are painted larger and cut to size."""
        return self._in_batches(jobs, self._paint_background_batch)

    def inpaint(self, jobs: Sequence[InpaintJob]) -> list[Painting]:
        """Repaint parts of pictures. The decoder repaints *every* pixel: put the rest back afterwards."""
        return self._in_batches(jobs, self._inpaint_batch)

    def redraw(self, jobs: Sequence[RedrawJob], strength: float) -> list[Painting]:
        """Draw anew what is finer than a noise level (share of the training schedule): see diffusion.redraw."""
        return self._in_batches(jobs, functools.partial(self._redraw_batch, strength=strength))

    def _in_batches(self, jobs: Sequence[Job], paint: Callable[[Sequence[Job]], np.ndarray]) -> list[Painting]:
        results: dict[int, Painting] = {}
        by_size: dict[tuple[int, int], list[int]] = {}
        for position, job in enumerate(jobs):
            by_size.setdefault(job.size_wh, []).append(position)
        for positions in by_size.values():
            start = 0
            while start < len(positions):
                rows = positions[start : start + self.batch_size]
                batch = [jobs[row] for row in rows]
                try:
                    pixels = paint(batch)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    pixels = None
                if pixels is None:  # outside of the handler, whose traceback holds the batch's tensors
                    self._halve_batch(batch[0].size_wh)
                    continue
                for row, picture in zip(rows, pixels, strict=True):
                    results[row] = to_painting(picture)
                start += len(rows)
        return [results[position] for position in range(len(jobs))]

    def _halve_batch(self, size_wh: tuple[int, int]) -> None:
        free_cached_memory(self.device)
        if self.batch_size == 1:
            raise ModelError(
                f"not enough memory on {self.device} for one picture of {size_wh[0]} x {size_wh[1]} px; "
                "try a smaller canvas, dtype: bfloat16 or device: cpu"
            )
        smaller = self.batch_size // 2
        self._warn(f"out of memory with {self.batch_size} pictures at a time: going on with {smaller}")
        self.batch_size = smaller

    # Batches return (B, H, W, 3) float32 in [0, 255], not yet clipped; NaN stays NaN.

    def _paint_background_batch(self, jobs: Sequence[BackgroundJob]) -> np.ndarray:
        full_wh, (top, left) = self._full_size(jobs[0].size_wh)
        width, height = jobs[0].size_wh
        pixels = self._denoise_batch("background", jobs, full_wh, self._all_masked(full_wh))
        return pixels[:, top : top + height, left : left + width]

    def _redraw_batch(self, jobs: Sequence[RedrawJob], strength: float) -> np.ndarray:
        model = self.background_model
        full_wh, (top, left) = self._full_size(jobs[0].size_wh)
        width, height = jobs[0].size_wh
        around = (top, full_wh[1] - height - top), (left, full_wh[0] - width - left), (0, 0)
        images = np.stack([np.pad(job.image, around, "reflect") for job in jobs])
        latents = self._filled_up(self._encode(model, to_tensor(images)))
        noise = self._filled_up(starting_noise([job.seed for job in jobs], full_wh, model))
        prompts = self._embed(model, [job.prompt for job in jobs])
        redrawn = redraw(model, latents, noise, prompts, self._all_masked(full_wh), strength)
        return to_pixels(self._decode(model, redrawn, len(jobs)))[:, top : top + height, left : left + width]

    def _full_size(self, size_wh: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """The next size that the background model can paint, and where (top, left) a picture lies in it."""
        multiple = self.background_model.size_multiple
        width, height = (-(-side // multiple) * multiple for side in size_wh)
        return (width, height), ((height - size_wh[1]) // 2, (width - size_wh[0]) // 2)

    def _all_masked(self, full_wh: tuple[int, int]) -> Masking | None:
        """What tells the inpainting UNet to paint all of a picture, in a bundle without a text-to-image one."""
        if self.background_model.in_channels != 9:
            return None
        if full_wh not in self._grey:
            self._grey[full_wh] = encode(self.background_model, torch.zeros(1, 3, full_wh[1], full_wh[0]))
        latents = self._filled_up(self._grey[full_wh])
        return Masking(mask=torch.ones_like(latents[:, :1]), latents=latents)

    def _inpaint_batch(self, jobs: Sequence[InpaintJob]) -> np.ndarray:
        model = self.inpaint_model
        images = to_tensor(np.stack([job.image for job in jobs]))
        masks = torch.from_numpy(np.stack([job.mask for job in jobs]))[:, None].float()
        latents = self._encode(model, images * (1 - masks) if model.in_channels == 9 else images)
        small = torch.nn.functional.interpolate(masks, size=latents.shape[-2:], mode="nearest")
        masking = Masking(mask=self._filled_up(small.to(model.device)), latents=self._filled_up(latents))
        return self._denoise_batch("inpaint", jobs, jobs[0].size_wh, masking)

    def _denoise_batch(
        self, role: str, jobs: Sequence[BackgroundJob], size_wh: tuple[int, int], masking: Masking | None
    ) -> np.ndarray:
        model = self.inpaint_model if role == "inpaint" else self.background_model
        for prompt in {job.prompt: None for job in jobs}:
            self._warn_of_length(model, prompt)

        def fresh_noise(step: int) -> torch.Tensor:
            seeds = [job.seed if step == 0 else derive_seed(job.seed, step) for job in jobs]
            return self._filled_up(starting_noise(seeds, size_wh, model))

        prompts = self._embed(model, [job.prompt for job in jobs])
        negatives = self._embed(model, [job.negative_prompt for job in jobs])
        latents = denoise(model, fresh_noise(0), prompts, negatives, masking, self._painting(role), fresh_noise)
        return to_pixels(self._decode(model, latents, len(jobs)))

    def _embed(self, model: DiffusionModel, prompts: Sequence[str]) -> torch.Tensor:
        return self._filled_up(torch.cat([model.embed_prompt(prompt) for prompt in prompts]))

    # On a CPU the VAE works picture by picture, so none is computed for nothing; else on batches, which are filled up.

    def _encode(self, model: DiffusionModel, pixels: torch.Tensor) -> torch.Tensor:
        return encode(model, pixels if self.device.type == "cpu" else self._filled_up(pixels))[: len(pixels)]

    def _decode(self, model: DiffusionModel, latents: torch.Tensor, count: int) -> torch.Tensor:
        return decode(model, latents[:count] if self.device.type == "cpu" else latents)[:count]

    def _filled_up(self, rows: torch.Tensor) -> torch.Tensor:
        """Repeat the last row until the batch has its size."""
        missing = self.batch_size - len(rows)
        return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing else rows

    def _warn_of_length(self, model: DiffusionModel, prompt: str) -> None:
        if prompt not in self._seen_prompts:
            self._seen_prompts.add(prompt)
            if cut := model.overlong(prompt):
                self._warn(f"the model does not read the last {cut} tokens of this prompt, it is too long: {prompt!r}")


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pixels(decoded: torch.Tensor) -> np.ndarray:
    """(B, 3, H, W) -> (B, H, W, 3) float32 in [0, 255], not clipped."""
    pixels: np.ndarray = ((decoded + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    return pixels
