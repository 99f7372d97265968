"""Pictures from disk to what BLIP looks at, decoded while the batch before is trained on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from generator.foundation.loading import pixel_values
from generator.spec.references import Reference, open_reference

MAX_THREADS = 8


class PictureReader:
    """Decodes pictures upright to RGB; those that cannot be decoded are left out and listed in `unreadable`."""

    def __init__(self, image_processor: Any):
        self.image_processor = image_processor
        self.unreadable: dict[Path, str] = {}

    def read(self, path: Path) -> np.ndarray | None:
        """One picture, HWC uint8 RGB."""
        return self._keep(path, _decode(path))

    def batches(self, batches: Sequence[Sequence[tuple[Path, str]]]) -> Iterator[tuple[torch.Tensor, list[str]]]:
        """Yield the pixels (B, 3, H, W) and captions of each batch of (picture, caption).

        Unreadable pictures are left out of their batch, and a batch of nothing else is left out whole.
        """
        # Only Pillow works in the threads: torch would start threads of its own in each of them.
        with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:

            def submit(batch: Sequence[tuple[Path, str]]) -> list[Future[np.ndarray | str]]:
                return [pool.submit(_decode, path) for path, _ in batch]

            ahead = submit(batches[0]) if batches else []
            for number, batch in enumerate(batches):
                decoded = [future.result() for future in ahead]
                ahead = submit(batches[number + 1]) if number + 1 < len(batches) else []
                pixels, captions = [], []
                for (path, caption), outcome in zip(batch, decoded, strict=True):
                    picture = self._keep(path, outcome)
                    if picture is not None:
                        pixels.append(pixel_values(self.image_processor, picture))
                        captions.append(caption)
                if pixels:
                    yield torch.cat(pixels), captions

    def _keep(self, path: Path, outcome: np.ndarray | str) -> np.ndarray | None:
        if isinstance(outcome, str):
            self.unreadable[path] = outcome
            return None
        return outcome


def _decode(path: Path) -> np.ndarray | str:
    """The picture, or why there is none."""
    try:
        return np.array(open_reference(Reference(path=path)))  # a copy: torch takes no read-only arrays
    except ValueError as error:
        return str(error)
