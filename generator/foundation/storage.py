"""Files that are whole or absent: written beside their place, then renamed over it.

Errors of the operating system become one clear StorageError.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from generator.foundation.errors import StorageError

# Of files that are read and of those that are written, by commands with --out and without.
_NOT_ALLOWED = "reading or writing here is not allowed; change the permissions, or choose another folder"
_MEANINGS = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "your disk quota is used up; free some space and run the same command again",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.ENOENT: "the folder is missing",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another folder",
    errno.EISDIR: "a folder of this name is in the way; choose another folder",
    errno.EEXIST: "a file of this name is in the way; choose another folder",
}

_LONGEST = 60


@contextlib.contextmanager
def translate_os_errors(path: Path) -> Iterator[None]:
    """Turn an OSError about `path` into a StorageError that says what to do."""
    try:
        yield
    except OSError as error:
        meaning = _MEANINGS.get(error.errno or 0, error.strerror or str(error))
        place = str(error.filename2 or error.filename or path)
        # Nobody knows the names that files have before they are renamed.
        raise StorageError(f"{path if place.endswith('.part') else place}: {meaning}") from error


def make_folder(path: Path) -> Path:
    """Make a folder and its parents; raises StorageError."""
    with translate_os_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def check_writable(folder: Path) -> None:
    """Raise StorageError where nothing can be written: to be asked before anything is computed. Makes nothing."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), Path())
    with translate_os_errors(folder):
        try:
            tempfile.TemporaryFile(dir=there).close()
        except OSError as error:
            raise OSError(error.errno, error.strerror) from None  # names the folder, not the file that was tried


@contextlib.contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """Open a binary stream whose bytes appear under `path` only when the block ends well.

    A crash, a full disk or kill -9 leaves the old file, or none, and at most a `.part` file that the next run removes.
    """
    with translate_os_errors(path):
        # A name may have 255 bytes, and a letter up to four; eight are random.
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:_LONGEST]}.", suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                yield stream
                # Without it a power cut may leave the new name with no bytes behind it.
                stream.flush()
                os.fsync(stream.fileno())
            # mkstemp makes private files; what we leave behind follows the user's umask as any other file.
            umask = os.umask(0)
            os.umask(umask)
            Path(name).chmod(0o666 & ~umask)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give the place of a folder to make; it becomes `path`, instead of an earlier one, only when the block ends well.

    A crash leaves the old folder and at most a `.part` folder that the next run removes. Raises StorageError.
    """
    part = path.with_name(f".{path.name}.part")
    remove(part)
    yield part
    remove(path)
    with translate_os_errors(path):
        part.rename(path)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; raises StorageError."""
    with atomic_writer(path) as stream:
        stream.write(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 whole or not at all; raises StorageError.

    Bytes of a file's name that are no text, as Python has them in a str, become escapes (in JSON those of JSON).
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, data: Any, *, indent: int | None = 1) -> None:
    """Write JSON (UTF-8, keys in the order given) whole or not at all; raises StorageError."""
    write_text(path, json.dumps(data, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that we wrote. Raises StorageError where it is missing or damaged."""
    with translate_os_errors(path):
        data = path.read_bytes()
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(content := json.loads(data), dict):
            return content
    raise StorageError(f"{path}: is damaged (no JSON object); begin again with --overwrite, or with another --out")


def list_folder(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Entries of a folder in no order, none where there is no folder: of a million of them no list is made.

    Raises StorageError.
    """
    missing = contextlib.suppress(FileNotFoundError, NotADirectoryError)
    with translate_os_errors(folder), missing, os.scandir(folder) as entries:
        yield from entries


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, if it is there. Raises StorageError."""
    with translate_os_errors(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the `.part` files and folders that a killed run left in a folder."""
    for entry in list_folder(folder):
        if entry.name.startswith(".") and entry.name.endswith(".part"):
            remove(Path(entry))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
