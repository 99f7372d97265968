"""Tar files as folders."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path, PurePosixPath

import pytest

from detection.formats.source import SourceFiles, members_of
from tests.detection.formats.sources import write


def tar_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def test_members_are_read_where_they_lie(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", tar_of({"x/1.txt": b"one", "2.txt": b"two", ".hidden": b"", "./2.txt": b"later"}))
    members = members_of(path)
    assert {str(name): member.read() for name, member in members.items()} == {"x/1.txt": b"one", "2.txt": b"later"}


@pytest.mark.parametrize("name", ["../../etc/1.txt", "/etc/1.txt", "..\\1.txt"])
def test_names_stay_inside(tmp_path: Path, name: str) -> None:
    (found,) = members_of(write(tmp_path / "a.tar", tar_of({name: b"one"})))
    assert ".." not in found.parts
    assert not found.is_absolute()


@pytest.mark.parametrize("data", [b"", b"words", tar_of({"1.txt": b"one" * 9})[:600]])
def test_what_is_no_archive_or_torn_ends_quietly(tmp_path: Path, data: bytes) -> None:
    assert len(members_of(write(tmp_path / "a.tar", data))) <= 1


def test_a_source_sees_them_as_files_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "s" / "a.tar", tar_of({"1.png": b"one"}))
    files = SourceFiles.open(tmp_path / "s")
    assert files.pictures == (PurePosixPath("a.tar/1.png"),)
    assert files.read_bytes(files.pictures[0]) == files.read_picture(files.pictures[0]) == b"one"
    with pytest.raises(ValueError, match="No such file"):
        files.read_picture(PurePosixPath("gone.png"))
