"""What an engine is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from generator.engines.chunk import Chunk, ChunkListener, ChunkPainter


class Engine(Protocol):
    """Paints chunks with some number of workers, of which `sharing` work on one GPU."""

    sharing: int

    def describe(self) -> dict[str, str]:
        """Say what decides the last bit of a picture: device, number format, weights. Raises ModelError."""

    def paint(
        self,
        painter: ChunkPainter,
        chunks: Sequence[Chunk],
        listener: ChunkListener,
        should_stop: Callable[[], bool],
    ) -> bool:
        """Paint chunks, in any order; ask `should_stop` after each, and then end those in hand. True when all are done.

        The chunks of a worker that is lost are painted again. Raises what a worker raised.
        """
