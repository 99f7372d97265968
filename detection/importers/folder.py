"""The folder of an import: all of it is made beside its place and moved in at the end, the annotations last.

import.json              what came in, what is in, and every case
images/                  pictures, flat
annotations/             instances_<split>.json
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detection.work_folder import remove, working_in
from generator.foundation.errors import RunMismatchError
from generator.foundation.storage import make_folder, translate_os_errors

REPORT = "import.json"
_UNFINISHED = ".import.unfinished"
# In the order in which they are moved in: what has annotations is whole. They leave in the other one.
_OWN = (REPORT, "images", "annotations")


def check_folder(out: Path, *, overwrite: bool = False) -> None:
    """Look whether an import may go there.

    Raises RunMismatchError when `out` holds an import already (without `overwrite`) or anything else; StorageError.
    """
    with translate_os_errors(out):
        present = sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) if out.exists() else []
    if not present:
        return
    strange = [name for name in present if name not in _OWN]
    if strange or REPORT not in present:
        shown = ", ".join((strange or present)[:3])
        raise RunMismatchError(f"{out} is not the folder of an import: it holds {shown}; choose another with --out")
    if not overwrite:
        raise RunMismatchError(f"{out} holds an import already; use another --out, or --overwrite to replace it")


@contextmanager
def import_folder(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a folder to fill; at the end of the block what is in it becomes `out`, or nothing does when it fails.

    Raises what check_folder raises, and StorageError.
    """
    with working_in(out):
        check_folder(out, overwrite=overwrite)
        part = out / _UNFINISHED
        remove(part)
        make_folder(part / "images")
        try:
            yield part
            with translate_os_errors(out):
                for name in reversed(_OWN):
                    remove(out / name)
                for name in _OWN:
                    (part / name).replace(out / name)
        finally:
            shutil.rmtree(part, ignore_errors=True)
