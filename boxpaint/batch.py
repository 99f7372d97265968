"""Many scenarios to many data sets in one go: a YAML file that lists them. The same call goes on where it stopped.

<out>/<name>/            one run folder each, as `boxpaint generate` makes it
<out>/<name>-<format>/   its exports
<out>/summary.csv        a row for each data set: state, pictures, labels by class, leak, folder, what went wrong
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from boxpaint.scenarios import folder_name_fault
from generator.audit.files import read_audit
from generator.config import Config
from generator.foundation.coco import find_annotation_files, read_coco
from generator.foundation.errors import BoxpaintError, DatasetError, Fault, FaultsError, RunMismatchError
from generator.foundation.seeds import MAX_SEED
from generator.foundation.storage import make_folder, write_text
from generator.foundation.typed_yaml import fill_model, read_yaml
from generator.spec import load_spec

if TYPE_CHECKING:
    from generator.run import Listener
    from generator.spec import Spec

SUMMARY = "summary.csv"
COMPLETE, STOPPED, FAILED, WAITING = "complete", "stopped", "failed", "not begun"


def _is_folder_name(name: str) -> str:
    if fault := folder_name_fault(name):
        raise ValueError(fault)
    return name


def _is_format(name: str) -> str:
    from detection.formats.registry import WRITERS

    if name not in WRITERS:
        raise ValueError(f"no format of boxpaint export; known: {', '.join(WRITERS)}")
    return name


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BatchItem(_Section):
    """One data set: what `boxpaint generate` takes, and the formats that it is exported to."""

    name: Annotated[str, AfterValidator(_is_folder_name)]
    """Name of its folder."""
    background: Path = Path("background.csv")
    classes: Path = Path("classes.csv")
    attributes: Path | None = None
    config: Path | None = None
    prompts: Path | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    force: bool = False
    """Paint what the bundle never learned."""
    export: tuple[Annotated[str, AfterValidator(_is_format)], ...] = ()


class BatchConfig(_Section):
    """A whole batch. `BatchConfig.load(path)` reads YAML; paths in it count from its folder."""

    out: Path = Path("datasets")
    datasets: tuple[BatchItem, ...]

    @field_validator("datasets")
    @classmethod
    def _has_one_of_each_name(cls, items: tuple[BatchItem, ...]) -> tuple[BatchItem, ...]:
        if not items:
            raise ValueError("one data set or more is needed")
        folders = [name for item in items for name in (item.name, *(f"{item.name}-{form}" for form in item.export))]
        twice = [name for name, count in Counter(name.casefold() for name in folders).items() if count > 1]
        if twice:
            raise ValueError(f"two data sets or exports would lie in one folder: {', '.join(twice)}")
        return items

    @classmethod
    def load(cls, path: Path) -> BatchConfig:
        """Read a YAML file. Raises ConfigError with every fault at its line."""
        data, lines = read_yaml(path)
        config = fill_model(cls, data, file=str(path), lines=lines)
        items = tuple(
            item.model_copy(
                update={
                    key: path.parent / value
                    for key in ("background", "classes", "attributes", "config", "prompts")
                    if (value := getattr(item, key)) is not None
                }
            )
            for item in config.datasets
        )
        return config.model_copy(update={"out": path.parent / config.out, "datasets": items})


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """What became of one data set. `labels`: by class; `leak`: AUC of the probe, None where it was not asked."""

    name: str
    state: str
    folder: Path
    pictures: int = 0
    labels: Mapping[str, int] | None = None
    leak: float | None = None
    exports: tuple[str, ...] = ()
    problem: str = ""


def run_batch(
    batch: BatchConfig,
    listener_of: Callable[[BatchItem], Listener],
    should_stop: Callable[[], bool] = lambda: False,
) -> list[BatchResult]:
    """Make every data set in turn, and its exports; one that fails keeps none of the others from being made.

    All CSV files and configs are read before anything is painted: FaultsError names every fault in all of them.
    `should_stop` is asked as in `generate`. The summary is written anew after each data set. Raises StorageError.
    """
    ready = _read_all(batch)
    make_folder(batch.out)
    results = [BatchResult(name=item.name, state=WAITING, folder=batch.out / item.name) for item in batch.datasets]
    for number, (item, config, spec) in enumerate(ready):
        results[number] = _make(item, config, spec, batch.out, listener_of(item), should_stop)
        write_text(batch.out / SUMMARY, summary_csv(results))
        if results[number].state == STOPPED:
            break
    return results


def summary_csv(results: list[BatchResult]) -> str:
    """One row for each data set."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["name", "state", "pictures", "labels", "by class", "leak AUC", "exports", "folder", "problem"])
    for each in results:
        labels = each.labels or {}
        by_class = "; ".join(f"{name}: {count}" for name, count in labels.items())
        leak = "" if each.leak is None else f"{each.leak:.3f}"
        total = sum(labels.values())
        row = [each.name, each.state, each.pictures, total, by_class, leak, " ".join(each.exports), each.folder]
        writer.writerow([*row, each.problem])
    return stream.getvalue()


