"""LoRAs in a model's weights: in diffusers' form and kohya's, of other models, and all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTextModel

from generator.bundles import DiffusionRef
from generator.foundation.errors import ModelError
from generator.painting.models import DiffusionModel, load_model

CPU = torch.device("cpu")
Tensors = dict[str, torch.Tensor]
# Layers of the UNet and of the text encoder, and (rank, alpha) of each in turn.
UNET_LAYERS = ("to_q", "to_out.0", "ff.net.2", "proj_in", "conv1", "downsamplers.0.conv")
TEXT_LAYERS = ("q_proj", "out_proj", "fc1")
RANKS = ((4, 1.0), (2, 4.0), (8, 8.0))


def load(folder: Path, *adapters: Mapping[str, object]) -> DiffusionModel:
    variant = "fp16" if folder.name == "background" else None
    ref = DiffusionRef(folder=str(folder), variant=variant, adapters=adapters or None)
    return load_model("inpaint", ref, device=CPU, dtype=torch.float32, offline=True)


def parts_of(folder: Path) -> dict[str, Any]:
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet")
    return {"unet": unet, "text_encoder": CLIPTextModel.from_pretrained(folder, subfolder="text_encoder")}


def save_kohya(folder: Path, file: Path, *, only: str = "") -> Tensors:
    """Write a LoRA as kohya-ss does, each layer with its own rank and alpha; returns what the weights become."""
    generator = torch.Generator().manual_seed(0)
    tensors: Tensors = {}
    expected: Tensors = {}
    for part, model in parts_of(folder).items():
        layers, prefix = (UNET_LAYERS, "lora_unet_") if part == "unet" else (TEXT_LAYERS, "lora_te_text_model_")
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d) and name.endswith(layers) and only in name:
                rank, alpha = RANKS[len(expected) % len(RANKS)]
                weight = module.weight.detach()
                down = 0.1 * torch.randn(rank, *weight.shape[1:], generator=generator)
                up = 0.1 * torch.randn(weight.shape[0], rank, *[1] * (weight.ndim - 2), generator=generator)
                key = prefix + name.replace(".", "_")
                tensors |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
                tensors[f"{key}.alpha"] = torch.tensor(alpha)
                made = (up.flatten(1) @ down.flatten(1)).view_as(weight)
                expected[f"{part}.{name}"] = weight + alpha / rank * made
    save_file(tensors, file)
    return expected


def save_diffusers(folder: Path, out: Path, *, metadata: bool, seed: int = 0) -> None:
    """Write a LoRA as diffusers does, with an alpha half its rank, or, without metadata, its rank."""
    config = {"r": 4, "lora_alpha": 2 if metadata else 4, "init_lora_weights": False}
    torch.manual_seed(seed)
    layers, about = {}, {}
    for part, model in parts_of(folder).items():
        targets = ["to_q", "to_k", "to_v", "to_out.0"] if part == "unet" else ["q_proj", "k_proj", "v_proj", "out_proj"]
        model.add_adapter(LoraConfig(**config, target_modules=targets))
        layers[f"{part}_lora_layers"] = convert_state_dict_to_diffusers(get_peft_model_state_dict(model))
        if metadata:
            about[f"{part}_lora_adapter_metadata"] = model.peft_config["default"].to_dict()
    StableDiffusionInpaintPipeline.save_lora_weights(out, **layers, **about)


def answers(unet: nn.Module, text_encoder: nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(1, 9, 8, 8, generator=generator)
    with torch.inference_mode():
        words = text_encoder(torch.arange(32)[None])[0]
        return unet(latents, 10, words)[0]


def test_each_layer_of_a_file_of_kohya_gets_its_own_alpha(tiny_sd21: Path, tmp_path: Path) -> None:
    base = tiny_sd21 / "inpaint"
    expected = save_kohya(base, tmp_path / "shape.safetensors")
    model = load(base, {"folder": str(tmp_path / "shape.safetensors")})
    assert len({name.split(".")[-1] for name in expected}) > 6
    for name, weight in expected.items():
        part, _, layer = name.partition(".")
        torch.testing.assert_close(getattr(model, part).get_submodule(layer).weight.detach(), weight)
    # Afterwards it is a model as any other.
    plain = load(base)
    for part in ("unet", "text_encoder"):
        kinds = [
            [(name, type(module)) for name, module in getattr(each, part).named_modules()] for each in (model, plain)
        ]
        assert kinds[0] == kinds[1]
        assert not any(each.requires_grad for each in getattr(model, part).parameters())


@pytest.mark.parametrize("metadata", [True, False])
def test_what_diffusers_makes_of_a_file_is_what_is_painted_with(
    tiny_sd21: Path, tmp_path: Path, metadata: bool
) -> None:
    base = tiny_sd21 / "inpaint"
    save_diffusers(base, tmp_path, metadata=metadata)
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(base, safety_checker=None)
    before = answers(pipeline.unet, pipeline.text_encoder)
    pipeline.load_lora_weights(tmp_path)
    pipeline.set_adapters(pipeline.get_active_adapters(), 0.5)
    theirs = answers(pipeline.unet, pipeline.text_encoder)
    model = load(base, {"folder": str(tmp_path), "weight": 0.5})
    torch.testing.assert_close(answers(model.unet, model.text_encoder), theirs, rtol=1e-4, atol=1e-5)
    assert (theirs - before).abs().max() > 0.01


def test_several_are_added(tiny_sd21: Path, tmp_path: Path) -> None:
    base = tiny_sd21 / "inpaint"
    for seed in (0, 1):
        save_diffusers(base, tmp_path / str(seed), metadata=True, seed=seed)
    weights = {0: 0.5, 1: -2.0}
    alone = [load(base, {"folder": str(tmp_path / str(seed)), "weight": weight}) for seed, weight in weights.items()]
    both = load(base, *({"folder": str(tmp_path / str(seed)), "weight": weight} for seed, weight in weights.items()))
    plain = load(base)
    for part in ("unet", "text_encoder"):
        first, second, all_, none = (getattr(each, part).state_dict() for each in (*alone, both, plain))
        for name, value in none.items():
            torch.testing.assert_close(all_[name], first[name] + second[name] - value)


def test_one_for_text_to_image_is_taken_by_an_inpainting_model(tiny_sd21: Path, tmp_path: Path) -> None:
    background, base = tiny_sd21 / "background", tiny_sd21 / "inpaint"
    file = tmp_path / "scene.safetensors"
    down, up = torch.randn(2, 4, 3, 3), torch.randn(16, 2, 1, 1)
    save_file({"unet.conv_in.lora.down.weight": down, "unet.conv_in.lora.up.weight": up}, file)
    made = torch.einsum("or,rihw->oihw", up[..., 0, 0], down)
    for folder in (background, base):
        change = load(folder, {"folder": str(file)}).unet.conv_in.weight - load(folder).unet.conv_in.weight
        torch.testing.assert_close(change[:, :4].detach(), made, rtol=1e-3, atol=1e-4)
        assert not change[:, 4:].any()


# What does not fit.


def wide(tensors: Tensors) -> Tensors:
    """As made for a model that reads texts of another width."""
    return {
        name: torch.zeros(value.shape[0], 2048) if name.endswith(("attn2_to_k.lora_down.weight",)) else value
        for name, value in tensors.items()
    }


def renamed(old: str, new: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name.replace(old, new): value for name, value in tensors.items()}


def halved(tensors: Tensors) -> Tensors:
    return {name: value for name, value in tensors.items() if not name.endswith("to_q.lora_up.weight")}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (wide, r"fits only \d+ of its \d+ layers.*have another size.*32 x 2048, and 32 x 32 is needed.*made for Stable "
         r"Diffusion XL \(texts of width 2048\)"),
        (renamed("down_blocks_1_attentions_0", "input_blocks_4_1"), r"fits only.*layers are not in it \(unet\."),
        (renamed("unet_down_blocks_1", "unet_down_blocks_7"), r"\d+ layers are not in it \(unet.down_blocks.7"),
        (renamed("lora_te_", "lora_te2_"), r"weights are of something else \(text_encoder_2\."),
        (renamed("lora_down", "hada_w1_a"), r"another kind.*: it holds lora_\w+.hada_w1_a.weight and \d+"),
        (renamed("lora_unet_", "transformer."), r"fits no layer of this model; \d+ weights are of something else"),
        (halved, r"is not whole: it lacks 'lora_unet_\w+attn1_to_q\.lora_up\.weight'"),
        (lambda _: {"model.diffusion_model.x": torch.zeros(1)}, "is no LoRA"),
    ],
)  # fmt: skip
def test_a_file_of_another_model_is_one_clear_error(
    tiny_sd21: Path, tmp_path: Path, change: Callable[[Tensors], Tensors], said: str
) -> None:
    base, file = tiny_sd21 / "inpaint", tmp_path / "other.safetensors"
    save_kohya(base, file)
    tensors = load_file(file)
    for name in [name for name in tensors if "down_blocks" in name and "attn1_to_q" in name]:
        tensors[name.replace("attn1_to_q", "attn2_to_k")] = tensors[name].clone()
    save_file(change(tensors), file)
    with pytest.raises(ModelError, match=rf"models\.inpaint\.adapters\.0: '{file}' .*{said}"):
        load(base, {"folder": str(file)})


@pytest.mark.parametrize(
    ("files", "keys", "said"),
    [
        ([], {}, r"has no weights of a LoRA \(\.safetensors\)"),
        (
            ["a.safetensors", "b.safetensors"],
            {},
            r"several files.*: a\.safetensors, b\.safetensors; name one with file:",
        ),
        (["a.safetensors"], {"file": "b.safetensors"}, r"has no file b\.safetensors"),
        (["a.bin"], {}, r"has pickled weights only \(a\.bin\).*allow_pickle: true"),
        (None, {}, r"models\.inpaint\.adapters\.0\.folder: there is no folder"),
    ],
)
def test_one_that_is_not_there_is_said(
    tiny_sd21: Path, tmp_path: Path, files: list[str] | None, keys: dict[str, object], said: str
) -> None:
    folder = tmp_path / "lora"
    for name in files or ():
        folder.mkdir(exist_ok=True)
        save_file({"x": torch.zeros(1)}, folder / name)
    if files == []:
        folder.mkdir()
    with pytest.raises(ModelError, match=said):
        load(tiny_sd21 / "inpaint", {"folder": str(folder), **keys})


def test_a_pickled_one_is_read_where_it_was_allowed(tiny_sd21: Path, tmp_path: Path) -> None:
    base = tiny_sd21 / "inpaint"
    save_diffusers(base, tmp_path, metadata=False)
    safe = tmp_path / "pytorch_lora_weights.safetensors"
    expected = load(base, {"folder": str(tmp_path)})
    torch.save(load_file(safe), tmp_path / "pickled.bin")
    model = load(base, {"folder": str(tmp_path), "file": "pickled.bin", "allow_pickle": True})
    torch.testing.assert_close(model.unet.state_dict(), expected.unet.state_dict())
