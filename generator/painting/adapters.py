"""LoRAs -> the weights of a UNet and a text encoder, added to them once, at load.

Afterwards a model has the layers, the size and the speed that it had before. Files are read in the forms of diffusers
and of kohya-ss: https://huggingface.co/docs/diffusers/tutorials/using_peft_for_inference
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.lora_base import fuse_text_encoder_lora, set_adapters_for_text_encoder
from diffusers.loaders.lora_pipeline import StableDiffusionLoraLoaderMixin
from diffusers.utils.peft_utils import recurse_remove_peft_layers
from diffusers.utils.state_dict_utils import (
    convert_state_dict_to_diffusers,
    convert_state_dict_to_peft,
    convert_unet_state_dict_to_peft,
)
from safetensors import safe_open
from torch import nn

from generator.bundles import AdapterRef, DiffusionRef
from generator.foundation.errors import ModelError
from generator.models.loading import load_from
from generator.models.weights import get_models

# How weights of a LoRA are called; those of other kinds of adapters (LoHa, LoKr, DoRA ...) are not.
_OF_A_LORA = re.compile(r".*lora[._](linear_layer\.)?(A|B|down|up)\.weight|.+\.alpha")
# Widths of the texts that UNets read, by which a LoRA for another family is known.
_FAMILIES = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Lora:
    """Tensors by diffusers' names ("unet.", "text_encoder."), and what the file says of ranks and alphas beside."""

    tensors: dict[str, torch.Tensor]
    metadata: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Layer:
    """A layer that a LoRA names: its two factors, (rank, in, ...) and (out, rank, ...), and the names of these; the
    module of the model that it is for, None where there is none.
    """

    name: str
    keys: tuple[str, str]
    down: torch.Tensor
    up: torch.Tensor
    module: nn.Module | None

    @property
    def found(self) -> tuple[int, ...]:
        """Shape of the weights that the factors make, (out, in, ...)."""
        return (self.up.shape[0], *self.down.shape[1:])

    @property
    def needed(self) -> tuple[int, ...]:
        """Shape of the module's weights."""
        weight = getattr(self.module, "weight", None)
        return () if weight is None else tuple(weight.shape)

    @property
    def fits(self) -> bool:
        """Whether the factors can be added to the module's weights."""
        return self.found == self.needed and self.down.shape[0] == self.up.shape[1]


def add_adapters(role: str, ref: DiffusionRef, unet: Any, text_encoder: Any, *, offline: bool) -> None:
    """Add the adapters of a model to its weights, in place.

    Raises ModelError for one that cannot be had, is no LoRA, or fits this model not at all or only in part.
    """
    loras = {
        f"adapter_{number}": _read(f"{role}.adapters.{number}", adapter, unet, text_encoder, offline=offline)
        for number, adapter in enumerate(ref.adapters or ())
    }
    weights = dict(zip(loras, (adapter.weight for adapter in ref.adapters or ()), strict=True))
    with _in_silence():
        for name, lora in loras.items():
            how: dict[str, Any] = {"network_alphas": None, "metadata": lora.metadata, "adapter_name": name}
            parts = {key.partition(".")[0] for key in lora.tensors}
            if "unet" in parts:
                StableDiffusionLoraLoaderMixin.load_lora_into_unet(lora.tensors, unet=unet, **how)
            if "text_encoder" in parts:
                StableDiffusionLoraLoaderMixin.load_lora_into_text_encoder(
                    lora.tensors, text_encoder=text_encoder, **how
                )
        if given := [name for name in loras if name in getattr(unet, "peft_config", {})]:
            unet.set_adapters(given, [weights[name] for name in given])
            unet.fuse_lora()
            unet.unload_lora()
        if given := [name for name in loras if name in getattr(text_encoder, "peft_config", {})]:
            set_adapters_for_text_encoder(given, text_encoder, [weights[name] for name in given])
            fuse_text_encoder_lora(text_encoder)
            recurse_remove_peft_layers(text_encoder)
            del text_encoder.peft_config
            text_encoder._hf_peft_config_loaded = False


