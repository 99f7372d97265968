import json
from pathlib import Path

import pytest

from detection.work_folder import make_room, remove, working_in
from generator.foundation.errors import RunMismatchError, StorageError

ROOM = {"kind": "ours", "marker": "about.json", "last": "page.html", "names": ("about.json", "pictures", "page.html")}
MARKER = json.dumps({"kind": "ours"})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_with_nothing_written_is_as_it_was(tmp_path: Path) -> None:
    with working_in(tmp_path / "new"):
        assert names(tmp_path / "new") == [".lock"]
    assert not (tmp_path / "new").exists()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(KeyError), working_in(tmp_path):
        raise KeyError
    assert names(tmp_path) == ["notes.txt"]


def test_a_folder_that_was_written_to_keeps_its_lock_file_and_loses_leftovers(tmp_path: Path) -> None:
    (tmp_path / ".scores.json.x.part").write_text("half")
    with working_in(tmp_path):
        (tmp_path / "scores.json").write_text("{}")
        with pytest.raises(StorageError, match="another boxpaint run"), working_in(tmp_path):
            pass
    assert names(tmp_path) == [".lock", "scores.json"]
    with working_in(tmp_path):
        pass
    assert names(tmp_path) == [".lock", "scores.json"]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"), working_in(tmp_path / "file"):
        pass


def test_removing(tmp_path: Path) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name in ("link", "file", "gone"):
        remove(tmp_path / name)
    assert names(tmp_path) == ["folder"]
    remove(tmp_path / "folder")
    assert names(tmp_path) == []


def test_room_is_made_in_what_is_ours(tmp_path: Path) -> None:
    make_room(tmp_path, **ROOM, overwrite=False)
    (tmp_path / "about.json").write_text(MARKER)
    (tmp_path / "pictures").mkdir()
    make_room(tmp_path, **ROOM, overwrite=False)  # of an unfinished call
    assert names(tmp_path) == []
    (tmp_path / "about.json").write_text(MARKER)
    (tmp_path / "page.html").write_text("all")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunMismatchError, match="holds results already"):
        make_room(tmp_path, **ROOM, overwrite=False)
    make_room(tmp_path, **ROOM, overwrite=True)
    assert names(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("files", [{"notes.txt": ""}, {"about.json": '{"kind": "theirs"}'}, {"page.html": "a user's"}])
def test_no_room_is_made_in_what_is_not(tmp_path: Path, files: dict[str, str], overwrite: bool) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(RunMismatchError, match="holds something else"):
        make_room(tmp_path, **ROOM, overwrite=overwrite)
    assert names(tmp_path) == [*files]


def test_a_damaged_marker_can_be_overwritten_where_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "about.json").write_text("{")
    (tmp_path / "page.html").write_text("all")
    with pytest.raises(StorageError, match=r"about\.json: is damaged"):
        make_room(tmp_path, **ROOM, overwrite=False)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match=r"about\.json: is damaged"):
        make_room(tmp_path, **ROOM, overwrite=True)
    (tmp_path / "notes.txt").unlink()
    make_room(tmp_path, **ROOM, overwrite=True)
    assert names(tmp_path) == []
