"""Until every area has moved on to run_folder.py."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from generator.foundation.errors import RunMismatchError, StorageError
from generator.foundation.run_folder import working_in
from generator.foundation.storage import read_json, remove, translate_os_errors

__all__ = ["make_room", "remove", "working_in"]


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
