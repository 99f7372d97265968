"""The models of the prompt book, each loaded when it is first needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from generator.bundles import ModelRef
from generator.config import Config
from generator.errors import ConfigError, Fault, ModelNotFoundError

if TYPE_CHECKING:
    import torch

    from generator.prompts.captioner import Captioner
    from generator.prompts.embedder import Embedder
    from generator.prompts.enricher import Enricher


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
        """Role -> fingerprint of the models that wrote or judged texts so far."""

    @cached_property
    def captioner(self) -> Captioner:
        """BLIP."""
        from generator.prompts.captioner import Captioner

        with self._using("captioner") as ref:
            return Captioner(ref, device=self._device, offline=self.config.offline)

    @cached_property
    def enricher(self) -> Enricher:
        """GPT-2."""
        from generator.prompts.enricher import Enricher

        with self._using("enricher") as ref:
            return Enricher(ref, device=self._device, offline=self.config.offline)

    @cached_property
    def embedder(self) -> Embedder:
        """What says how near two texts are."""
        from generator.prompts.embedder import load_embedder

        with self._using("embedder") as ref:
            return load_embedder(ref, device=self._device, offline=self.config.offline)

    def ref(self, role: str) -> ModelRef:
        """Where the model of a role comes from."""
        ref: ModelRef | None = getattr(self.config.models, role)
        if ref is None:
            expected = f"{_NEEDS[role]}, and the bundle {self.config.bundle!r} has none; give an id or a folder, or "
            raise ConfigError([Fault(file="config", column=f"models.{role}", expected=expected + _WITHOUT[role])])
        return ref

    def fingerprint(self, role: str) -> str:
        """What identifies the weights of a role; from now on it counts as used."""
        from generator.loading import fingerprint

        self.used[role] = fingerprint(self.ref(role))
        return self.used[role]

    @contextmanager
    def _using(self, role: str) -> Iterator[ModelRef]:
        try:
            yield self.ref(role)
        except ModelNotFoundError as error:
            raise ModelNotFoundError(f"{error}; to do without, {_WITHOUT[role]}") from error
        self.fingerprint(role)

    @cached_property
    def _device(self) -> torch.device:
        from generator.painting.device import choose_device

        return choose_device(self.config.device)
