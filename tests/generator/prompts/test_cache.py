"""Captions and rows that were made before, in the user's cache folder."""

import json
import os
from pathlib import Path

import pytest

from generator.prompts.book import BookRow, Text
from generator.prompts.cache import CaptionCache, MadeRow, keep_row, read_row

BLIP = {"captioner": "sha256:1", "prefix": ""}


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_was_added_is_there_next_time(cache_home):
    cache = CaptionCache(BLIP)
    assert cache.get("aa") is None
    assert not cache_home.exists()  # looking makes no files
    cache.add({"aa": "a cow", "bb": ""})
    cache.add({"cc": "naïve 牛"})
    again = CaptionCache(BLIP)
    assert [again.get(key) for key in ("aa", "bb", "cc", "dd")] == ["a cow", "", "naïve 牛", None]
    assert again.path.is_relative_to(cache_home / "boxpaint" / "captions")


@pytest.mark.parametrize(
    "other", [{**BLIP, "captioner": "sha256:2"}, {**BLIP, "prefix": "a photo of"}, {**BLIP, "beams": 5}]
)
def test_another_captioner_has_captions_of_its_own(other):
    CaptionCache(BLIP).add({"aa": "a cow"})
    assert CaptionCache(other).get("aa") is None
    assert CaptionCache(other).path != CaptionCache(BLIP).path
    assert CaptionCache(dict(reversed(BLIP.items()))).get("aa") == "a cow"


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b"", None),
        (b"{", None),
        (b'{"aa": "a c', None),
        (b"\xff\xfe", None),
        (b"[1]", None),
        (b"null", None),
        (b'{"aa": 7, "bb": "x"}', None),
        (b'{"aa": "a cow", "bb": null}', "a cow"),
        (b"[" * 100_000, None),
    ],
)
def test_a_damaged_cache_costs_time_only(content, kept):
    CaptionCache(BLIP).add({"aa": "old"})
    path = CaptionCache(BLIP).path
    path.write_bytes(content)
    cache = CaptionCache(BLIP)
    assert cache.get("aa") == kept
    cache.add({"aa": "new"})
    assert CaptionCache(BLIP).get("aa") == "new"
    assert json.loads(path.read_bytes())["aa"] == "new"


def test_a_cache_that_cannot_be_written_still_serves_this_run(cache_home):
    cache_home.write_text("a file where the folder should be")
    cache = CaptionCache(BLIP)
    cache.add({"aa": "a cow"})
    assert cache.get("aa") == "a cow"
    assert CaptionCache(BLIP).get("aa") is None


def test_a_full_disk_leaves_the_old_cache(monkeypatch):
    CaptionCache(BLIP).add({"aa": "a cow"})
    cache = CaptionCache(BLIP)

    def full_disk(*_args, **_options):
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full_disk)
        cache.add({"bb": "a wolf"})
    assert (cache.get("bb"), CaptionCache(BLIP).get("bb"), CaptionCache(BLIP).get("aa")) == ("a wolf", None, "a cow")


def test_a_row_is_there_next_time_for_the_same_wish_alone(cache_home):
    row = BookRow(table="classes", name="cow", prompt="a cow", texts=(Text(text="a cow", source="prompt"),))
    made = MadeRow(row=row, models={"embedder": "sha256:1"})
    assert read_row({"seed": 0}) is None
    keep_row({"seed": 0}, made)
    assert read_row({"seed": 0}) == made
    assert read_row({"seed": 1}) is None
    (path,) = (cache_home / "boxpaint" / "rows").iterdir()
    path.write_bytes(path.read_bytes()[:-10])
    assert read_row({"seed": 0}) is None
