"""The unit of work: some scenes of a run, painted together and written, wherever that is done."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from generator.dataset.folder import RunFolder

if TYPE_CHECKING:
    from generator.labels.verifier import Verifier
    from generator.painting.painter import Painter


@dataclass(frozen=True, slots=True)
class Chunk:
    """Scenes that are painted together, of which those in `scenes` are still to be painted."""

    number: int
    scenes: tuple[int, ...]

    @property
    def name(self) -> str:
        """For messages."""
        first, last = self.scenes[0], self.scenes[-1]
        return f"scene {first}" if first == last else f"scenes {first} to {last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How much of a chunk there is so far: backgrounds painted, objects settled."""

    backgrounds: int = 0
    objects: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkReport:
    """A chunk that is on disk: how long each stage took, and what the user should know of it."""

    progress: Progress
    seconds: dict[str, float]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class ChunkPainter:
    """Paints chunks of a run, and writes them; it may be sent to another process, and loads its models where it works.

    `threads` is how many a CPU computes with: another number gives other bytes, how many painters there are does not.
    `sharing` is how many painters work on one GPU.
    """

    run: RunFolder
    threads: int
    sharing: int = 1
    _models: tuple[Painter, Verifier | None] | None = field(default=None, init=False, repr=False)
    _warnings: list[str] = field(default_factory=list, init=False, repr=False)
    _notes: list[str] = field(default_factory=list, init=False, repr=False)

    def __call__(self, chunk: Chunk, say: Callable[[Progress], None] = lambda _: None) -> ChunkReport:
        """Paint a chunk and write it. Raises ModelError, DatasetError, StorageError; it then is not finished."""
        # Loads torch and diffusers, several seconds.
        from generator.painting.chunk import paint_chunk

        seconds: dict[str, float] = {}
        stage, progress = functools.partial(_timed, seconds), Progress()

        def tell(*, backgrounds: int = 0, objects: int = 0) -> None:
            nonlocal progress
            progress = Progress(backgrounds=progress.backgrounds + backgrounds, objects=progress.objects + objects)
            say(progress)

        plan = self.run.plan
        with _threads(self.threads):
            with stage("loading"):
                painter, verifier = self._load()
            scenes = paint_chunk(
                [plan.scene(index) for index in chunk.scenes],
                painter,
                verifier,
                stage=stage,
                rejected=self.run.review.rejected(),
                lay_out=plan.scene,
                on_background=lambda count: tell(backgrounds=count),
                on_object=lambda count: tell(objects=count),
            )
            with stage("writing"):
                for scene in scenes:
                    self.run.write_scene(scene, batch_size=painter.batch_size)
        report = ChunkReport(
            progress=progress, seconds=seconds, warnings=tuple(self._warnings), notes=tuple(self._notes)
        )
        self._warnings.clear()  # the painter goes on writing to this very list
        self._notes.clear()
        return report

    def _load(self) -> tuple[Painter, Verifier | None]:
        if self._models is None:
            from generator.labels.verifier import Verifier
            from generator.painting.hardware import count_pictures
            from generator.painting.stable_diffusion import StableDiffusionPainter

            plan = self.run.plan
            painter = StableDiffusionPainter(
                plan.config,
                pictures=count_pictures(plan),
                sharing=self.sharing,
                on_warning=self._warnings.append,
                on_note=self._notes.append,
            )
            sees = plan.config.labels.verify and plan.config.models.clip is not None
            self._models = painter, Verifier(plan.config, plan.spec) if sees else None
        return self._models


@contextlib.contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Count the time of a block to a stage."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
