"""Processes of this machine: a few for each GPU, or one for each core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from generator.config import Config
from generator.engines import MAX_LOSSES, Engine
from generator.engines.chunk import Chunk, ChunkPainter
from generator.foundation.processes import JobListener, Workers
from generator.painting.hardware import count_workers, describe_models, visible_gpus


class LocalEngine(Engine):
    """Paints in this process, or in several that each hold their own models."""

    def __init__(self, config: Config, chunks: int):
        self._config = config
        self.workers = min(count_workers(config), chunks)
        self.sharing = -(-self.workers // max(1, len(visible_gpus(config))))

    def describe(self) -> dict[str, str]:
        """Say what decides the last bit of a picture."""
        return describe_models(self._config)

    def paint(
        self,
        painter: ChunkPainter,
        chunks: Sequence[Chunk],
        listener: JobListener[Chunk],
        should_stop: Callable[[], bool],
    ) -> bool:
        """Paint chunks."""
        if self.workers > 1:
            environments = self.environments()
            with Workers(
                self.workers, painter, threads=painter.threads, environments=environments, max_losses=MAX_LOSSES
            ) as workers:
                return workers.run(chunks, listener, should_stop)
        for chunk in chunks:
            listener.on_job(chunk, painter(chunk, partial(listener.on_word, chunk)))
            if chunk is not chunks[-1] and should_stop():
                return False
        return True

    def environments(self) -> list[dict[str, str]]:
        """Variables of each worker: which GPU is its own."""
        gpus = visible_gpus(self._config)
        return [{"CUDA_VISIBLE_DEVICES": gpus[rank % len(gpus)]} for rank in range(self.workers)] if gpus else []
