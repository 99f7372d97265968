import json
from pathlib import Path

import pytest

from generator.foundation.errors import RunMismatchError, StorageError
from generator.foundation.run_folder import (
    DETECTOR_RUN,
    EXPORT,
    IMPORTED,
    KINDS,
    PREDICTION,
    FolderKind,
    add_kind,
    check_outside,
    kind_of,
    list_differences,
    working_in,
)

IDENTITY = {"settings": {"steps": 2, "workers": 0}, "data": [{"path": "/here", "digest": "sha256:a"}]}
OURS = json.dumps({"kind": PREDICTION.name})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def marked(kind: FolderKind, folder: Path) -> Path:
    """A folder with the marker of a kind."""
    kind.begin(folder, dict.fromkeys(kind.keys - kind.head.keys()))
    return folder


# --- of which kind a folder is -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_is_known_by_its_marker(kind: FolderKind, tmp_path: Path) -> None:
    assert kind_of(tmp_path) is None
    assert add_kind("nothing", tmp_path) == "nothing"
    assert kind_of(marked(kind, tmp_path)) == kind
    assert add_kind("no detector is there", tmp_path) == f"no detector is there; it is {kind.what}: {kind.use}"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kind": "boxpaint"}', '{"wandb": 1}'])
def test_what_is_damaged_or_somebody_elses_is_of_no_kind(content: str, tmp_path: Path) -> None:
    write(tmp_path, run__json=content)
    assert kind_of(tmp_path) is None


# --- one run at a time ---------------------------------------------------------------------------------------------


def test_a_folder_with_nothing_written_is_as_it_was(tmp_path: Path) -> None:
    with working_in(tmp_path / "new"):
        assert names(tmp_path / "new") == [".lock"]
    assert not (tmp_path / "new").exists()
    write(tmp_path, notes__txt="mine")
    with pytest.raises(KeyError), working_in(tmp_path):
        raise KeyError
    assert names(tmp_path) == ["notes.txt"]


def test_a_folder_that_was_written_to_keeps_its_lock_file_and_loses_leftovers(tmp_path: Path) -> None:
    (tmp_path / ".scores.json.x.part").write_text("half")
    with working_in(tmp_path):
        write(tmp_path, scores__json="{}")
        with pytest.raises(StorageError, match="another boxpaint run"), working_in(tmp_path):
            pass
    assert names(tmp_path) == [".lock", "scores.json"]
    with working_in(tmp_path):
        pass
    assert names(tmp_path) == [".lock", "scores.json"]


def test_hidden_parts_in_a_folder_that_is_not_ours_stay(tmp_path: Path) -> None:
    write(tmp_path, notes__txt="mine")
    (tmp_path / ".backup.part").mkdir()
    write(tmp_path / ".backup.part", letter__txt="mine")
    with pytest.raises(RunMismatchError), working_in(tmp_path):
        DETECTOR_RUN.check(tmp_path, {}, overwrite=True)
    assert names(tmp_path) == [".backup.part", "notes.txt"]
    assert names(tmp_path / ".backup.part") == ["letter.txt"]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    write(tmp_path, file="")
    with pytest.raises(StorageError, match="file"), working_in(tmp_path / "file"):
        pass


def test_what_is_read_does_not_lie_in_what_is_written(tmp_path: Path) -> None:
    check_outside(tmp_path / "out", tmp_path, tmp_path / "outer")
    for source in (tmp_path / "out", tmp_path / "out" / "deep"):
        with pytest.raises(RunMismatchError, match="what is to be read lies in this folder"):
            check_outside(tmp_path / "out", tmp_path, source)


# --- runs that go on -----------------------------------------------------------------------------------------------


def test_a_run_from_begin_to_end(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert not DETECTOR_RUN.check(out, IDENTITY)
    DETECTOR_RUN.begin(out, {"command": "boxpaint", **IDENTITY})
    assert list(json.loads((out / "run.json").read_text())) == ["schema_version", "kind", "command", "settings", "data"]
    assert not DETECTOR_RUN.check(out, IDENTITY)
    assert not DETECTOR_RUN.is_begun(out)
    (out / "checkpoint").mkdir()
    write(out / "checkpoint", step__pt="")
    assert DETECTOR_RUN.is_begun(out)
    write(out, scores__json="{}", notes__txt="mine")
    assert DETECTOR_RUN.check(out, IDENTITY)
    assert not DETECTOR_RUN.check(out, {}, overwrite=True)
    DETECTOR_RUN.clear(out, keep=("scores.json",))
    assert names(out) == ["notes.txt", "scores.json"]


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"settings": {"steps": 2, "workers": 4}, "data": [{"path": "/there", "digest": "sha256:a"}]}, None),
        ({"settings": {"steps": 9}}, ("settings.steps: 2 before, 9 now",)),
        ({"data": ({"digest": "b"},)}, ('data[1].digest: "sha256:a" before, "b" now',)),
        (
            {"data": [], "seed": 1},
            ('data[1]: {"digest": "sha256:a"} before, nothing now', "seed: nothing before, 1 now"),
        ),
    ],
)
def test_another_run_is_refused_with_the_differences(
    changes: dict[str, object], lines: tuple[str, ...] | None, tmp_path: Path
) -> None:
    DETECTOR_RUN.begin(tmp_path, IDENTITY)
    identity = {**IDENTITY, **changes}
    if lines is None:
        DETECTOR_RUN.check(tmp_path, identity)
        return
    with pytest.raises(RunMismatchError, match="--overwrite to start again") as caught:
        DETECTOR_RUN.check(tmp_path, identity)
    assert caught.value.differences == lines
    DETECTOR_RUN.check(tmp_path, identity, overwrite=True)


