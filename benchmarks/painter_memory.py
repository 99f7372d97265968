"""What one step of a LoRA of Stable Diffusion 2 inpainting takes: seconds and peak memory, at full size.

    python -m benchmarks.painter_memory [--batch-size 1] [--rank 16] [--side 512] [--only bfloat16 ...]

The model has the sizes of sd2-community/stable-diffusion-2-inpainting and random weights, so nothing is downloaded;
values change neither time nor memory. Each row is a process of its own: it makes the model in one number format, adds
the LoRA and takes two steps (gradients, AdamW) as `boxpaint train painter --from sd21` does, on latents and embeddings
that lie in memory. "model" is its peak (ru_maxrss, Python and its libraries included) before the first step, "peak"
after the second, whose seconds are shown; "activations" is the difference less what LoRA, gradients and AdamW hold,
which is counted from their shapes.

The last row is computed, for a GPU: 2 bytes a weight (UNet, text encoder, VAE); 20 bytes a weight of the LoRA (itself,
gradient, two moments of AdamW, average, all float32); the activations of the bfloat16 row with checkpointing, since
autocast computes in the same formats; all that a tenth more, which the allocator cannot use; and a CUDA context.
"""

from __future__ import annotations

from typing import Any

from benchmarks import Figures, Results, in_own_process, make_parser

# As in unet/config.json and text_encoder/config.json of that repository.
UNET = {
    "sample_size": 64,
    "in_channels": 9,
    "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "steps_offset": 1,
}
WORDS, WIDTH = 77, 1024
# Parameters of OpenCLIP's ViT-H text encoder with 23 layers, and of the VAE.
TEXT_PARAMETERS, VAE_PARAMETERS = 340_387_840, 83_653_863
# A CUDA context with its kernels, and what the allocator cannot use of what it holds (a tenth).
CONTEXT_GB, UNUSED = 0.6, 1.1
GB = 1e9
ROWS = (("float32", False), ("float32", True), ("bfloat16", False), ("bfloat16", True))


def main() -> None:
    """Measure and print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--only", nargs="+", default=["float32", "bfloat16"], help="number formats")
    arguments = parser.parse_args()
    title = f"A step of LoRA, rank {arguments.rank}, {arguments.batch_size} crops of {arguments.side} px, GB"
    columns = "weights", "checkpointing", "s a step", "model", "LoRA and AdamW", "activations", "peak"
    with Results(title, *columns) as table:
        found: Figures = {}
        for dtype, checkpointing in ROWS:
            if dtype not in arguments.only:
                continue
            found = in_own_process(measure, dtype, checkpointing, arguments.batch_size, arguments.rank, arguments.side)
            table.add(
                dtype,
                "yes" if checkpointing else "no",
                f"{found['s']:.0f}",
                *(f"{found[name] / GB:.2f}" for name in ("model", "trained", "activations", "peak")),
            )
        if found["dtype"] == "bfloat16":
            weights = 2 * (found["parameters"] + TEXT_PARAMETERS + VAE_PARAMETERS)
            total = CONTEXT_GB * GB + UNUSED * (weights + found["trained"] + found["activations"])
            cells = (weights, found["trained"], found["activations"], total)
            table.add("a GPU, bfloat16", "yes", "", *(f"{cell / GB:.2f}" for cell in cells))


def measure(dtype: str, checkpointing: bool, batch_size: int, rank: int, side: int) -> Figures:
    """Take two steps; seconds of the second, bytes."""
    import resource
    import time

    import torch
    from diffusers import UNet2DConditionModel

    from detection.painter.learning import fit
    from detection.painter.lora import LoraRecipe, add_lora, lora_learner
    from detection.painter.samples import Bank, Encoded
    from generator.foundation.history import Listener
    from generator.foundation.training import Budget
    from generator.painting.models import DiffusionModel

    def peak() -> int:
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    torch.set_default_dtype(getattr(torch, dtype))  # made in it: cast to it afterwards, the peak would be another
    unet: Any = UNet2DConditionModel(**UNET)
    torch.set_default_dtype(torch.float32)
    unet.requires_grad_(False).eval().to(memory_format=torch.channels_last)
    device = torch.device("cpu")
    model = DiffusionModel(
        role="inpaint",
        unet=unet,
        vae=None,
        text_encoder=None,
        tokenizer=None,
        scheduler_config=SCHEDULE,
        device=device,
        dtype=unet.dtype,
    )
    recipe = LoraRecipe(
        rank=rank, alpha=rank, batch_size=batch_size, gradient_checkpointing=checkpointing, prior_share=1.0
    )
    parameters = sum(each.numel() for each in unet.parameters())
    denoiser = add_lora(model, recipe, seed=0)
    denoiser.known.update({caption: torch.randn(1, WORDS, WIDTH) for caption in ("", "a thing")})
    latents = torch.randn(4, side // 8, side // 8).half()
    mask = torch.ones_like(latents[:1])
    row = Encoded(latents=latents, masked=latents, mask=mask, shown=mask, caption="a thing")
    before, ends = peak(), [time.perf_counter()]

    class Clock(Listener):
        def on_step(self, _step: int, _loss: float, /) -> None:
            ends.append(time.perf_counter())

    fit(
        [lora_learner(denoiser, Bank(None, None, 0, device), [row], recipe)],
        Budget(steps=2),
        seed=0,
        device=device,
        batch_size=batch_size,
        listener=Clock(),
    )
    # Weights, gradients, two moments and an average, in float32.
    trained = 5 * 4 * sum(each.numel() for each in unet.parameters() if each.requires_grad)
    return {
        "s": ends[2] - ends[1],
        "dtype": dtype,
        "parameters": parameters,
        "model": before,
        "trained": trained,
        "activations": peak() - before - trained,
        "peak": peak(),
    }


if __name__ == "__main__":
    main()
