"""Processes of this machine: a few for each GPU, or one for each core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from generator.config import Config
from generator.engines.chunk import Chunk, ChunkListener, ChunkPainter, ChunkReport, Progress
from generator.foundation.device import count_threads, count_workers, visible_gpus
from generator.foundation.processes import JobListener, Workers
from generator.painting.describe import describe_models

# Losses of a worker while one chunk is painted: more often than that it is the chunk, not chance.
MAX_LOSSES = 2


class LocalEngine:
    """Paints in this process, or in several that each hold their own models."""

    def __init__(self, config: Config, chunks: int):
        self._config = config
        self.workers = min(count_workers(config), chunks)
        self.sharing = -(-self.workers // max(1, len(visible_gpus(config))))

    def describe(self) -> dict[str, str]:
        """Say what decides the last bit of a picture."""
        return describe_models(self._config, threads=count_threads(self._config))

    def paint(
        self,
        painter: ChunkPainter,
        chunks: Sequence[Chunk],
        listener: ChunkListener,
        should_stop: Callable[[], bool],
    ) -> bool:
        """Paint chunks."""
        if self.workers > 1:
            with Workers(
                self.workers,
                painter,
                threads=painter.threads,
                environments=self.environments(),
                max_losses=MAX_LOSSES,
            ) as workers:
                return workers.run(chunks, _Relay(listener), should_stop)
        for chunk in chunks:
            report = painter(chunk, partial(listener.on_progress, chunk))
            listener.on_chunk(chunk, report)
            if chunk is not chunks[-1] and should_stop():
                return False
        return True

    def environments(self) -> list[dict[str, str]]:
        """Variables of each worker: which GPU is its own."""
        gpus = visible_gpus(self._config)
        return [{"CUDA_VISIBLE_DEVICES": gpus[rank % len(gpus)]} for rank in range(self.workers)] if gpus else []


class _Relay(JobListener[Chunk]):
    def __init__(self, listener: ChunkListener):
        self._listener = listener

    def on_word(self, job: Chunk, word: Progress) -> None:
        self._listener.on_progress(job, word)

    def on_job(self, job: Chunk, result: ChunkReport, /) -> None:
        self._listener.on_chunk(job, result)

    def on_loss(self, reason: str) -> None:
        self._listener.on_warning(f"{reason}; what it held is painted again")
