"""The folder of an export: whole or absent, made beside its place and renamed over it at the end.

export.json in it says that it is ours, so that --overwrite never removes anything else.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detection.work_folder import remove
from generator.dataset.identity import read_json
from generator.foundation.errors import RunMismatchError, StorageError
from generator.foundation.storage import locked, make_folder, translate_os_errors

MARKER = "export.json"
KIND = "boxpaint export"


def check_folder(out: Path, *, overwrite: bool, sources: tuple[Path, ...]) -> None:
    """Look whether an export of these data sets may go there.

    Raises RunMismatchError when `out` holds an export already (without `overwrite`) or anything else, or when a data
    set to be read lies in it; StorageError.
    """
    if any(out.resolve() in (source.resolve(), *source.resolve().parents) for source in sources):
        raise RunMismatchError(f"{out}: the data set to be read is there; choose another folder with --out")
    with translate_os_errors(out):
        present = sorted(path.name for path in out.iterdir()) if out.exists() else []
    if not present:
        return
    if not _is_ours(out):
        shown = ", ".join(present[:3])
        raise RunMismatchError(f"{out} is not the folder of an export: it holds {shown}; choose another with --out")
    if not overwrite:
        raise RunMismatchError(f"{out} holds an export already; use another --out, or --overwrite to replace it")


@contextmanager
def export_folder(out: Path) -> Iterator[Path]:
    """Give a folder to fill; at the end of the block it becomes `out`, in place of an earlier one. Raises StorageError.

    When the block fails nothing of it is left, and `out` is as it was.
    """
    beside = out.parent / f".{out.name}.part"
    with locked(beside):
        try:
            new, old = beside / "new", beside / "old"
            for path in (new, old):  # what a killed export left
                remove(path)
            yield make_folder(new)
            with translate_os_errors(out):
                if out.exists():
                    out.replace(old)
                new.replace(out)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    try:
        return (folder / MARKER).is_file() and read_json(folder / MARKER).get("kind") == KIND
    except StorageError:
        return False
