"""The models of the prompt book, each loaded when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from generator.bundles import ModelRef
from generator.config import Config
from generator.foundation.errors import ConfigError, Fault, ModelNotFoundError

if TYPE_CHECKING:
    import torch

    from generator.prompts.captioner import Captioner
    from generator.prompts.embedder import Embedder
    from generator.prompts.enricher import Enricher

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
        from generator.prompts.captioner import Captioner

        return self._use("captioner", Captioner)

    @property
    def enricher(self) -> Enricher:
        """GPT-2."""
        from generator.prompts.enricher import Enricher

        return self._use("enricher", Enricher)

    @property
    def embedder(self) -> Embedder:
        """What says how near two texts are."""
        from generator.prompts.embedder import load_embedder

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
        from generator.foundation.loading import fingerprint

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
