import errno
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from generator.foundation.errors import StorageError
from generator.foundation.storage import (
    atomic_folder,
    atomic_writer,
    check_writable,
    make_folder,
    remove_leftovers,
    sha256_of,
    translate_os_errors,
    write_bytes,
    write_json,
)

ROOT = Path(__file__).parents[3]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_appears_when_the_block_ends(tmp_path):
    with atomic_writer(tmp_path / "new") as stream:
        stream.write(b"half")
        assert not (tmp_path / "new").exists()
        stream.write(b" and half")
    assert content(tmp_path) == {"new": b"half and half"}


def test_a_file_is_replaced_as_a_whole(tmp_path):
    write_bytes(tmp_path / "file", b"a long old text")
    with atomic_writer(tmp_path / "file") as stream:
        stream.write(b"new")
        stream.flush()
        assert (tmp_path / "file").read_bytes() == b"a long old text"
    assert content(tmp_path) == {"file": b"new"}


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [{}, {"file": b"old"}])
def test_a_failure_leaves_what_was_there(tmp_path, failure, before):
    for name, data in before.items():
        write_bytes(tmp_path / name, data)
    with pytest.raises(failure), atomic_writer(tmp_path / "file") as stream:
        stream.write(b"half")
        raise failure
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "not allowed"),
        (errno.EIO, os.strerror(errno.EIO)),  # one we have no words for keeps its own
    ],
)
def test_errors_of_the_system_while_writing(tmp_path, code, words):
    write_bytes(tmp_path / "file", b"old")
    with pytest.raises(StorageError, match=words) as caught, atomic_writer(tmp_path / "file") as stream:
        stream.write(b"half")
        raise OSError(code, os.strerror(code))
    assert str(tmp_path / "file") in str(caught.value)
    assert content(tmp_path) == {"file": b"old"}


@pytest.mark.parametrize(
    ("place", "words"),
    [
        pytest.param("missing/file", "the folder is missing", id="parent missing"),
        pytest.param("in_the_way/file", "is a file, not a folder", id="a file in place of the folder"),
        pytest.param("folder", "folder of this name", id="a folder in place of the file"),
    ],
)
def test_no_place_for_a_file(tmp_path, place, words):
    (tmp_path / "in_the_way").write_bytes(b"mine")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=words) as caught:
        write_bytes(tmp_path / place, b"data")
    # Not the name of the temporary file.
    assert str(caught.value).startswith(f"{tmp_path / place if place == 'folder' else (tmp_path / place).parent}")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "in_the_way"]
    assert (tmp_path / "in_the_way").read_bytes() == b"mine"


@pytest.mark.parametrize("place", ["in_the_way", "in_the_way/deeper"])
def test_no_place_for_a_folder(tmp_path, place):
    (tmp_path / "in_the_way").touch()
    for ask in (check_writable, make_folder):
        with pytest.raises(StorageError, match="choose another folder"):
            ask(tmp_path / place)


def test_asking_whether_a_folder_can_be_written_makes_nothing(tmp_path):
    check_writable(tmp_path)
    check_writable(tmp_path / "not" / "there" / "yet")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def read_only(*, dir):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), f"{dir}/tmp123")

    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    with pytest.raises(StorageError) as caught:
        check_writable(tmp_path / "book")
    assert str(caught.value).startswith(f"{tmp_path / 'book'}: the file system is read-only")


def test_make_folder_makes_parents_and_minds_no_rerun(tmp_path):
    for _ in range(2):
        assert make_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
        assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="not allowed"):
        write_bytes(tmp_path / "file", b"data")
    with pytest.raises(StorageError, match="not allowed"):
        check_writable(tmp_path / "book")


def test_the_users_umask_decides_who_may_read(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "file", b"data")
    finally:
        assert os.umask(before) == 0o027
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_killed_run(tmp_path):
    write_bytes(tmp_path / "file", b"old")
    code = """
import os, pathlib, signal, sys
from generator.foundation.storage import atomic_writer
with atomic_writer(pathlib.Path(sys.argv[1])) as stream:
    stream.write(b"half")
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "file")], cwd=ROOT, check=False)
    assert killed.returncode == -9
    assert (tmp_path / "file").read_bytes() == b"old"
    assert len(content(tmp_path)) == 2
    remove_leftovers(tmp_path)
    assert content(tmp_path) == {"file": b"old"}


def test_remove_leftovers_removes_nothing_else(tmp_path):
    kept = {".gitignore", "a.part", "picture.png", ".hidden.png"}
    for name in (*kept, ".a.json.x1y2.part", ".b.part"):
        (tmp_path / name).touch()
    (tmp_path / ".model.part" / "new").mkdir(parents=True)
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept
    remove_leftovers(tmp_path / "not there")


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for text in ("old", "new"):
        with atomic_folder(tmp_path / "model") as folder:
            folder.mkdir()
            (folder / "weights").write_text(text)
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "model") as folder:
        folder.mkdir()
        raise KeyboardInterrupt
    assert content(tmp_path / "model") == {"weights": b"new"}
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_json_is_readable_by_people(tmp_path):
    data = {"z": "café", "a": [1, 2.5, None, True]}
    write_json(tmp_path / "file.json", data)
    text = (tmp_path / "file.json").read_text(encoding="utf-8")
    assert text == '{\n "z": "café",\n "a": [\n  1,\n  2.5,\n  null,\n  true\n ]\n}\n'
    write_json(tmp_path / "file.json", data, indent=None)
    assert (tmp_path / "file.json").read_bytes().count(b"\n") == 1
    assert json.loads((tmp_path / "file.json").read_bytes()) == data


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), {1, 2}])
def test_what_is_not_json_is_not_written(tmp_path, wrong):
    write_json(tmp_path / "file.json", [])
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "file.json", {"key": wrong})
    assert content(tmp_path) == {"file.json": b"[]\n"}


def test_translation_leaves_other_errors_alone(tmp_path):
    with pytest.raises(KeyError), translate_os_errors(tmp_path):
        raise KeyError("mine")


@pytest.mark.parametrize(
    ("data", "digest"),
    [  # FIPS 180-2, appendix B.1, and the empty string
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"x" * 3_000_000, hashlib.sha256(b"x" * 3_000_000).hexdigest()),
    ],
)
def test_sha256(tmp_path, data, digest):
    write_bytes(tmp_path / "file", data)
    assert sha256_of(tmp_path / "file") == digest


def test_a_place_that_cannot_be_written_is_called_by_its_own_name(tmp_path, monkeypatch):
    def refuse(*_, dir, prefix, suffix):
        raise PermissionError(errno.EACCES, "Permission denied", str(dir / f"{prefix}x{suffix}"))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(StorageError, match=r"audit\.json: reading or writing here is not allowed") as caught:
        write_bytes(tmp_path / "audit.json", b"{}")
    assert ".part" not in str(caught.value)