def test_a_run_of_another_version(tmp_path: Path) -> None:
    write(tmp_path, run__json=json.dumps({"schema_version": 0, "kind": DETECTOR_RUN.name, **IDENTITY}))
    with pytest.raises(RunMismatchError, match="another version of boxpaint wrote it"):
        DETECTOR_RUN.check(tmp_path, IDENTITY)


def test_long_values_are_shortened() -> None:
    (line,) = list_differences("x" * 100, None, "prompt")
    assert line == f'prompt: "{"x" * 76}... before, nothing now'


def test_a_folder_of_ours_that_a_kill_left_empty_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    assert DETECTOR_RUN.read(tmp_path) is None
    write(tmp_path / "checkpoint", mine="")
    with pytest.raises(RunMismatchError, match="it holds checkpoint; choose another"):
        DETECTOR_RUN.read(tmp_path, overwrite=True)


# --- results that are made anew ------------------------------------------------------------------------------------


def test_room_is_made_in_what_is_ours(tmp_path: Path) -> None:
    PREDICTION.make_room(tmp_path, overwrite=False)
    write(tmp_path, predict__json=OURS)
    (tmp_path / "drawn").mkdir()
    PREDICTION.make_room(tmp_path, overwrite=False)  # of an unfinished call
    assert names(tmp_path) == []
    write(tmp_path, predict__json=OURS, detections__json="[]", notes__txt="mine")
    with pytest.raises(RunMismatchError, match="holds the result of boxpaint predict already"):
        PREDICTION.make_room(tmp_path, overwrite=False)
    PREDICTION.make_room(tmp_path, overwrite=True)
    assert names(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "files", [{"notes__txt": ""}, {"predict__json": '{"kind": "theirs"}'}, {"detections__json": "a user's"}]
)
def test_nothing_is_removed_from_what_is_not(tmp_path: Path, files: dict[str, str], overwrite: bool) -> None:
    write(tmp_path, **files)
    before = names(tmp_path)
    with pytest.raises(RunMismatchError, match="is not the result of boxpaint predict: it holds"):
        PREDICTION.make_room(tmp_path, overwrite=overwrite)
    assert names(tmp_path) == before


def test_a_damaged_marker_can_be_overwritten_where_nothing_else_is(tmp_path: Path) -> None:
    write(tmp_path, predict__json="{", detections__json="[]")
    with pytest.raises(StorageError, match=r"predict\.json: is damaged"):
        PREDICTION.make_room(tmp_path, overwrite=False)
    write(tmp_path, notes__txt="mine")
    with pytest.raises(RunMismatchError, match=r"it holds detections\.json, notes\.txt, predict\.json; choose another"):
        PREDICTION.make_room(tmp_path, overwrite=True)
    (tmp_path / "notes.txt").unlink()
    PREDICTION.make_room(tmp_path, overwrite=True)
    assert names(tmp_path) == []


def exported(out: Path, name: str, *, overwrite: bool = False) -> None:
    with EXPORT.replaced(out, overwrite=overwrite) as folder:
        (folder / "images").mkdir()
        write(folder / "images", **{name: ""})
        EXPORT.begin(folder, {})


def test_results_appear_at_the_end_in_place_of_earlier_ones(tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(out, "first")
    assert names(out) == ["export.json", "images"]
    with pytest.raises(RunMismatchError, match="holds an export already"):
        exported(out, "second")
    with pytest.raises(KeyboardInterrupt), EXPORT.replaced(out, overwrite=True):
        raise KeyboardInterrupt
    assert (names(out), names(out / "images")) == (["export.json", "images"], ["first"])
    (out / ".new.part" / "left").mkdir(parents=True)  # a kill did
    exported(out, "second", overwrite=True)
    assert (names(out), names(out / "images")) == (["export.json", "images"], ["second"])
    with pytest.raises(KeyboardInterrupt), EXPORT.replaced(tmp_path / "new", overwrite=False):
        raise KeyboardInterrupt
    assert names(tmp_path) == ["out"]


def test_what_stands_beside_named_results_stays(tmp_path: Path) -> None:
    marked(IMPORTED, tmp_path)
    write(tmp_path, notes__txt="mine")
    with IMPORTED.replaced(tmp_path, overwrite=True) as folder:
        marked(IMPORTED, folder)
        for name in ("images", "annotations"):
            (folder / name).mkdir()
    assert names(tmp_path) == ["annotations", "images", "import.json", "notes.txt"]
