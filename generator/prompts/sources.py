"""Where the texts of the prompt book come from: captions of reference photos, attributes, GPT-2."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from generator.bundles import ModelRef
from generator.config import Config
from generator.foundation.errors import ConfigError, Fault, ModelNotFoundError, SpecError
from generator.prompts.book import Caption, CaptionRow, Captions, RowKey, Skipped, background_key, class_key
from generator.prompts.cache import CAPTION_SETTINGS, CaptionCache
from generator.spec import BACKGROUNDS, EVERYTHING, OBJECTS, AttributeSpec, BackgroundSpec, ClassSpec, Spec
from generator.spec.references import content_hash, find_references, open_reference, reference_fault, sample

if TYPE_CHECKING:
    import torch

    from generator.prompts.models import Captioner, Embedder, Enricher

Model = TypeVar("Model")

_NEEDS = {
    "captioner": "the column references needs a captioner (BLIP)",
    "enricher": "prompts: {enrich: gpt2} needs a GPT-2",
    "embedder": "the prompt book needs an embedder (sentence-transformers, or a folder of CLIP)",
}
_WITHOUT = {
    "captioner": "leave the column references empty",
    "enricher": "set prompts: {enrich: none}",
    "embedder": "set prompts: {enrich: none} and leave out references and attributes.csv",
}


class PromptModels:
    """Captioner, enricher and embedder of a config.

    Raises ConfigError for a model that the config does not have, ModelError for one that cannot be loaded.
    """

    def __init__(self, config: Config):
        self.config = config
        self.used: dict[str, str] = {}
        """Role -> fingerprint of the models that wrote or judged texts, in the order of their first use."""
        self._loaded: dict[str, Any] = {}
        self._hashes: dict[str, str] = {}

    @property
    def captioner(self) -> Captioner:
        """BLIP."""
        from generator.prompts.models import Captioner

        return self._use("captioner", Captioner)

    @property
    def enricher(self) -> Enricher:
        """GPT-2."""
        from generator.prompts.models import Enricher

        return self._use("enricher", Enricher)

    @property
    def embedder(self) -> Embedder:
        """What says how near two texts are."""
        from generator.prompts.models import load_embedder

        return self._use("embedder", load_embedder)

    def ref(self, role: str) -> ModelRef:
        """Where the model of a role comes from."""
        ref: ModelRef | None = getattr(self.config.models, role)
        if ref is None:
            expected = f"{_NEEDS[role]}, and the bundle {self.config.bundle!r} has none; give an id or a folder, or "
            raise ConfigError([Fault(file="config", column=f"models.{role}", expected=expected + _WITHOUT[role])])
        return ref

    def fingerprint(self, role: str) -> str:
        """What identifies the weights of a role; of a hub model that was never here only once it is loaded."""
        from generator.weights import fingerprint

        ref = self.ref(role)
        if ref.folder is None or role not in self._hashes:
            self._hashes[role] = fingerprint(ref)
        return self._hashes[role]

    def _use(self, role: str, load: Callable[..., Model]) -> Model:
        if role not in self._loaded:
            ref = self.ref(role)
            try:
                self._loaded[role] = load(ref, device=self._device, offline=self.config.offline)
            except ModelNotFoundError as error:
                raise ModelNotFoundError(f"{error}; to do without, {_WITHOUT[role]}") from error
        if role not in self.used:
            self.used[role] = self.fingerprint(role)
        model: Model = self._loaded[role]
        return model

    @cached_property
    def _device(self) -> torch.device:
        from generator.foundation.device import choose_device

        return choose_device(self.config.device)


# Pictures decoded at a time: a folder of large photos does not fit into memory.
GROUP = 32


def caption_references(
    spec: Spec, config: Config, models: PromptModels, on_warning: Callable[[str], None]
) -> Captions | None:
    """Caption the reference photos of every row; None when no row has any.

    A picture that cannot be read is skipped, with a line to `on_warning`. Raises SpecError when a row has references
    and none of them can be read.
    """
    rows: dict[RowKey, BackgroundSpec | ClassSpec] = {background_key(row): row for row in spec.backgrounds}
    rows.update((class_key(row), row) for row in spec.classes)
    rows = {key: row for key, row in rows.items() if row.references}
    if not rows:
        return None
    parameters = {"prefix": config.prompts.caption_prefix, "max_references": config.prompts.max_references}
    if models.ref("captioner").folder is None:
        # Of a hub model only the loading tells the commit, which the cache and captions.json go by.
        _ = models.captioner
    captioner = models.used["captioner"] = models.fingerprint("captioner")
    cache = CaptionCache({"captioner": captioner, "prefix": config.prompts.caption_prefix, **CAPTION_SETTINGS})
    captioned = tuple(_caption_row(key, row, spec, config, models, cache, on_warning) for key, row in rows.items())
    return Captions(schema_version=1, model=captioner, parameters=parameters, rows=captioned)


def _caption_row(
    key: RowKey,
    row: BackgroundSpec | ClassSpec,
    spec: Spec,
    config: Config,
    models: PromptModels,
    cache: CaptionCache,
    on_warning: Callable[[str], None],
) -> CaptionRow:
    folder = Path(spec.folder)
    fault = reference_fault(key[0], row.line, row.references, folder)
    if fault is not None:
        raise SpecError([fault])
    captions: list[Caption] = []
    skipped: list[Skipped] = []
    references = sample(find_references(row.references, folder), config.prompts.max_references)
    for start in range(0, len(references), GROUP):
        digests: list[tuple[str, str]] = []  # two folders may hold a 1.jpg each
        unknown: dict[str, np.ndarray] = {}
        for reference in references[start : start + GROUP]:
            try:
                digest = content_hash(reference)
                if cache.get(digest) is None:
                    unknown[digest] = np.array(open_reference(reference))
                digests.append((reference.name, digest))
            except ValueError as error:
                skipped.append(Skipped(picture=reference.name, reason=str(error)))
                on_warning(f"{reference.path}: skipped, {error}")
        if unknown:
            said = models.captioner.caption(list(unknown.values()), prefix=config.prompts.caption_prefix)
            cache.add(dict(zip(unknown, said, strict=True)))
        captions += [Caption(picture=name, sha256=digest, text=cache.get(digest) or "") for name, digest in digests]
    if not captions:
        raise SpecError(
            [
                Fault(
                    file=key[0],
                    line=row.line or None,
                    column="references",
                    found=row.references,
                    expected=f"none of its {len(references)} pictures can be read; the first: {skipped[0].reason}",
                )
            ]
        )
    return CaptionRow(
        table=key[0],
        name=key[1],
        prompt=key[2],
        references=row.references,
        captions=tuple(captions),
        skipped=tuple(skipped),
    )


# An attribute is left out at times, so that no text needs to say everything.
USE_SHARE = 0.75
# Draws without a new text before all are taken to have come up.
PATIENCE = 100


def attributes_for(attributes: Sequence[AttributeSpec], category: str) -> dict[str, tuple[str, ...]]:
    """Attribute -> its values for a category, or for backgrounds where `category` is ""."""
    wanted = (EVERYTHING, OBJECTS, category) if category else (EVERYTHING, BACKGROUNDS)
    values: dict[str, tuple[str, ...]] = {}
    for row in attributes:
        if row.applies_to in wanted:
            values[row.attribute] = (*values.get(row.attribute, ()), row.text)
    return values


def compose(prompt: str, values: dict[str, tuple[str, ...]], rng: np.random.Generator) -> Iterator[str]:
    """Yield texts, each once: the prompt with one value each of some attributes, in the order of the file.

    Ends when nothing new has come up for a while.

    With light ("at dusk", "at noon") and weather ("in fog"), "a cow" may become "a cow, at dusk, in fog".
    """
    seen: set[str] = set()
    idle = 0
    while values and idle < PATIENCE:
        chosen = [str(rng.choice(texts)) for texts in values.values() if rng.random() < USE_SHARE]
        text = ", ".join([prompt, *chosen])
        idle += 1
        if chosen and text not in seen:
            idle = 0
            seen.add(text)
            yield text