def _read_all(batch: BatchConfig) -> list[tuple[BatchItem, Config, Spec]]:
    ready: list[tuple[BatchItem, Config, Spec]] = []
    faults: list[Fault] = []
    for item in batch.datasets:
        try:
            config = Config.load(item.config, seed=item.seed)
            scene, canvas_wh = config.card.scene, config.canvas_wh
            spec = load_spec(item.background, item.classes, item.attributes, canvas_wh=canvas_wh, scene=scene)
        except FaultsError as error:
            faults += error.faults
            continue
        ready.append((item, config, spec))
    if faults:
        raise FaultsError(dict.fromkeys(faults))  # of a config that several data sets share, once
    return ready


def _make(
    item: BatchItem, config: Config, spec: Spec, out: Path, listener: Listener, should_stop: Callable[[], bool]
) -> BatchResult:
    from detection.formats.exporting import export_set
    from detection.formats.target import ExportOptions
    from generator.run import generate

    folder = out / item.name
    problem, state, exports = "", COMPLETE, []
    try:
        dataset = generate(
            spec,
            config,
            folder,
            prompts=item.prompts,
            limit=item.limit,
            force=item.force,
            listener=listener,
            should_stop=should_stop,
        )
        if not dataset.complete:
            state = STOPPED
        elif dataset.problem:
            state, problem = FAILED, dataset.problem
        for form in item.export if state == COMPLETE else ():
            export_set(folder, out / f"{item.name}-{form}", form, ExportOptions(overwrite=True))
            exports.append(form)
    except RunMismatchError as error:  # which speaks of --out and --overwrite
        state = FAILED
        again = f", or remove {folder} to start again" if error.differences else ""  # else it is not ours
        problem = f"{error}\nIn a batch: give this data set another name{again}"
    except BoxpaintError as error:
        state, problem = FAILED, str(error)
    pictures, labels = _count(folder)
    return BatchResult(
        name=item.name,
        state=state,
        folder=folder,
        pictures=pictures,
        labels={name: labels[name] for name in spec.categories},
        leak=_leak_of(folder),
        exports=tuple(exports),
        problem=problem,
    )


def _leak_of(folder: Path) -> float | None:
    with contextlib.suppress(DatasetError):
        audit = read_audit(folder)
        if audit is not None and audit.leak is not None:
            return audit.leak.value
    return None


def _count(folder: Path) -> tuple[int, Counter[str]]:
    """Count pictures, and labels by class, of a run folder; what is not ours, or damaged, counts nothing."""
    pictures, labels = 0, Counter[str]()
    with contextlib.suppress(DatasetError):
        for content in map(read_coco, find_annotation_files(folder)):
            names = {category["id"]: category["name"] for category in content.categories}
            pictures += len(content.images)
            labels.update(names[item["category_id"]] for item in content.annotations)
    return pictures, labels
