"""The training of a painter from top to bottom: each part is on disk, with its figures, before the next begins."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors import SafetensorError
from transformers import CLIPModel, CLIPTextModel

from detection.datasets.types import DetectionDataset
from detection.painter.bundle import grain_of, write_card
from detection.painter.figures import (
    NEAR_COPY,
    PaintedSample,
    agreement,
    draw_nearest,
    draw_samples,
    find_nearest,
    paint_into,
    places_for,
    region_of,
)
from detection.painter.learning import Learner, fit
from detection.painter.lora import LoraRecipe, add_lora, lora_learner, paint_prior, save_lora, with_lora
from detection.painter.photos import LabelledPhoto, Limits, canvas_of, described, measure_limits, read_photos
from detection.painter.samples import (
    MAX_SHARED,
    Bank,
    Encoded,
    Sample,
    SampleRecipe,
    Subject,
    cannot_be_shown,
    encode_samples,
    side_for,
)
from detection.painter.settings import Listener, LoraSettings, PainterSettings, Part
from detection.painter.unet import Denoiser, UnetRecipe, held_out_loss, save_pipeline, unet_learner
from detection.painter.vae import VaeRecipe, psnr, set_scale, tie_channels, vae_learners
from detection.painter.verifier import PLACE, clip_learner, draw_look, held_out_looks
from detection.painter.wording import PlainWording, object_prompt
from generator.bundles import ModelRef, load_card
from generator.config import Config
from generator.foundation.device import choose_dtype
from generator.foundation.errors import (
    DatasetError,
    Fault,
    ModelError,
    StorageError,
    reason_of,
)
from generator.foundation.history import History
from generator.foundation.seeds import derive_rng, derive_seed
from generator.foundation.storage import (
    atomic_folder,
    atomic_writer,
    read_json,
    remove,
    translate_os_errors,
    write_json,
)
from generator.foundation.training import Budget
from generator.models.vision_language import Clip
from generator.models.weights import local_fault
from generator.painting.finish import is_grey
from generator.painting.models import DiffusionModel, load_model
from generator.painting.painter import BackgroundJob
from generator.painting.stable_diffusion import StableDiffusionPainter

PARTS, NUMBERS, SAMPLES, NEAREST = "parts.json", "numbers.json", "samples.png", "nearest.png"
# A canvas of more pixels is slow to paint on two cores; that of the pocket has as many.
MAX_CANVAS_PX = 416 * 320
MAX_SIDE_PX = 256
# Pictures that a VAE sees in a step, and their side: parts of crops and of whole photos.
VAE_BATCH, VAE_SIDE_PX = 8, 96
CLIP_BATCH = 64
HELD_OUT_SAMPLES, MEASURED_PICTURES, GRAIN_PICTURES = 64, 24, 4
# Shares of a clock limit at whose end a part stops.
CLOCK = {"vae": 0.3, "unet": 0.88, "clip": 1.0, "inpaint": 0.6, "background": 1.0}
# Above this share of near-copies, where real objects are not as alike themselves, it is said.
MAX_NEAR_COPIES = 0.2
_SHEET_COLUMNS = 8
# Positions below the seed.
SPLIT, _VAE, _UNET, _CLIP, _CROPS, _CANVASES, _HELD_OUT, _LOOKS, _PLACES, _SCALE, _LORA, _PRIOR, _GRAIN = range(13)


@dataclass(kw_only=True, eq=False)
class PainterTraining:
    """A training in its folder; each part is on disk when its method returns, and not trained again."""

    out: Path
    settings: PainterSettings
    seed: int
    device: torch.device
    base: Config
    is_large: bool
    from_scratch: bool
    shown: DetectionDataset
    held_out: DetectionDataset | None
    categories: tuple[str, ...]
    wording: PlainWording
    listener: Listener
    origin: Mapping[str, Any]
    numbers: dict[str, Any] = field(default_factory=dict)

    def check_subject(self) -> None:
        """Raise DatasetError for classes that could not be learned, ModelError for a start that cannot be loaded."""
        if hidden := cannot_be_shown(self.subject):
            others = ",".join(name for name in self.categories if name not in hidden)
            expected = (
                f"of {' and '.join(hidden)} no object can be shown alone: each shares more than {MAX_SHARED:.0%} of "
                "its box with another one, or fills its photo; add photos, or leave it out"
                f"{others and f': --categories {others!r}'}"
            )
            raise DatasetError([Fault(file="--real", expected=expected)])
        scheduler: Any = self.start_model.new_scheduler()
        kind, channels = scheduler.config.prediction_type, self.start_model.unet.config.in_channels
        if not self.is_large and (kind, channels) != ("v_prediction", 9):
            raise ModelError(
                f"--from {self.base.bundle}: its UNet has {channels} channels and predicts {kind}; one for inpainting, "
                "of 9 channels and v_prediction, is needed, as that of pocket"
            )

    def go_on(self) -> None:
        """Take the numbers of the parts that are finished."""
        file = self.out / PARTS
        self.numbers = read_json(file) if file.exists() else {}

    # What is learned from.

    @cached_property
    def canvas_wh(self) -> tuple[int, int]:
        """Width and height of the pictures that the bundle will paint."""
        return canvas_of(self.shown, math.prod(self.base.canvas_wh) if self.is_large else MAX_CANVAS_PX)

    def _even_canvas(self, model: DiffusionModel) -> tuple[int, int]:
        """The canvas, enlarged to what a model can paint."""
        width, height = (-(-side // model.size_multiple) * model.size_multiple for side in self.canvas_wh)
        return width, height

    @cached_property
    def photos(self) -> list[LabelledPhoto]:
        """Photos that are learned from."""
        return described(self._plain_photos, self._limits)

    @cached_property
    def _plain_photos(self) -> list[LabelledPhoto]:
        return read_photos(self.shown, self.canvas_wh)

    @cached_property
    def _limits(self) -> Limits:
        return measure_limits(self._plain_photos)

    @cached_property
    def measured_photos(self) -> list[LabelledPhoto]:
        """Photos that figures are taken on: held out where there are any, else those that are learned from."""
        if self.held_out is None:
            return self.photos
        return described(read_photos(self.held_out, self.canvas_wh), self._limits)

    @cached_property
    def subject(self) -> Subject:
        """What is learned."""
        kinds = dict.fromkeys(self.categories, 1.0)
        model, recipe = self.start_model, SampleRecipe(turns=self.settings.turns, flips=self.settings.flips)
        side = side_for(self.photos, kinds, self.base.painting.box_share, MAX_SIDE_PX)
        return Subject(
            photos=self.photos,
            kinds=kinds,
            wording=self.wording,
            side_px=self.settings.side or (model.native_px if self.is_large else side),
            size_multiple=model.size_multiple,
            recipe=recipe if self.base.models.background is None else replace(recipe, scene_share=0.0),
        )

    @cached_property
    def measured(self) -> Subject:
        """The same of held-out photos, as they are; of the classes that they show."""
        kinds = {name: 1.0 for name in self.categories if any(photo.of(name) for photo in self.measured_photos)}
        subject = self.subject
        return Subject(
            photos=self.measured_photos,
            kinds=kinds or subject.kinds,
            wording=self.wording,
            side_px=subject.side_px,
            size_multiple=subject.size_multiple,
        )

    @cached_property
    def start_model(self) -> DiffusionModel:
        """The model that inpaints, as it is before training."""
        model = self._load("inpaint")
        if self.from_scratch:
            torch.manual_seed(self.seed)
            for part in (model.vae, model.unet):
                part.load_state_dict(type(part).from_config(part.config).state_dict())
            model.text_encoder.load_state_dict(CLIPTextModel(model.text_encoder.config).state_dict())
        return model

    def _load(self, role: str) -> DiffusionModel:
        """A model to train; on a GPU the frozen weights of a large one take half the memory."""
        ref, dtype = getattr(self.base.models, role), torch.float32
        if self.is_large and self.device.type != "cpu":
            dtype = choose_dtype(ref.dtype or self.base.dtype, self.device)
        return load_model(role, ref, device=self.device, dtype=dtype, offline=self.base.offline, for_training=True)

    # The parts.

    def learn_vae(self) -> None:
        """Train the VAE on parts of crops and of photos."""
        if "vae" in self.numbers:
            return
        folder, vae = self.out / "inpaint" / "vae", self.start_model.vae
        crops = [self.measured.draw(derive_rng(self.seed, _HELD_OUT, k)).pixels for k in range(MEASURED_PICTURES)]
        whole = [_even(photo.image) for photo in self.measured_photos[:MEASURED_PICTURES]]

        def figures() -> dict[str, float]:
            return {"crops": psnr(vae, crops, self.device), "photos": psnr(vae, whole, self.device)}

        before = figures()
        vae.requires_grad_(True)
        grey = all(is_grey(photo.image) for photo in self.photos)
        history = self._fit(
            "vae",
            vae_learners(vae, self._vae_pictures, VaeRecipe(ema_decay=0.99), self.device),
            self.settings.vae_steps,
            VAE_BATCH,
            score=lambda: sum(figures().values()) / 2,
        )
        if grey:
            tie_channels(vae)
        pictures = [self.subject.draw(derive_rng(self.seed, _SCALE, number)).pixels for number in range(64)]
        set_scale(vae, pictures, self.device)
        vae.requires_grad_(False)
        with _new_folder(folder) as part:
            vae.half().save_pretrained(part)
        vae.float()
        self._keep("vae", history, before, figures())

    def _vae_pictures(self, rng: np.random.Generator) -> list[np.ndarray]:
        """A batch: parts of crops as the UNet will see them, and parts of photos as they are."""
        pictures = []
        for _ in range(VAE_BATCH):
            if rng.random() < 0.5:
                source = self.subject.draw(rng).pixels
            else:
                source = self.photos[int(rng.integers(len(self.photos)))].image
            side = min(VAE_SIDE_PX, *source.shape[:2])
            top, left = (int(rng.integers(0, room - side, endpoint=True)) for room in source.shape[:2])
            part = source[top : top + side, left : left + side]
            if self.settings.turns:
                part = np.rot90(part, int(rng.integers(4)))
            if self.settings.flips and rng.random() < 0.5:
                part = part[:, ::-1]
            pictures.append(np.ascontiguousarray(part) if side == VAE_SIDE_PX else _padded(part, VAE_SIDE_PX))
        return pictures

    def learn_unet(self) -> None:
        """Train the UNet and its text encoder, with the VAE as it was saved."""
        if "unet" in self.numbers:
            return
        folder = self.out / "inpaint"
        model = self.start_model
        recipe = UnetRecipe(
            batch_size=self.settings.batch_size,
            learning_rate=self.settings.learning_rate,
            samples=(64, max(64, 3 * self.settings.steps)),
        )
        vae: Any = AutoencoderKL.from_pretrained(folder / "vae", dtype=torch.float32).to(self.device).eval()
        unet = model.unet
        unet.register_to_config(sample_size=self.subject.side_px // model.vae_scale)
        scheduler: Any = model.new_scheduler()
        denoiser = Denoiser(
            unet=unet,
            text_encoder=model.text_encoder,
            tokenizer=model.tokenizer,
            levels=scheduler.alphas_cumprod.to(self.device),
        )
        samples = [self.measured.draw(derive_rng(self.seed, _HELD_OUT, k)) for k in range(HELD_OUT_SAMPLES)]
        rows = [row for sample in samples for row in encode_samples([sample], vae, self.device)]

        def loss() -> float:
            return held_out_loss(denoiser, rows, self.seed)

        before = {"loss": loss()}
        for part in (unet, model.text_encoder):
            part.requires_grad_(True)
        canvas_wh = self._even_canvas(model)
        learner = unet_learner(
            denoiser,
            Bank(self.subject.draw, vae, derive_seed(self.seed, _CROPS), self.device),
            Bank(
                lambda rng: self.subject.draw_canvas(canvas_wh, rng),
                vae,
                derive_seed(self.seed, _CANVASES),
                self.device,
            ),
            recipe,
        )
        history = self._fit("unet", [learner], self.settings.steps, recipe.batch_size, score=lambda: -loss())
        after = {"loss": loss()}
        with _new_folder(folder) as place:
            save_pipeline(denoiser, vae, scheduler, place)
        self._keep("unet", history, before, after)

    def learn_clip(self) -> None:
        """Tune the verifier on crops of the photos."""
        folder, ref = self.out / "clip", self.base.models.clip
        if ref is None or "clip" in self.numbers:
            return
        clip = Clip("clip", ref, device=self.device, offline=True)
        model: Any = clip.model
        if self.from_scratch:
            torch.manual_seed(self.seed)
            model.load_state_dict(CLIPModel(model.config).state_dict())
        model.requires_grad_(True)
        side = int(model.config.vision_config.image_size)
        looks = held_out_looks(self.measured, side, derive_rng(self.seed, _LOOKS))
        texts = self._texts()

        def right() -> float:
            rows = clip.embed_texts([text for _, text in texts])
            chosen = (clip.embed_pictures([look.pixels for look in looks]) @ rows.T).argmax(axis=1)
            hits: dict[str, list[bool]] = {}
            for look, index in zip(looks, chosen, strict=True):
                owner = texts[int(index)][0] or PLACE
                hits.setdefault(look.kind, []).append(owner == look.kind)
            return float(np.mean([np.mean(values) for values in hits.values()]))

        before = {"right": right()}
        learner = clip_learner(
            model,
            clip.processor.image_processor,
            clip.processor.tokenizer,
            lambda rng: [draw_look(self.subject, side, rng) for _ in range(CLIP_BATCH)],
            self.device,
            learning_rate=5e-4,
            ema_decay=0.99,
        )
        history = self._fit("clip", [learner], self.settings.clip_steps, CLIP_BATCH, score=right)
        after = {"right": right()}
        with _new_folder(folder) as part:
            model.half().save_pretrained(part)
            clip.processor.save_pretrained(part)
        self._keep("clip", history, before, after)

    def learn_lora(self, role: str) -> None:
        """Train a LoRA of a model: of the one that inpaints on crops, of the background's on whole photos."""
        folder = self.out / role
        if role in self.numbers:
            return
        settings, is_inpaint = self.settings.lora or LoraSettings(), role == "inpaint"
        number = ("inpaint", "background").index(role)
        model = self.start_model if is_inpaint else self._load(role)
        recipe = LoraRecipe(
            rank=settings.rank,
            alpha=settings.alpha or settings.rank,
            text_encoder=settings.text_encoder,
            gradient_checkpointing=settings.gradient_checkpointing,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            samples=(16, max(16, settings.batch_size * self.settings.steps // 4)),
        )
        vae = model.vae
        canvas_wh = self._even_canvas(model)

        def draw_from(subject: Subject) -> Callable[[np.random.Generator], Sample]:
            return subject.draw if is_inpaint else lambda rng: subject.draw_canvas(canvas_wh, rng)

        def encoded(samples: Iterable[Sample]) -> list[Encoded]:
            return [row for sample in samples for row in encode_samples([sample], vae, self.device)]

        draw_held_out = draw_from(self.measured)
        rows = encoded(draw_held_out(derive_rng(self.seed, _HELD_OUT, k)) for k in range(HELD_OUT_SAMPLES))
        self.__dict__.pop("start_model", None)  # one model is in memory at a time
        if settings.prior_images:
            self.listener.on_stage("pictures to remember")
        prior = paint_prior(model, settings.prior_images, self.categories, derive_seed(self.seed, _PRIOR, number))
        denoiser = add_lora(model, recipe, derive_seed(self.seed, _LORA, number))

        def loss() -> float:
            return held_out_loss(denoiser, rows, self.seed, recipe.batch_size)

        before = {"loss": loss()}
        bank = Bank(draw_from(self.subject), vae, derive_seed(self.seed, _CROPS, number), self.device, at_once=4)
        learner = lora_learner(denoiser, bank, encoded(prior), recipe)
        history = self._fit(role, [learner], self.settings.steps, recipe.batch_size, score=lambda: -loss())
        after = {"loss": loss()}
        with _new_folder(folder) as part:
            save_lora(model, part)
        self._keep(role, history, before, after)

    def finish(self) -> None:
        """Write the card, paint samples, compare them with real objects, and write the numbers."""
        out, own = self.out, ("inpaint", "background")
        models: dict[str, Any] = {"inpaint": {"folder": "inpaint"}, "background": None}
        clip_ref: ModelRef | None = ModelRef(folder=str(out / "clip")) if (out / "clip").exists() else None
        beside = None if clip_ref is None else {"folder": "clip"}
        models |= {"clip": beside, "embedder": beside, "captioner": None, "enricher": None}
        if self.is_large:
            models = {role: with_lora(ref, role if role in own else None) for role, ref in self.base.models}
            clip_ref = self.base.models.clip
            if clip_ref is None or local_fault(clip_ref) != "":
                clip_ref = None
        start = load_card(self.base.bundle)
        card = partial(
            write_card,
            out,
            start,
            self.photos,
            self.categories,
            self.wording,
            self.canvas_wh,
            models,
            knows_all_words=self.is_large and start.vocabulary is None,
        )
        card(noise=self.base.painting.sensor_noise)
        load_card.cache_clear()
        if not self.is_large:
            card(noise=self._missing_grain())
            load_card.cache_clear()
        self.listener.on_stage("painting samples")
        common = {"device": str(self.device), "offline": self.base.offline}
        places = places_for(self.measured, self.settings.samples, derive_seed(self.seed, _PLACES))
        tuned = Config.model_validate({"bundle": str(out), **common})
        after = paint_into(places, tuned, self.seed)
        before = paint_into(places, self.base, self.seed) if not self.from_scratch else [None] * len(places)
        samples = [
            PaintedSample(category=kind, place=place.pixels, before=old, after=new, region=region_of(place))
            for (kind, place), old, new in zip(places, before, after, strict=True)
        ]
        figures: dict[str, float] = {}
        remarks: list[str] = []
        if samples and clip_ref is not None:
            clip = Clip("clip", clip_ref, device=self.device, offline=True)
            for name, share in agreement(samples, clip, self._texts()).items():
                figures[f"samples that the verifier takes for {name}"] = share
            nearest, among_real = find_nearest(samples, self.subject, clip)
            copies = float(np.mean([each.correlation >= NEAR_COPY for each in nearest]))
            figures |= {"near-copies among samples": copies, "near-copies among real objects": among_real}
            if copies > max(MAX_NEAR_COPIES, 2 * among_real):
                remarks.append(
                    f"{copies:.0%} of the samples are near-copies of real objects ({among_real:.0%} of the real ones "
                    "are of each other): these photos are too few for so many steps; look at nearest.png"
                )
            _save(draw_nearest(samples, nearest, _SHEET_COLUMNS), out / NEAREST)
        if samples:
            _save(draw_samples(samples, self.subject, _SHEET_COLUMNS), out / SAMPLES)
        remarks += [*self._memorised(), *self._not_learned()]
        if self.held_out is None:
            remarks.append(
                "no photo was held out: the figures are of photos that it learned from, and nothing says when it began "
                "to know them by heart"
            )
        write_json(
            out / NUMBERS,
            {
                "photos": len(self.shown),
                "held_out": None if self.held_out is None else len(self.held_out),
                "objects": self.shown.counts(),
                "side_px": self.subject.side_px,
                "canvas": list(self.canvas_wh),
                "figures": {**self._figures(), **figures},
                "remarks": remarks,
                "parts": self.numbers,
            },
        )
        remove(out / PARTS)

    def _missing_grain(self) -> float:
        """Standard deviation of the noise that makes painted pictures as grainy as the photos, in grey levels."""
        config = Config.model_validate({"bundle": str(self.out), "device": str(self.device), "offline": True})
        jobs = [
            BackgroundJob(
                prompt=self.wording.scene,
                negative_prompt=config.painting.background_negative_prompt,
                seed=derive_seed(self.seed, _GRAIN, number),
                size_wh=config.canvas_wh,
            )
            for number in range(GRAIN_PICTURES)
        ]
        painted = StableDiffusionPainter(config).paint_backgrounds(jobs)
        wanted = float(np.median([grain_of(photo.image) for photo in self.photos]))
        there = float(np.median([grain_of(each.pixels) for each in painted]))
        grey = all(is_grey(photo.image) for photo in self.photos)
        # Noise of three channels of its own is less in grey (ITU-R BT.601).
        return math.sqrt(max(0.0, wanted**2 - there**2)) / (1.0 if grey else math.hypot(0.299, 0.587, 0.114))

    # Helpers of the parts.

    def _texts(self) -> list[tuple[str, str]]:
        """What a crop is compared with: (class, or "" for none; prompt)."""
        return [*((name, object_prompt(name)) for name in self.categories), ("", self.wording.scene)]

    def _fit(
        self, part: str, learners: Sequence[Learner], steps: int, batch_size: int, score: Callable[[], float]
    ) -> History:
        settings = self.settings
        minutes = seconds_left = None
        if settings.minutes is not None:
            spent = sum(float(each["seconds"]) for each in self.numbers.values()) / 60
            share = 1.0 if part == "inpaint" and self.base.models.background is None else CLOCK[part]
            minutes = max(0.05, share * settings.minutes - spent)
            seconds_left = max(3.0, 60 * (settings.minutes - spent))
        shares = self._shares()
        number = list(shares).index(part)
        self.listener.on_part(
            Part(
                name=part,
                title=_TITLES[part],
                number=number + 1,
                parts=len(shares),
                before=sum(list(shares.values())[:number]),
                share=shares[part],
                seconds_left=seconds_left,
            )
        )
        begun = time.monotonic()
        checkpoint = self.out / f"{part}.checkpoint.pt"
        budget = Budget(steps=steps, minutes=minutes)
        history = fit(
            learners,
            budget,
            seed=derive_seed(self.seed, _POSITIONS[part]),
            device=self.device,
            batch_size=batch_size,
            checkpoint=checkpoint,
            made_from={"part": part, **self.origin},
            score=score if self.held_out is not None else None,
            score_every=settings.validate_every,
            patience=settings.patience,
            listener=self.listener,
        )
        self._seconds = max(budget.seconds, time.monotonic() - begun)
        return history

    def _shares(self) -> dict[str, float]:
        """The share of each part in the time that all take; measured on two cores, with crops of 192 px."""
        settings, side_px = self.settings, self.subject.side_px
        if self.is_large:
            roles = ["inpaint", *(["background"] if self.base.models.background is not None else [])]
            return dict.fromkeys(roles, 1 / len(roles))
        work = {
            "vae": 1.65 * settings.vae_steps,
            "unet": 0.74 * settings.steps * settings.batch_size / 16 * (side_px / 192) ** 2,
            "clip": 0.48 * settings.clip_steps if self.base.models.clip is not None else 0.0,
        }
        return {name: value / sum(work.values()) for name, value in work.items() if value}

    def _keep(self, part: str, history: History, before: dict[str, float], after: dict[str, float]) -> None:
        self.numbers[part] = {
            "steps": len(history.losses),
            "best_step": history.best_step,
            "seconds": round(self._seconds, 1),
            "before": before,
            "after": after,
            "validations": [[step, round(value, 5)] for step, value in history.validations],
        }
        write_json(self.out / PARTS, self.numbers)
        remove(self.out / f"{part}.checkpoint.pt")

    def _figures(self) -> dict[str, float]:
        where = "held-out photos" if self.held_out is not None else "the photos it learned from"
        figures = {}
        for part, name, title in _FIGURES:
            if part in self.numbers:
                for when in ("before", "after"):
                    figures[f"{title}, {where}, {when}"] = float(self.numbers[part][when][name])
        return figures

    def _memorised(self) -> list[str]:
        """What the held-out loss says: that it rose again while training went on."""
        part = self.numbers.get("unet") or self.numbers["inpaint"]
        validations = part["validations"]
        if len(validations) < 3 or part["best_step"] > 0.6 * part["steps"]:
            return []
        best, last = max(value for _, value in validations), validations[-1][1]
        if -last < 1.05 * -best:
            return []
        return [
            f"the held-out loss was lowest at step {part['best_step']} of {part['steps']} and rose by "
            f"{last / best - 1:.0%} after: these photos are too few for more steps; the weights of that step are kept"
        ]

    def _not_learned(self) -> list[str]:
        """Say of a LoRA that it is no better than the model without it."""
        remarks = []
        for role in ("inpaint", "background"):
            if role in self.numbers:
                before, after = (float(self.numbers[role][when]["loss"]) for when in ("before", "after"))
                if after >= before:
                    remarks.append(
                        f"the held-out loss of {_TITLES[role]} did not fall ({before:.4f} before, {after:.4f} after): "
                        "it adds nothing yet; take more --steps or a higher --learning-rate"
                    )
        return remarks


_TITLES = {
    **{"vae": "the VAE", "unet": "the UNet and its words", "clip": "the verifier"},
    **{"inpaint": "a LoRA of the model that paints objects", "background": "a LoRA of the model that paints scenes"},
}
_POSITIONS = {"vae": _VAE, "unet": _UNET, "clip": _CLIP, "inpaint": _UNET, "background": _CANVASES}
_FIGURES = (
    ("vae", "crops", "VAE PSNR of crops, dB"),
    ("vae", "photos", "VAE PSNR of whole photos, dB"),
    ("unet", "loss", "loss of the UNet inside the mask"),
    ("inpaint", "loss", "loss of the UNet inside the mask"),
    ("background", "loss", "loss of the UNet of scenes"),
    ("clip", "right", "real crops that the verifier gets right"),
)


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """`atomic_folder` for models. Raises StorageError."""
    with atomic_folder(folder) as part, translate_os_errors(folder):
        try:
            yield part
        except SafetensorError as error:  # what it makes of a full disk
            raise StorageError(f"{folder}: cannot be written: {reason_of(error)}") from error


def _even(picture: np.ndarray) -> np.ndarray:
    """Cut to sides that are multiples of 32 px, as a VAE and a UNet want them."""
    height, width = (max(32, side // 32 * 32) for side in picture.shape[:2])
    return picture[:height, :width]


def _padded(picture: np.ndarray, side: int) -> np.ndarray:
    """A smaller picture, mirrored at its edges."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, side - height), (0, side - width), (0, 0)), "symmetric")


def _save(picture: Any, path: Path) -> None:
    with atomic_writer(path) as stream:
        picture.save(stream, "PNG")
