"""Train a painter on labelled photos, in a folder of its own that is a bundle when it is finished.

Small painters are trained as a whole; of a large one (Stable Diffusion) a LoRA is, for each of its two models.

run.json                 what was asked for, photos with digests, and the bundle it started from
*.checkpoint.pt          while a part trains, to go on from; gone when that is finished
inpaint/ clip/           models in the layouts of diffusers and transformers, fp16; each whole or absent
inpaint/ background/     or: a LoRA of each, in the form of diffusers
bundle.yaml              the card: `bundle: <this folder>` in a config
samples.png nearest.png  what it paints before and after, and the real objects that is most like
numbers.json             held-out figures before, during and after; written last: finished
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from detection.datasets.sources import picture_digests
from detection.datasets.types import DetectionDataset, digest_of_set
from detection.painter.settings import SCRATCH, Listener, PainterSettings
from detection.painter.training import NUMBERS, SPLIT, PainterTraining
from detection.painter.wording import PlainWording
from generator.bundles import BUNDLES, CARD_FILE
from generator.config import Config
from generator.foundation.errors import BoxpaintError, DatasetError, Fault, ModelNotFoundError
from generator.foundation.run_folder import PAINTER, add_kind, kind_of, working_in
from generator.foundation.seeds import derive_rng
from generator.foundation.storage import read_json
from generator.models.weights import fingerprint, get_models, local_fault, with_adapters

MIN_PHOTO_PX = 32
# Weight files of more bytes are those of a painter that is too large to be trained as a whole.
LARGE_BYTES = 500_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PainterResult:
    """A trained painter: its folder is a bundle. `numbers` are held-out figures, by name; `remarks` what to know."""

    folder: Path
    numbers: dict[str, float]
    remarks: tuple[str, ...]
    seconds: float
    was_finished: bool


def train_painter(
    photos: DetectionDataset,
    out: Path,
    settings: PainterSettings,
    *,
    start: str = "pocket",
    validation: DetectionDataset | None = None,
    captions: Mapping[str, Sequence[str]] | None = None,
    device: torch.device,
    seed: int = 0,
    overwrite: bool = False,
    listener: Listener | None = None,
) -> PainterResult:
    """Train a painter in `out`; the same call again goes on after a stop, and of a finished one says what came of it.

    `start` is a bundle, by name or folder, "scratch" (the pocket's architecture without what it learned), or the folder
    or hub id of an inpainting model. Without `validation` a share of the photos is held out. `captions` are those of
    whole photos, by file name. Raises BoxpaintError: DatasetError for photos that show nothing, RunMismatchError,
    ModelError, StorageError.
    """
    listener = listener or Listener()
    categories = tuple(name for name, count in photos.counts().items() if count)
    if not categories:
        raise DatasetError([Fault(file="--real", expected="photos with labelled objects; these show none")])
    check_sizes(photos if validation is None else photos.joined(validation))
    base, is_large = base_of(start, device)
    refs = {role: ref for role in ("inpaint", "background") if (ref := getattr(base.models, role)) is not None}
    if is_large:  # before anything is said of its weights
        get_models(with_adapters(refs), on_model=lambda name: listener.on_stage(f"downloading {name}"))
    else:
        check_at_hand(base)
    identity = {
        "start": start,
        "weights": ", ".join(map(fingerprint, refs.values())),
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "photos": _digest(photos),
        "validation": None if validation is None else _digest(validation),
        "captions": {name: list(texts) for name, texts in (captions or {}).items()},
    }
    with working_in(out):
        if PAINTER.check(out, identity, overwrite=overwrite):
            return _result(out, was_finished=True)
        shown, held_out = (photos, validation) if validation is not None else _split(photos, settings.val_share, seed)
        training = PainterTraining(
            out=out,
            settings=settings,
            seed=seed,
            device=device,
            base=base,
            is_large=is_large,
            from_scratch=start == SCRATCH,
            shown=shown,
            held_out=held_out,
            categories=categories,
            wording=PlainWording(scene=settings.scene, captions=captions or {}),
            listener=listener,
            origin=identity,
        )
        training.check_subject()
        if overwrite:
            PAINTER.clear(out)
        PAINTER.begin(out, {**identity, "pictures": [sample.path.name for sample in photos.samples]})
        training.go_on()
        if is_large:
            training.learn_lora("inpaint")
            if base.models.background is not None:
                training.learn_lora("background")
        else:
            training.learn_vae()
            training.learn_unet()
            training.learn_clip()
        training.finish()
    return _result(out, was_finished=False)


def _result(out: Path, *, was_finished: bool) -> PainterResult:
    content = read_json(out / NUMBERS)
    try:
        return PainterResult(
            folder=out,
            numbers={str(name): float(value) for name, value in content["figures"].items()},
            remarks=tuple(content["remarks"]),
            seconds=sum(float(part["seconds"]) for part in content["parts"].values()),
            was_finished=was_finished,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BoxpaintError(f"{out / NUMBERS}: is damaged; --overwrite starts again") from None


def check_sizes(photos: DetectionDataset) -> None:
    """Raise DatasetError for photos in which nothing could be seen."""
    faults = [
        Fault(
            file=str(sample.path),
            found=f"{sample.width} x {sample.height} px",
            expected=f"a photo to learn from has {MIN_PHOTO_PX} px and more on each side; leave it out with --subset",
        )
        for sample in photos.samples
        if min(sample.width, sample.height) < MIN_PHOTO_PX
    ]
    if faults:
        raise DatasetError(faults)


def check_at_hand(base: Config) -> None:
    """Raise ModelNotFoundError where a model to start from is not on this machine: a training downloads nothing."""
    refs = with_adapters({role: ref for role in ("inpaint", "clip") if (ref := getattr(base.models, role)) is not None})
    missing = [
        f"{ref.folder or ref.id} {fault or 'is not on this machine'}"
        for ref in refs.values()
        if (fault := local_fault(ref)) != ""
    ]
    if missing:
        advice = f"boxpaint doctor --get {base.bundle} gets what can be had"
        raise ModelNotFoundError(f"--from {base.bundle}: {'; '.join(missing)}; {advice}")


def base_of(start: str, device: torch.device) -> tuple[Config, bool]:
    """The config that a training starts from, and whether its painter is too large to be trained as a whole.

    What is not here of a large one is downloaded. Raises BoxpaintError for a start that is none.
    """
    common: dict[str, Any] = {"device": str(device)}
    if start != SCRATCH and start not in BUNDLES and not (Path(start) / CARD_FILE).is_file():
        kind = kind_of(Path(start))
        if Path(start).is_dir() and kind is None:
            model = {"folder": str(Path(start).resolve())}
        elif "/" in start and not Path(start).exists():
            model = {"id": start}
        else:
            names = f"{', '.join(BUNDLES)}, {SCRATCH}"
            needed = f"{names}, the folder of a painter, bundle or model, or a repository (owner/name) is needed"
            unfinished = "; the training of this painter is unfinished: the command that began it goes on"
            more = unfinished if kind == PAINTER else add_kind("", Path(start))
            raise BoxpaintError(f"--from: found {start!r}; {needed}{more}")
        models = {"inpaint": model, "background": None}
        return Config.model_validate({**common, "bundle": "sd21", "models": models}), True
    base = Config.model_validate({**common, "bundle": "pocket" if start == SCRATCH else start})
    ref = base.models.inpaint
    files = ref.weight_files()
    if ref.adapters or not files or sum(file.stat().st_size for file in files) > LARGE_BYTES:
        return base, True
    return base.model_copy(update={"offline": True}), False


def _split(photos: DetectionDataset, val_share: float, seed: int) -> tuple[DetectionDataset, DetectionDataset | None]:
    """Hold out a share of the photos, none that alone shows a class; nothing where nothing can be spared."""
    wanted = max(1, round(val_share * len(photos))) if val_share and len(photos) >= 3 else 0
    held: list[int] = []
    for position in derive_rng(seed, SPLIT).permutation(len(photos)).tolist():
        rest = [number for number in range(len(photos)) if number != position and number not in held]
        shown = photos.choose(rest).counts()
        has_all = all(shown[name] for name, count in photos.counts().items() if count)
        if len(held) < wanted and has_all and len(photos.samples[position].labels):
            held.append(position)
    if not held:
        return photos, None
    return photos.choose(number for number in range(len(photos)) if number not in held), photos.choose(held)


def _digest(data: DetectionDataset) -> str:
    return digest_of_set(data, picture_digests(data))
