"""Names of pictures: below their folder, and unique in one."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from detection.datasets.names import file_name, portable_path, unique_stems


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.png", "a.png"),
        ("/data/x/a.png", "data/x/a.png"),
        ("x/a .png", "x/a .png"),
        ("..\\\\x\\a b.png", "x/a b.png"),
        ("./../a.png", "a.png"),
    ],
)
def test_paths_stay_below_their_folder(name: str, path: str) -> None:
    assert portable_path(name) == PurePosixPath(path)


@pytest.mark.parametrize(
    ("paths", "stems"),
    [
        ([], []),
        (["a/1.jpg", "a/2.jpg"], ["1", "2"]),
        (["a/1.jpg", "b/1.jpg", "b/2.jpg"], ["a_1", "b_1", "2"]),
        (["1.jpg", "1.png"], ["1_jpg", "1_png"]),
        (["Cat.jpg", "x/cat.jpg"], ["Cat", "x_cat"]),
        (["a/1.jpg", "1.jpg", "a_1.jpg"], ["a_1_2", "1", "a_1"]),
        (["a/b/1.jpg", "a_b/1.jpg"], ["a_b_1", "a_b_1_2"]),
        ([f"{'x' * 200}/1.jpg", f"{'x' * 199}/1.jpg"], [f"{'x' * 58}_1", f"{'x' * 58}_1_2"]),
    ],
)
def test_names_are_unique_in_one_folder(paths: list[str], stems: list[str]) -> None:
    found = unique_stems([PurePosixPath(path) for path in paths])
    assert len({stem.lower() for stem in found}) == len(paths)
    assert found == stems


def test_a_name_is_cut_to_what_file_systems_take() -> None:
    stems = ["\u732b" * 83 + end for end in ("a", "b")]
    names = [file_name(stem, "-12345.png") for stem in stems]
    assert [len(name.encode()) <= 255 for name in names] == [True, True]
    assert len({*names}) == 2
    assert names == [file_name(stem, "-12345.png") for stem in stems]
    assert all(name.startswith("\u732b" * 70) and name.endswith("-12345.png") for name in names)
    assert file_name("x" * 251, ".jpg") == "x" * 251 + ".jpg"


def test_bytes_that_are_no_text_are_written_in_letters() -> None:
    paths = [PurePosixPath(name) for name in ("caf\udce9.jpg", "caf%E9.jpg", "\udcba\udcec/1.jpg", "b/1.jpg")]
    assert unique_stems(paths) == ["caf%E9_jpg", "caf%E9_jpg_2", "%BA%EC_1", "b_1"]
