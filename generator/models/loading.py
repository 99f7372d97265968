"""Models from a folder or the hub: one way to try, and one way to say what is wrong.

https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from generator.bundles import AnyRef, ModelRef
from generator.foundation.device import is_out_of_memory
from generator.foundation.errors import ModelError, ModelNotFoundError, reason_of
from generator.models.weights import check_models, local_fault

Model = TypeVar("Model")
# (folder or hub id, keyword arguments of from_pretrained, the same with the variant for what has one) -> model
Loader = Callable[[str, dict[str, Any], dict[str, Any]], Model]

# What the libraries raise for files that are there and hold something else: weights, configs, pickled weights.
_BROKEN = (
    SafetensorError,
    StrictDataclassError,
    UnpicklingError,
    EOFError,
    RuntimeError,
    LookupError,
    TypeError,
    AttributeError,
)


def load_from(
    role: str,
    ref: AnyRef,
    load: Loader[Model],
    *,
    marker: str,
    layout: str,
    device: torch.device,
    offline: bool,
) -> Model:
    """Load the model of a role; its variant (fp16 files) is tried first, then the plain files.

    `marker` is a file that a folder of this kind holds, `layout` says in words what it must hold. Raises
    ModelNotFoundError when the files are not to be had, ModelError when they are broken.
    """
    # Late: a training asks here for a word about memory only, and would wait a second for it.
    from huggingface_hub.utils.logging import set_verbosity_error
    from transformers.utils.logging import disable_progress_bar

    # Its bar for reading a folder of weights says nothing that a person waits for; downloads keep theirs. What goes
    # wrong is said below, in one line.
    disable_progress_bar()
    set_verbosity_error()
    source = ref.folder or ref.id or ""
    fault = local_fault(ref)
    look = f"check models.{role}.folder and models.{role}.{'variant' if isinstance(ref, ModelRef) else 'file'}"
    if ref.folder and fault is None:
        raise ModelNotFoundError(f"models.{role}.folder: there is no folder {ref.folder!r}; it must hold {layout}")
    if fault and (ref.folder or offline):
        raise ModelNotFoundError(f"models.{role}: {source!r} cannot be had: it {fault}; it must hold {layout}; {look}")
    # What is here is taken as it is, without a word to the hub; what proves incomplete is completed.
    is_here = offline or fault == ""
    ways = (True,) if offline or ref.folder else (True, False) if is_here else (False,)
    cause = ""
    variants = dict.fromkeys((ref.variant if isinstance(ref, ModelRef) else None, None))
    for local, variant in product(ways, variants):
        if not local:
            check_models({role: ref}, offline=False, trust_cache=not is_here)
        hub: dict[str, Any] = {"local_files_only": local}
        if ref.revision is not None:
            hub["revision"] = ref.revision
        safe = {**hub, "use_safetensors": None if ref.allow_pickle else True}
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*local_dir_use_symlinks")  # diffusers to huggingface_hub
                return load(source, hub, {**safe, "variant": variant} if variant is not None else safe)
        except (OSError, ValueError, ImportError) as error:
            cause = reason_of(error)
            if variant is not None and variant in str(error):
                continue  # these files are what is missing; the plain ones may be there
            if ref.folder and (Path(ref.folder) / marker).is_file():
                raise ModelError(f"models.{role}: the files of {source!r} cannot be loaded: {cause}") from error
        except _BROKEN as error:
            if is_out_of_memory(error):
                raise ModelError(
                    f"models.{role}: not enough memory on {device} for this model; try device: cpu, or for a diffusion "
                    "model dtype: bfloat16"
                ) from error
            raise ModelError(f"models.{role}: the files of {source!r} cannot be loaded: {error}") from error
    if ref.folder:
        advice = f"it must hold {layout}; {look}"
    elif offline:
        advice = (
            f"offline: true allows no download; set offline: false, or models.{role}.folder to a copy of the repository"
        )
    else:
        advice = (
            f"check the network, models.{role}.id and models.{role}.revision; a mirror is set with the environment "
            f"variable HF_ENDPOINT, a local copy with models.{role}.folder"
        )
    raise ModelNotFoundError(f"models.{role}: {source!r} cannot be had ({cause}); {advice}")


def load_with_processor(
    role: str, ref: ModelRef, model_class: Any, processor_class: Any, *, kind: str, device: torch.device, offline: bool
) -> tuple[Any, Any]:
    """Load a model of transformers with its processor, in float32 and ready on its device; `kind` names it in messages.

    Raises ModelError as `load_from`.
    """

    def load(source: str, hub: dict[str, Any], weights: dict[str, Any]) -> tuple[Any, Any]:
        model = model_class.from_pretrained(source, dtype=torch.float32, **weights)
        processor = processor_class.from_pretrained(source, **hub)
        with_words(processor.tokenizer)
        return model, processor

    model, processor = load_from(
        role,
        ref,
        load,
        marker="config.json",
        layout=f"config.json, model.safetensors, a tokenizer and preprocessor_config.json of {kind}",
        device=device,
        offline=offline,
    )
    return model.requires_grad_(False).eval().to(device), processor


def with_words(tokenizer: Any) -> Any:
    """Return a tokenizer; ValueError for one without words, which is what transformers makes of missing files."""
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise ValueError("the files of its tokenizer are missing")
    return tokenizer


def pixel_values(processor: Any, picture: np.ndarray) -> torch.Tensor:
    """A picture (HWC uint8 RGB) as a hub model's processor prepares it: (1, 3, H, W) float32.

    One of three rows would else be taken for one whose channels come first.
    """
    prepared = processor([picture], return_tensors="pt", input_data_format="channels_last")
    pixels: torch.Tensor = prepared["pixel_values"]
    return pixels