@contextlib.contextmanager
def _in_silence() -> Iterator[None]:
    """Keep the libraries from listing, for every adapter, the weights that it does not change."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="peft")
            yield
    finally:
        logging.set_verbosity(before)


def _read(role: str, ref: AdapterRef, unet: Any, text_encoder: Any, *, offline: bool) -> _Lora:
    def load(source: str, hub: dict[str, Any], _weights: dict[str, Any]) -> _Lora:
        if not hub["local_files_only"]:
            get_models({role: ref})
        [file] = ref.weight_files()
        where = f"models.{role}: {str(file) if ref.folder else f'{source}/{file.name}'!r}"
        if strange := [name for name in _names(file) if not _OF_A_LORA.fullmatch(name)]:
            raise ModelError(f"{where} is no LoRA, or another kind than can be used: it holds {_some(strange)}")
        try:
            found = StableDiffusionLoraLoaderMixin.lora_state_dict(
                str(file.parent), weight_name=file.name, local_files_only=True, return_lora_metadata=True
            )
            tensors, alphas, metadata = found
            layers = [*_layers("unet", tensors, unet), *_layers("text_encoder", tensors, text_encoder)]
        except KeyError as error:
            raise ModelError(f"{where} is not whole: it lacks {error}") from error
        except ValueError as error:
            raise ModelError(f"{where} cannot be read: {' '.join(str(error).split())[:200]}") from error
        tensors = {key: value.float() for key, value in tensors.items()}
        layers = [_widened(layer, tensors) for layer in layers]
        if fault := _fault(layers, tensors, unet):
            raise ModelError(f"{where} {fault}")
        _fold_alphas(layers, tensors, alphas or {})
        return _Lora(tensors=tensors, metadata=metadata)

    files = ref.weight_files()
    return load_from(
        role,
        ref,
        load,
        marker=files[0].name if files else "",
        layout="pytorch_lora_weights.safetensors, or one other file of a LoRA",
        device=unet.device,
        offline=offline,
    )


def _names(file: Path) -> list[str]:
    if file.suffix != ".safetensors":
        return list(torch.load(file, map_location="cpu", weights_only=True))
    with safe_open(file, "pt") as content:
        return list(content.keys())


def _layers(part: str, tensors: Mapping[str, torch.Tensor], model: Any) -> list[_Layer]:
    """Layers of a LoRA that are for one part of a model ("unet"), by the names of its modules."""
    keys = [key for key in tensors if key.startswith(f"{part}.") and not key.endswith(".alpha")]
    own = {key.removeprefix(f"{part}."): tensors[key] for key in keys}
    if part == "unet":
        named = convert_unet_state_dict_to_peft(own)
    else:
        named = convert_state_dict_to_peft(convert_state_dict_to_diffusers(own)) if own else own
        # transformers 5 has no such level; older LoRAs do.
        named = {name.removeprefix("text_model."): value for name, value in named.items()}
    modules = dict(model.named_modules())
    factors: dict[str, dict[str, tuple[str, torch.Tensor]]] = {}
    for key, (name, value) in zip(keys, named.items(), strict=True):
        module, _, factor = name.removesuffix(".weight").rpartition(".lora_")
        factors.setdefault(module, {})[factor] = key, value
    halves = [name for name, pair in factors.items() if set(pair) != {"A", "B"}]
    if halves:
        raise ValueError(f"one of two factors is missing of {_some(halves)}")
    return [
        _Layer(
            name=f"{part}.{name}",
            keys=(pair["A"][0], pair["B"][0]),
            down=pair["A"][1],
            up=pair["B"][1],
            module=modules.get(name),
        )
        for name, pair in factors.items()
    ]


def _widened(layer: _Layer, tensors: dict[str, torch.Tensor]) -> _Layer:
    """Widen the first layer of a LoRA that was made for a text-to-image UNet to an inpainting one, with zeros.

    The first four channels of both are the noisy latents; of the mask and the masked latents it knows nothing.
    """
    missing = layer.needed[1] - layer.down.shape[1] if layer.name == "unet.conv_in" and layer.needed else 0
    if missing <= 0:
        return layer
    down = nn.functional.pad(layer.down.float(), (0, 0, 0, 0, 0, missing))
    tensors[layer.keys[0]] = down
    return _Layer(name=layer.name, keys=layer.keys, down=down, up=layer.up, module=layer.module)


def _fault(layers: list[_Layer], tensors: Mapping[str, torch.Tensor], unet: Any) -> str:
    """Say why a LoRA cannot be added; "" where all of it fits."""
    known = {key for layer in layers for key in layer.keys}
    foreign = [key for key in tensors if key not in known and not key.endswith(".alpha")]
    absent = [layer.name for layer in layers if layer.module is None]
    others = [layer for layer in layers if layer.module is not None and not layer.fits]
    if layers and not (foreign or absent or others):
        return ""
    fitting = sum(layer.fits for layer in layers)
    faults = [f"fits {f'only {fitting} of its {len(layers)} layers' if fitting else 'no layer'} of this model"]
    if absent:
        faults.append(f"{len(absent)} layers are not in it ({_some(absent)})")
    if others:
        shown = others[0]
        sizes = f"{shown.name} is {_size(shown.found)}, and {_size(shown.needed)} is needed"
        faults.append(f"{len(others)} layers have another size ({sizes})")
    if foreign:
        faults.append(f"{len(foreign)} weights are of something else ({_some(foreign)})")
    needed = unet.config.cross_attention_dim
    widths = {layer.found[-1] for layer in layers if layer.name.endswith("attn2.to_k") and len(layer.found) == 2}
    if len(widths) == 1 and widths != {needed}:
        faults.append(f"it was made for {_family(*widths)}, this model is {_family(needed)}")
    return "; ".join(faults)


def _fold_alphas(
    layers: list[_Layer], tensors: dict[str, torch.Tensor], alphas: Mapping[str, float | torch.Tensor]
) -> None:
    """Multiply each layer of a kohya-ss file by its alpha over its rank, and drop the alphas.

    diffusers 0.42 looks for the commonest alpha alone under the right name, and gives it to all layers of attention.
    """
    alphas = {**alphas, **{key: value for key, value in tensors.items() if key.endswith(".alpha")}}
    for layer in layers:
        down, up = layer.keys
        for name in (down, *(down.split(mark)[0] for mark in (".lora.", ".lora_"))):
            if (alpha := alphas.get(f"{name}.alpha")) is not None:
                tensors[up] = tensors[up] * (float(alpha) / layer.down.shape[0])
                break
    for key in [key for key in tensors if key.endswith(".alpha")]:
        del tensors[key]


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _family(width: int) -> str:
    return f"{_FAMILIES.get(width, 'a model')} (texts of width {width})"
