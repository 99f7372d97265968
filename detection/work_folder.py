"""A folder that one training at a time works in."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from generator.dataset.identity import read_json
from generator.foundation.errors import RunMismatchError, StorageError
from generator.foundation.storage import locked, remove_leftovers, translate_os_errors

_LOCK = ".lock"


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder, and clear up after a killed one; if nothing was written, it is as it was."""
    with translate_os_errors(folder):
        before = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    with locked(folder):
        try:
            remove_leftovers(folder)
            yield
        finally:
            # While the lock is held: another run's folder must not go.
            written = {path.name for path in folder.iterdir()} - {_LOCK}
            if not written or (written == before and _LOCK not in before):
                with contextlib.suppress(OSError):
                    (folder / _LOCK).unlink(missing_ok=True)
                    if not written:
                        folder.rmdir()


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, if it is there. Raises StorageError."""
    with translate_os_errors(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def make_room(folder: Path, *, kind: str, marker: str, last: str, names: Collection[str], overwrite: bool) -> None:
    """Remove the results of an earlier call, which are called `names`, from a folder; other files stay.

    `marker`, one of them, is a JSON object whose `kind` says that the folder is ours. It is written before the others,
    and nothing is removed without it: a user's own file may have one of the names. `last` is written last: finished.
    Raises RunMismatchError when the folder holds something else, or finished results and not `overwrite`; StorageError.
    """
    with translate_os_errors(folder):
        visible = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    try:
        is_ours = marker in visible and read_json(folder / marker).get("kind") == kind
    except StorageError:
        if not (overwrite and visible <= {*names}):
            raise
        is_ours = True  # damaged, and nothing but our names beside it
    if visible and not is_ours:
        what = ", ".join(sorted(visible)[:3])
        raise RunMismatchError(f"{folder} holds something else ({what}); choose another with --out")
    if last in visible and not overwrite:
        raise RunMismatchError(f"{folder} holds results already; choose another --out, or --overwrite replaces them")
    for name in sorted(names, key=lambda name: name == marker):  # until it is gone, the folder is known as ours
        remove(folder / name)
