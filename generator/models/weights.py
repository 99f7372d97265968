"""Are the models of a run at hand, and as safetensors? Asked of all at once, before any is loaded; needs no torch.

Pickled weights may hold code of whoever made them (https://huggingface.co/docs/hub/security-pickle).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping

from generator.bundles import BUNDLES, AdapterRef, AnyRef, DiffusionRef, ModelRef, load_card
from generator.config import Config
from generator.foundation.errors import ConfigError, DomainError, Fault, ModelNotFoundError
from generator.foundation.storage import sha256_of
from generator.spec import Spec

# What from_pretrained loads: not the checkpoints of other programs and the safety checkers that lie beside.
_WEIGHTS = re.compile(
    r"(?:(?P<part>unet|vae|text_encoder|\d+_\w+)/)?(?:diffusion_pytorch_|pytorch_)?model"
    r"(?:\.(?P<variant>\w+))?(?:-\d+-of-\d+)?\.(?P<kind>safetensors|bin)"
)
_DIFFUSION_PARTS = ("unet", "vae", "text_encoder")
# Configs and tokenizers.
_SMALL_FILES = (".json", ".txt", ".model")
_TIMEOUT_S = 10.0
# Models of the prompt book: why one is needed, and how to do without.
_NEEDS = {
    "captioner": "the column references needs a captioner (BLIP)",
    "enricher": "prompts: {enrich: gpt2} needs a GPT-2",
    "embedder": "the prompt book needs an embedder (sentence-transformers, or a folder of CLIP)",
}
WITHOUT = {
    "captioner": "leave the column references empty",
    "enricher": "set prompts: {enrich: none}",
    "embedder": "set prompts: {enrich: none} and leave out references and attributes.csv",
}
_MIRROR = "check the network, set a mirror with the environment variable HF_ENDPOINT"
_PICKLED = (
    "which may run code of whoever made them: take a copy or revision with safetensors, or set allow_pickle: true if "
    "you trust it"
)


def weights_fault(ref: AnyRef, files: Iterable[str]) -> str:
    """Say why the files of a model ("unet/config.json") are not enough to load it; "" when they are."""
    files = list(files)
    if isinstance(ref, AdapterRef):
        return _adapter_fault(ref, files)
    kinds: dict[str, set[str]] = {}
    for match in filter(None, map(_WEIGHTS.fullmatch, files)):
        if match["variant"] in (None, ref.variant):
            kinds.setdefault(match["part"] or "", set()).add(match["kind"])
    parts = _DIFFUSION_PARTS if any(name.startswith("unet/") for name in files) else tuple(kinds) or ("",)
    if missing := [part for part in parts if part not in kinds]:
        return f"has no weights{' of ' if any(missing) else ''}{', '.join(missing)}"
    pickled = [part for part in parts if "safetensors" not in kinds[part]]
    if pickled and not ref.allow_pickle:
        return f"has pickled weights only{' of ' if any(pickled) else ''}{', '.join(pickled)} (.bin), {_PICKLED}"
    return ""


def _adapter_fault(ref: AdapterRef, files: list[str]) -> str:
    chosen = ref.choose_files(files)
    if not chosen:
        return f"has no file {ref.file}" if ref.file else "has no weights of a LoRA (.safetensors)"
    if len(chosen) > 1:
        return f"has several files that may be a LoRA: {', '.join(chosen)}; name one with file:"
    if not chosen[0].endswith(".safetensors") and not ref.allow_pickle:
        return f"has pickled weights only ({chosen[0]}), {_PICKLED}"
    return ""


def local_fault(ref: AnyRef) -> str | None:
    """As `weights_fault`, of what is on this machine; None where nothing of the model is here."""
    return None if ref.local_folder() is None else weights_fault(ref, ref.local_files())


def fingerprint(ref: ModelRef) -> str:
    """What identifies a model's weights: the commit of a hub snapshot, or a hash over a folder's weight files; and the
    hashes of its adapters.

    Read after loading; a hub model that is not in the cache gives its wished revision.
    """
    parts = [_own_fingerprint(ref, in_folder=bool(ref.folder))]
    # Hashes wherever they lie: a repository may hold many of them.
    parts += [
        f"{adapter.weight:g} x {_own_fingerprint(adapter, in_folder=bool(adapter.weight_files()))}"
        for adapter in adapters_of(ref)
    ]
    return " + ".join(parts)


def _own_fingerprint(ref: AnyRef, *, in_folder: bool) -> str:
    if in_folder:
        return "sha256:" + "+".join(sha256_of(file)[:12] for file in ref.weight_files())
    snapshot = ref.hub_snapshot()
    return f"commit:{snapshot.name}" if snapshot else f"revision:{ref.revision}"


def adapters_of(ref: AnyRef) -> tuple[AdapterRef, ...]:
    """Adapters of a model; () for one that has none, or can have none."""
    return (ref.adapters or ()) if isinstance(ref, DiffusionRef) else ()


def with_adapters(refs: Mapping[str, ModelRef]) -> dict[str, AnyRef]:
    """Models by role, each followed by its adapters: "inpaint", "inpaint.adapters.0" ..."""
    found: dict[str, AnyRef] = {}
    for role, ref in refs.items():
        found[role] = ref
        found |= {f"{role}.adapters.{number}": adapter for number, adapter in enumerate(adapters_of(ref))}
    return found


def check_models(refs: Mapping[str, AnyRef], *, offline: bool, advice: str = "", trust_cache: bool = True) -> None:
    """Raise ModelNotFoundError, with a line for each, where models (by role) are neither here nor to be had.

    The hub is asked once for each model that is not here, without a retry, and not at all when it does not answer.
    `trust_cache` False: what is in the hub's cache proved incomplete.
    """
    faults: list[str] = []
    absent: dict[str, str] = {}
    why = "offline: true allows no download; set offline: false" if offline else ""
    for role, ref in refs.items():
        fault = local_fault(ref)
        if ref.folder:
            if fault is None:
                faults.append(f"models.{role}.folder: there is no folder {ref.folder!r}")
            elif fault:
                faults.append(f"models.{role}: {ref.folder!r} {fault}")
        elif fault != "" or not trust_cache:
            there = ""
            if not why:
                there, why = _ask_hub(ref)
            if there:
                faults.append(f"models.{role}: {ref.id!r} {there}")
            else:
                absent[role] = f"models.{role}: {ref.id!r} {fault or 'is not on this machine'}"
    if absent and why:
        faults += [*absent.values(), f"{why}, or models.*.folder to a copy"]
    if faults:
        raise ModelNotFoundError("\n".join([*faults, *([advice] if advice else [])]))


def prompt_model(config: Config, role: str) -> ModelRef:
    """Where a model of the prompt book comes from. Raises ConfigError where the config has none."""
    ref: ModelRef | None = getattr(config.models, role)
    if ref is None:
        expected = f"{_NEEDS[role]}, and the bundle {config.bundle!r} has none; give an id or a folder, or "
        raise ConfigError([Fault(file="config", column=f"models.{role}", expected=expected + WITHOUT[role])])
    return ref


def models_of_run(config: Config, spec: Spec, *, book: bool, painting: bool) -> dict[str, AnyRef]:
    """Models that a run needs, by role: to make the prompt book, to paint (with adapters) and to verify.

    Raises ConfigError for one of the book's that the config does not have.
    """
    needed: dict[str, ModelRef] = {}
    if book:
        captions = any(row.references for row in spec.rows)
        several, writes = config.prompts.variants > 1, config.prompts.enrich == "gpt2"
        needs = {
            "captioner": captions,
            "enricher": several and writes,
            "embedder": several and (writes or captions or bool(spec.attributes)),
        }
        needed |= {role: prompt_model(config, role) for role, is_needed in needs.items() if is_needed}
    if painting:
        roles = ["background", "inpaint", "vae"]
        roles += ["clip", "detector"] if config.labels.verify and config.models.clip is not None else []
        needed |= {role: ref for role in roles if (ref := getattr(config.models, role)) is not None}
    return with_adapters(needed)


def check_run(config: Config, spec: Spec, *, book: bool, painting: bool) -> None:
    """As `check_models`, for all that a run needs, with what would help this spec."""
    advice = []
    if config.bundle in BUNDLES and any(model and not model.get("folder") for model in config.card.models.values()):
        advice.append(f"boxpaint doctor --get {config.bundle} gets what the bundle names, once and for all runs")
    with contextlib.suppress(DomainError):
        if not load_card("pocket").check_domain(spec):
            advice.append("bundle: pocket needs no download, and knows all words of these CSV files")
    needed = models_of_run(config, spec, book=book, painting=painting)
    check_models(needed, offline=config.offline, advice="; ".join(advice))


def files_to_get(ref: AnyRef, files: list[str]) -> list[str]:
    """Of a repository's files those that are loaded: configs, tokenizers, and one kind of weights for each part."""
    if isinstance(ref, AdapterRef):
        return ref.choose_files(files)
    weights: dict[str, dict[tuple[str, str], list[str]]] = {}
    for name in files:
        if match := _WEIGHTS.fullmatch(name):
            found = weights.setdefault(match["part"] or "", {})
            found.setdefault((match["kind"], match["variant"] or ""), []).append(name)
    kinds = ("safetensors", "bin") if ref.allow_pickle else ("safetensors",)
    wanted = [(kind, variant) for kind in kinds for variant in dict.fromkeys((ref.variant or "", ""))]
    chosen = [next((found[each] for each in wanted if each in found), []) for found in weights.values()]
    return [name for name in files if name.endswith(_SMALL_FILES)] + [name for names in chosen for name in names]


