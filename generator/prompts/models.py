"""The models of the prompt book, each loaded when it is first needed."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from generator.bundles import ModelRef
from generator.config import Config
from generator.errors import ConfigError, Fault

if TYPE_CHECKING:
    import torch

    from generator.prompts.captioner import Captioner
    from generator.prompts.embedder import Embedder
    from generator.prompts.enricher import Enricher


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

        return Captioner(self.ref("captioner"), device=self._device, offline=self.config.offline)

    @cached_property
    def enricher(self) -> Enricher:
        """GPT-2."""
        from generator.prompts.enricher import Enricher

        enricher = Enricher(self.ref("enricher"), device=self._device, offline=self.config.offline)
        self.used["enricher"] = self.fingerprint("enricher")
        return enricher

    @cached_property
    def embedder(self) -> Embedder:
        """What says how near two texts are."""
        from generator.prompts.embedder import load_embedder

        embedder = load_embedder(self.ref("embedder"), device=self._device, offline=self.config.offline)
        self.used["embedder"] = self.fingerprint("embedder")
        return embedder

    def ref(self, role: str) -> ModelRef:
        """Where the model of a role comes from."""
        ref: ModelRef | None = getattr(self.config.models, role)
        if ref is None:
            uses = {
                "captioner": "the column references needs a captioner (BLIP)",
                "enricher": "prompts: {enrich: gpt2} needs a GPT-2",
                "embedder": "the prompt book needs an embedder (sentence-transformers, or a folder of CLIP)",
            }
            raise ConfigError(
                [
                    Fault(
                        file="config",
                        column=f"models.{role}",
                        expected=f"{uses[role]}, and the bundle {self.config.bundle!r} has none; give an id or a "
                        "folder, or set prompts: {enrich: none} and leave out references and attributes.csv",
                    )
                ]
            )
        return ref

    def is_elsewhere(self, role: str) -> bool:
        """Say whether a model must be downloaded first."""
        ref = self.ref(role)
        return not ref.folder and ref.hub_snapshot() is None

    def fingerprint(self, role: str) -> str:
        """What identifies the weights of a role."""
        from generator.loading import fingerprint

        return fingerprint(self.ref(role))

    @cached_property
    def _device(self) -> torch.device:
        from generator.painting.device import choose_device

        return choose_device(self.config.device)
