"""Who paints the chunks of a run: processes of this machine, or Ray on many.

The chunks, and what each of them holds, come from the plan; a worker loads its models once, paints whole chunks and
writes their files itself. So the same plan gives the same files on one worker, on several, and on Ray.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from generator.config import Config
from generator.engines.chunk import Chunk, ChunkPainter
from generator.foundation.errors import ModelError
from generator.foundation.processes import JobListener

# Losses of a worker while one chunk is painted: more often than that it is the chunk, not chance.
MAX_LOSSES = 2


class Engine(Protocol):
    """Paints chunks with some number of workers, of which `sharing` work on one GPU."""

    sharing: int

    def describe(self) -> dict[str, str]:
        """Say what decides the last bit of a picture: device, number format, weights. Raises ModelError."""

    def paint(
        self,
        painter: ChunkPainter,
        chunks: Sequence[Chunk],
        listener: JobListener[Chunk],
        should_stop: Callable[[], bool],
    ) -> bool:
        """Paint chunks, in any order; ask `should_stop` after each, and then end those in hand. True when all are done.

        The listener hears a chunk's Progress now and then, and its ChunkReport when it is on disk. The chunks of a
        worker that is lost are painted again. Raises what a worker raised.
        """


def make_engine(config: Config, chunks: int) -> Engine:
    """Make the engine that the config names, with no more workers than there are chunks to paint.

    Raises ModelError when the library of the engine is not installed.
    """
    if config.engine == "ray":
        try:
            from generator.engines.ray import RayEngine
        except ImportError:
            raise ModelError("engine: ray needs Ray, which is not installed: pip install 'boxpaint[ray]'") from None
        return RayEngine(config, chunks)
    from generator.engines.local import LocalEngine

    return LocalEngine(config, chunks)
