"""Deep features of a UNet kept from one step to the next: between neighbouring noise levels they hardly change.

Ma et al. 2023 (DeepCache), arXiv 2312.00858: on most steps only the outermost blocks are computed, from the inner ones'
last answer. Here the cut lies before the last block on the way up.
"""

from __future__ import annotations

from typing import Any

import torch


class FeatureCache:
    """Computes a UNet of diffusers (`UNet2DConditionModel`) in whole on every `every`-th call, else its outer blocks.

    A call with another number of rows than the last one is computed in whole, too.
    """

    def __init__(self, unet: Any, every: int):
        if every < 2 or len(unet.up_blocks) < 2:
            raise ValueError("a cache needs two blocks or more, and a step to skip")
        self._unet = unet
        self._every = every
        self._deep: torch.Tensor | None = None
        self._calls = 0

    def __call__(
        self, x: torch.Tensor, timestep: torch.Tensor, words: torch.Tensor, timestep_cond: torch.Tensor | None
    ) -> torch.Tensor:
        """Latents (B, C, h, w) -> what the UNet predicts of them, (B, 4, h, w)."""
        if self._deep is None or len(self._deep) != len(x) or self._calls % self._every == 0:
            self._calls = 1
            return self._whole(x, timestep, words, timestep_cond)
        self._calls += 1
        return self._outer(x, timestep, words, timestep_cond)

    def _whole(
        self, x: torch.Tensor, timestep: torch.Tensor, words: torch.Tensor, timestep_cond: torch.Tensor | None
    ) -> torch.Tensor:
        def keep(_module: Any, _arguments: Any, features: torch.Tensor) -> None:
            self._deep = features

        hook = self._unet.up_blocks[-2].register_forward_hook(keep)
        try:
            predicted: torch.Tensor = self._unet(x, timestep, words, timestep_cond=timestep_cond, return_dict=False)[0]
        finally:
            hook.remove()
        return predicted

    def _outer(
        self, x: torch.Tensor, timestep: torch.Tensor, words: torch.Tensor, timestep_cond: torch.Tensor | None
    ) -> torch.Tensor:
        unet, first, last = self._unet, self._unet.down_blocks[0], self._unet.up_blocks[-1]
        embedded = unet.time_embedding(unet.get_time_embed(x, timestep), timestep_cond)
        hidden = unet.conv_in(x)
        skips = (hidden, *first(hidden, embedded, **_words(first, words))[1])[: len(last.resnets)]
        hidden = last(self._deep, res_hidden_states_tuple=skips, temb=embedded, **_words(last, words))
        if unet.conv_norm_out is not None:
            hidden = unet.conv_act(unet.conv_norm_out(hidden))
        predicted: torch.Tensor = unet.conv_out(hidden)
        return predicted


def _words(block: Any, words: torch.Tensor) -> dict[str, torch.Tensor]:
    """Keywords of a block that looks at the prompt; the others do not take them."""
    return {"encoder_hidden_states": words} if getattr(block, "has_cross_attention", False) else {}
