"""Speed, memory and quality as tables that anyone can run again: python -m benchmarks.NAME --help.

Here is what they share. Nothing heavy is imported: some of them measure the memory of processes that import this.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from generator.audit.files import Auc
    from generator.dataset.folder import RunFolder
    from generator.spec import Spec

ROOT = Path(__file__).parents[1]
Figures = dict[str, Any]


def make_parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser of arguments that shows a module's docstring as help."""
    return argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)


class Results:
    """A table that is printed when its `with` block ends; every row is printed at once, too, as it is found."""

    def __init__(self, title: str, *columns: str):
        self.title, self.columns = title, columns
        self.rows: list[tuple[str, ...]] = []

    def add(self, *cells: object) -> None:
        """Add a row; a cell that is missing is empty."""
        texts = tuple(map(str, cells))
        print(*texts, sep=" | ", file=sys.stderr, flush=True)
        self.rows.append(texts)

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.rows:
            return
        from rich.console import Console
        from rich.table import Table

        table = Table(title=self.title)
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        Console(width=120, highlight=False).print(table)


def auc_text(auc: Auc) -> str:
    """An AUC with its interval."""
    return f"{auc.value:.3f} [{auc.low:.2f}, {auc.high:.2f}]"


def timed(step: Callable[[], Figures | None]) -> Figures:
    """Seconds of a step, `s` of the wall and `cpu_s` of the CPU, beside what it returns."""
    start, cpu_start = time.perf_counter(), time.process_time()
    figures = step() or {}
    return {"s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu_start, **figures}


def in_own_process(measure: Callable[..., Figures], *arguments: object) -> Figures:
    """Call a function of a benchmark in a new process: what it returns, with the peak memory of that process and of its
    largest child.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_with_peaks, measure, *arguments).result()


def _with_peaks(measure: Callable[..., Figures], *arguments: object) -> Figures:
    figures = measure(*arguments)
    own, child = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {**figures, "peak_mb": own, "child_peak_mb": child}


def root_spec(canvas_wh: tuple[int, int], scenes: int | None = None, classes: Path = ROOT / "classes.csv") -> Spec:
    """The root scenario, with so many scenes in its own proportions."""
    from generator.plan.balance import shared_out
    from generator.spec import load_spec

    spec = load_spec(ROOT / "background.csv", classes, canvas_wh=canvas_wh, find_references=False)
    if scenes is None:
        return spec
    numbers = shared_out(scenes, [row.num_imgs for row in spec.backgrounds])
    rows = zip(spec.backgrounds, numbers, strict=True)
    return dataclasses.replace(
        spec, backgrounds=tuple(dataclasses.replace(row, num_imgs=number) for row, number in rows if number)
    )


def object_crops(run: RunFolder, margin: float = 0.25) -> dict[tuple[str, int, int], np.ndarray]:
    """The painted objects of a run with what is around the boxes that the plan gave them.

    Keys are (class, scene, object), values (S, S, 3) uint8.
    """
    from detection.datasets.read import read_rgb
    from generator.foundation.geometry import Box, square_around

    crops = {}
    for record in run.records():
        picture = read_rgb(run.image_path(record.index))
        for item in record.objects:
            if item.painted_box is not None:
                box = square_around(
                    Box.from_xyxy(*item.requested_box), margin=margin, size_wh=(record.width, record.height)
                )
                crops[item.category, record.index, item.object_index] = picture[box.slices]
    return crops