def get_models(refs: Mapping[str, AnyRef], on_model: Callable[[str], None] = lambda _: None) -> None:
    """Download what is loaded of hub models into the hub's cache; `on_model` hears of each before.

    Raises ModelNotFoundError as `check_models`, before any download, and where one ends before it is whole.
    """
    from huggingface_hub import snapshot_download

    check_models(refs, offline=False)
    for ref in refs.values():
        if not ref.folder and local_fault(ref) != "":
            on_model(ref.id or "")
            files = files_to_get(ref, _list_files(ref))
            try:
                snapshot_download(ref.id or "", revision=ref.revision, allow_patterns=files)
            except Exception as error:  # of whichever library huggingface_hub speaks HTTP with, or of the disk
                raise ModelNotFoundError(
                    f"{ref.id}: the download ended before it was whole ({_cause(error)}); the same command goes on"
                ) from error


def _list_files(ref: AnyRef) -> list[str]:
    from huggingface_hub import HfApi

    siblings = HfApi().model_info(ref.id or "", revision=ref.revision, timeout=_TIMEOUT_S).siblings
    return [sibling.rfilename for sibling in siblings or ()]


def _ask_hub(ref: AnyRef) -> tuple[str, str]:
    """(what is wrong with the model, why the hub cannot be asked); both "" where the model can be had."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        return weights_fault(ref, _list_files(ref)), ""
    except HFValidationError:
        return "is no name that a repository of the hub can have", ""
    except OfflineModeIsEnabled:
        return "", "HF_HUB_OFFLINE is set, which allows no download; unset it"
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403, 404):
            return f"cannot be had ({status}): check models.*.id and revision, or log in with: hf auth login", ""
        return "", f"{constants.ENDPOINT} answers with an error ({status}); {_MIRROR}"
    except Exception as error:  # of whichever library huggingface_hub speaks HTTP with
        return "", f"{constants.ENDPOINT} cannot be reached ({_cause(error)}); {_MIRROR}"


def _cause(error: Exception) -> str:
    return (str(error) or repr(error)).splitlines()[0]
