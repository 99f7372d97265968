"""Pictures from disk to what BLIP looks at, decoded while the batch before is trained on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from generator.foundation.loading import pixel_values
from generator.spec.references import Reference, open_reference

MAX_THREADS = 8
Pair = tuple[Path, str]


class PictureReader:
    """Decodes pictures upright to RGB; those that cannot be decoded are left out.

    `unreadable`: name below `images` -> why.
    """

    def __init__(self, images: Path, image_processor: Any):
        self.unreadable: dict[str, str] = {}
        self._images = images
        self._image_processor = image_processor

    def name(self, path: Path) -> str:
        """A picture's path below the folder of all, which may move between a stop and going on."""
        return path.relative_to(self._images).as_posix()

    def read(self, path: Path) -> np.ndarray | None:
        """One picture, HWC uint8 RGB."""
        return self._keep(path, _decode(path))

    def batches(self, batches: Iterable[Sequence[Pair]]) -> Iterator[tuple[torch.Tensor, list[str]] | None]:
        """Yield the pixels (B, 3, H, W) and captions of each batch of (picture, caption).

        Unreadable pictures are left out of their batch; None for a batch of nothing else.
        """
        # Only Pillow works in the threads: torch would start threads of its own in each of them.
        with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
            waiting = ((batch, [pool.submit(_decode, path) for path, _ in batch]) for batch in batches)
            ahead = next(waiting, None)
            while ahead is not None:
                batch, futures = ahead
                decoded = [future.result() for future in futures]
                ahead = next(waiting, None)
                pixels, captions = [], []
                for (path, caption), outcome in zip(batch, decoded, strict=True):
                    picture = self._keep(path, outcome)
                    if picture is not None:
                        pixels.append(pixel_values(self._image_processor, picture))
                        captions.append(caption)
                yield (torch.cat(pixels), captions) if pixels else None

    def _keep(self, path: Path, outcome: np.ndarray | str) -> np.ndarray | None:
        if isinstance(outcome, str):
            self.unreadable[self.name(path)] = outcome
            return None
        return outcome


def _decode(path: Path) -> np.ndarray | str:
    """The picture, or why there is none."""
    try:
        return np.array(open_reference(Reference(path=path)))  # a copy: torch takes no read-only arrays
    except ValueError as error:
        return str(error)
