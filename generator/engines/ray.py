"""Ray: workers on all machines of a cluster, the lost ones started again by Ray itself.

Ray finds the cluster by RAY_ADDRESS; without it, it starts one of this machine. The run folder must lie on a file
system that all machines see. https://docs.ray.io/en/latest/ray-core/actors.html
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import ray
import torch
from ray.exceptions import RayActorError, RayTaskError

from generator.config import Config
from generator.engines import MAX_LOSSES, Engine
from generator.engines.chunk import Chunk, ChunkPainter, ChunkReport
from generator.foundation.errors import BoxpaintError, ModelError
from generator.foundation.processes import JobListener
from generator.painting.hardware import count_threads, describe_models, workers_per_gpu

# Numbers of chunks and seconds are all that travels; Ray would set a third of the memory aside for it.
_STORE_BYTES = 128 * 2**20


class RayEngine(Engine):
    """Paints with a few actors for each GPU of a cluster, or one for each of its cores."""

    def __init__(self, config: Config, chunks: int):
        self._config = config
        if not ray.is_initialized() and "RAY_ADDRESS" in os.environ:
            ray.init(log_to_driver=False, configure_logging=False)  # it refuses a size of the store, which is there
        elif not ray.is_initialized():
            # Of a cluster of its own: Ray would give way to everything else on the machine (nice 15).
            os.environ.setdefault("RAY_worker_niceness", "0")
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                object_store_memory=_STORE_BYTES,
            )
        cluster: dict[str, float] = ray.cluster_resources()
        gpus, cores = int(cluster.get("GPU", 0)), int(cluster.get("CPU", 1))
        self.sharing = 1
        # Of the head node's own cores no more can be said: with `threads: auto` a worker takes a whole machine's.
        self._needs: dict[str, Any] = {"num_cpus": min(cores, count_threads(config))}
        places = cores // self._needs["num_cpus"]
        if gpus and config.device in ("auto", "cuda"):
            self.sharing = ray.get(ray.remote(num_gpus=1, num_cpus=1)(_workers_on_its_gpu).remote(cores // gpus))
            self._needs = {"num_gpus": 1 / self.sharing, "num_cpus": 1}
            places = gpus * self.sharing
        self.workers = min(config.workers if isinstance(config.workers, int) else max(1, places), chunks)

    def describe(self) -> dict[str, str]:
        """Say what decides the last bit of a picture, where pictures are painted."""
        return ray.get(ray.remote(**self._needs)(_describe).remote(self._config))

    def paint(
        self,
        painter: ChunkPainter,
        chunks: Sequence[Chunk],
        listener: JobListener[Chunk],
        should_stop: Callable[[], bool],
    ) -> bool:
        """Paint chunks. How far each of them is, is not told: only that it is done."""
        make: Any = ray.remote(max_restarts=-1, max_task_retries=MAX_LOSSES, **self._needs)(_Worker)
        actors: list[Any] = [make.remote(painter) for _ in range(self.workers)]
        # Of more actors than the cluster has room for, some never start: a chunk that one of them held would wait.
        starting = {actor.is_ready.remote(): actor for actor in actors}
        waiting = list(reversed(chunks))
        in_hand: dict[Any, tuple[Any, Chunk]] = {}
        stopped = False
        try:
            while in_hand or (waiting and not stopped):
                (done,), _ = ray.wait([*in_hand, *(starting if waiting and not stopped else ())], num_returns=1)
                if done in starting:
                    actor = starting.pop(done)
                    _result(done, waiting[-1])
                else:
                    actor, chunk = in_hand.pop(done)
                    listener.on_job(chunk, _result(done, chunk))
                    stopped = stopped or (bool(waiting) and should_stop())
                if waiting and not stopped:
                    chunk = waiting.pop()
                    in_hand[actor.paint.remote(chunk)] = actor, chunk
        finally:
            for actor in actors:
                ray.kill(actor)
        return not stopped


def _workers_on_its_gpu(cores: int) -> int:
    return workers_per_gpu(torch.cuda.get_device_properties(0).total_memory, cores)


def _describe(config: Config) -> dict[str, str]:
    return describe_models(config)


def _result(reference: Any, chunk: Chunk) -> Any:
    """What a worker has returned. Raises what went wrong, named by the chunk that it has, or would have."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, BoxpaintError):
            raise BoxpaintError(f"{chunk.name}: {error.cause}") from None
        raise
    except RayActorError as error:
        raise ModelError(f"{chunk.name}: its worker ended by itself, {MAX_LOSSES + 1} times: {error}") from None


class _Worker:
    """An actor: holds the models, and paints chunk after chunk."""

    def __init__(self, painter: ChunkPainter):
        folder = painter.run.folder
        if not (folder / "run.json").is_file():
            raise BoxpaintError(
                f"{folder} is not seen by every machine: choose a folder on a shared file system (--out)"
            )
        self._painter = painter

    def is_ready(self) -> bool:
        return True

    def paint(self, chunk: Chunk) -> ChunkReport:
        return self._painter(chunk)
