"""Where texts come from: captions of photos, captioned once; attributes; and what the user's cache keeps."""

import os
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest

from generator.config import Config
from generator.foundation.errors import ConfigError, SpecError
from generator.models.weights import fingerprint
from generator.prompts import models as language_models
from generator.prompts.book import PromptBook, Skipped, read_book, write_book
from generator.prompts.make import make_book
from generator.prompts.sources import (
    CAPTION_SETTINGS,
    Cache,
    PromptModels,
    attributes_for,
    caption_references,
    compose,
)
from generator.spec import AttributeSpec, BackgroundSpec, ClassSpec, Spec
from generator.spec.references import Reference, content_hash

ConfigOf = Callable[..., Config]
Photo = Callable[..., Path]


# Attributes.


def attribute(name: str, text: str, applies_to: str = "") -> AttributeSpec:
    return AttributeSpec(attribute=name, text=text, applies_to=applies_to)


TABLE = (
    attribute("light", "at dusk"),
    attribute("pose", "lying", "objects"),
    attribute("light", "at noon"),
    attribute("weather", "in fog", "background"),
    attribute("pose", "grazing", "cow"),
    attribute("light", "in moonlight", "wolf"),
)


def texts_of(values: dict[str, tuple[str, ...]], number: int = 2000, *, seed: int = 0) -> list[str]:
    return list(islice(compose("a cow", values, np.random.default_rng(seed)), number))


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        ("", {"light": ("at dusk", "at noon"), "weather": ("in fog",)}),
        ("cow", {"light": ("at dusk", "at noon"), "pose": ("lying", "grazing")}),
        ("wolf", {"light": ("at dusk", "at noon", "in moonlight"), "pose": ("lying",)}),
        ("Cow", {"light": ("at dusk", "at noon"), "pose": ("lying",)}),
    ],
)
def test_who_an_attribute_is_for(category, expected):
    assert attributes_for(TABLE, category) == expected
    assert list(attributes_for(TABLE, category)) == list(expected)


def test_each_text_has_one_value_each_of_some_attributes_in_the_order_of_the_file():
    texts = texts_of({"light": ("at dusk", "at noon"), "weather": ("in fog",)})
    assert set(texts) == {
        "a cow, at dusk",
        "a cow, at noon",
        "a cow, in fog",
        "a cow, at dusk, in fog",
        "a cow, at noon, in fog",
    }


def test_each_combination_comes_once_and_then_it_ends():
    texts = texts_of({"light": ("at dusk",), "weather": ("in fog",)})
    assert Counter(texts) == Counter(["a cow, at dusk", "a cow, in fog", "a cow, at dusk, in fog"])


# The cache.

BLIP = {"captioner": "sha256:1", "prefix": ""}


def test_what_was_kept_is_there_next_time_for_the_same_wish_alone(cache_home: Path):
    cache = Cache("captions", BLIP)
    assert cache.read() is None
    assert not cache_home.exists()  # looking makes no files
    cache.keep({"aa": "naïve 牛", "bb": ""})
    assert Cache("captions", dict(reversed(BLIP.items()))).read() == {"aa": "naïve 牛", "bb": ""}
    assert cache.path.is_relative_to(cache_home / "boxpaint" / "captions")
    for other in ({**BLIP, "captioner": "sha256:2"}, {**BLIP, "prefix": "a photo of"}, {**BLIP, "beams": 5}):
        assert Cache("captions", other).read() is None
    assert Cache("rows", BLIP).read() is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"aa": "a c', b"\xff\xfe", b"[" * 100_000])
def test_what_is_damaged_was_not_kept(content: bytes):
    cache = Cache("captions", BLIP)
    cache.keep({"aa": "old"})
    cache.path.write_bytes(content)
    assert cache.read() is None
    cache.keep({"aa": "new"})
    assert cache.read() == {"aa": "new"}


def test_what_cannot_be_kept_does_no_harm(cache_home: Path, monkeypatch: pytest.MonkeyPatch):
    cache = Cache("captions", BLIP)
    cache.keep({"aa": "a cow"})

    def full_disk(*_args, **_options):
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full_disk)
        cache.keep({"bb": "a wolf"})
    assert cache.read() == {"aa": "a cow"}
    cache_home.rename(cache_home.with_name("elsewhere"))
    cache_home.write_text("a file where the folder should be")
    cache.keep({"aa": "a cow"})
    assert cache.read() is None


# Captions.

FIELD = BackgroundSpec(prompt="a green field", num_imgs=3, line=2)


def cow(references: str = "cows", **given: object) -> ClassSpec:
    row = {"prompt": "a brown cow", "name": "cow", "min_appear": 1, "max_appear": 2, "line": 2}
    return ClassSpec(**{**row, "references": references, **given})


def spec_of(folder: Path, *classes: ClassSpec) -> Spec:
    return Spec(backgrounds=(FIELD,), classes=classes or (cow(),), folder=str(folder))


def remember(config: Config, captions: dict[Path, str]) -> None:
    """Put captions into the cache as if the captioner had said them: one of random weights says nothing of use."""
    settings = {"prefix": config.prompts.caption_prefix, **CAPTION_SETTINGS}
    cache = Cache("captions", {"captioner": fingerprint(config.models.captioner), **settings})
    cache.keep({content_hash(Reference(path=path)): text for path, text in captions.items()})


def cows_saying(config: Config, photo: Photo, folder: Path, *said: str) -> None:
    """Put photos of cows, and their captions into the cache."""
    remember(config, {photo(folder / "cows" / f"{number}.png", number): text for number, text in enumerate(said)})


def cow_texts(book: PromptBook) -> list[tuple[str, str, str]]:
    return [(item.source, item.text, item.rejected) for item in book.enriched.rows[1].texts]


def test_the_captions_of_photos_are_written_down(config_of: ConfigOf, photo: Photo, tmp_path: Path):
    paths = [photo(tmp_path / "cows" / f"{number}.png", number) for number in range(3)]
    config = config_of(enrich="none")
    book = make_book(spec_of(tmp_path), config)
    assert book.captions is not None
    (row,) = book.captions.rows
    assert (row.name, row.prompt, row.references, row.skipped) == ("cow", "a brown cow", "cows", ())
    assert [item.picture for item in row.captions] == ["0.png", "1.png", "2.png"]
    assert [item.sha256 for item in row.captions] == [content_hash(Reference(path=path)) for path in paths]
    assert all(item.text for item in row.captions)
    assert book.captions.model == book.enriched.models["captioner"] == fingerprint(config.models.captioner)
    assert book.captions.parameters == {"prefix": "", "max_references": 64}
    write_book(book, tmp_path / "prompts")
    assert read_book(tmp_path / "prompts", spec_of(tmp_path)) == book
    assert make_book(spec_of(tmp_path), config).files() == book.files()


def test_no_references_no_captions(config_of: ConfigOf, tmp_path: Path):
    config = config_of(models={"captioner": None})
    models = PromptModels(config)
    assert caption_references(spec_of(tmp_path, cow("")), models, print) is None
    assert models.used == {}


def test_captions_are_candidates_and_the_commonest_comes_first(config_of: ConfigOf, photo: Photo, tmp_path: Path):
    said = (
        "a cow on a hill",
        "a cow lying.",
        "a photo of a field",
        "a cow lying",
        "two cows in a field",
        "a cow lying",
    )
    config = config_of(enrich="none", variants=9)
    cows_saying(config, photo, tmp_path, *said)
    book = make_book(spec_of(tmp_path), config)
    assert cow_texts(book) == [
        ("prompt", "a brown cow", ""),
        ("caption", "a cow lying", ""),
        ("caption", "a cow on a hill", ""),
        ("caption", "a photo of a field", "lacks the class noun: cow"),
        ("caption", "two cows in a field", "speaks of several: cows"),
    ]
    assert book.enriched.rows[0].kept == ("a green field",)  # what cows look like says nothing of fields
    assert sorted(book.enriched.models) == ["captioner", "embedder"]
    assert book.captions.rows[0].captions[1].text == "a cow lying."  # as it was said


def test_captions_that_say_nothing_do_no_harm(config_of: ConfigOf, photo: Photo, tmp_path: Path):
    config = config_of(variants=4)
    said = ["", "...", "a brown cow", "12 34"]
    cows_saying(config, photo, tmp_path, *said)
    book = make_book(spec_of(tmp_path), config)
    assert [item.text for item in book.captions.rows[0].captions] == said
    write_book(book, tmp_path / "prompts")
    assert read_book(tmp_path / "prompts") == book


def test_captions_steer_gpt2(config_of: ConfigOf, photo: Photo, tmp_path: Path):
    config = config_of(variants=9)
    alone = make_book(spec_of(tmp_path, cow("")), config)
    cows_saying(config, photo, tmp_path, "a cow lying")
    steered = make_book(spec_of(tmp_path), config)
    written = [text for source, text, _ in cow_texts(steered) if source == "gpt2"]
    assert any(text.startswith("a cow lying") for text in written)
    assert written != [text for source, text, _ in cow_texts(alone) if source == "gpt2"]


# Captioned once.


def broken_captioner(config_of: ConfigOf, tiny_language_models: Path, folder: Path, **prompts: object) -> Config:
    """The same captioner by its weights, which cannot be loaded."""
    (folder / "broken").mkdir()
    weights = tiny_language_models / "blip" / "model.safetensors"
    (folder / "broken" / "model.safetensors").symlink_to(weights)
    (folder / "broken" / "config.json").write_text("{")
    return config_of(enrich="none", models={"captioner": {"folder": str(folder / "broken")}}, **prompts)


def test_a_second_time_the_captioner_is_not_even_loaded(
    config_of: ConfigOf, photo: Photo, tmp_path: Path, tiny_language_models: Path
):
    for number in range(3):
        photo(tmp_path / "cows" / f"{number}.png", number)
    first = make_book(spec_of(tmp_path), config_of(enrich="none"))
    broken = broken_captioner(config_of, tiny_language_models, tmp_path)
    assert make_book(spec_of(tmp_path), broken).files() == first.files()
    # Nor for a photo of another name.
    (tmp_path / "cows" / "0.png").rename(tmp_path / "cows" / "other.png")
    names = [item.picture for item in make_book(spec_of(tmp_path), broken).captions.rows[0].captions]
    assert names == ["1.png", "2.png", "other.png"]


@pytest.mark.parametrize("content", [b"[1]", b"null", b"{", b'{"photo": 7}'])
def test_a_damaged_cache_costs_time_only(
    config_of: ConfigOf, photo: Photo, tmp_path: Path, cache_home: Path, content: bytes
):
    path = photo(tmp_path / "cows" / "1.png", 1)
    first = make_book(spec_of(tmp_path), config_of(enrich="none"))
    (kept,) = (cache_home / "boxpaint" / "captions").iterdir()
    kept.write_bytes(content.replace(b"photo", content_hash(Reference(path=path)).encode()))
    assert make_book(spec_of(tmp_path), config_of(enrich="none")).files() == first.files()


@pytest.mark.parametrize("change", ["another photo", "another prefix"])
def test_what_is_new_is_captioned(
    config_of: ConfigOf, photo: Photo, tmp_path: Path, tiny_language_models: Path, change: str
):
    photo(tmp_path / "cows" / "1.png", 1)
    make_book(spec_of(tmp_path), config_of(enrich="none"))
    prefix = "a cow" if change == "another prefix" else ""
    broken = broken_captioner(config_of, tiny_language_models, tmp_path, caption_prefix=prefix)
    if change == "another photo":
        photo(tmp_path / "cows" / "2.png", 2)
    with pytest.raises(Exception, match=r"models\.captioner.*broken"):
        make_book(spec_of(tmp_path), broken)


def test_photos_of_one_name_in_two_folders_are_both_captioned(config_of: ConfigOf, photo: Photo, tmp_path: Path):
    config = config_of(enrich="none")
    paths = [photo(tmp_path / "cows" / folder / "1.png", number) for number, folder in enumerate(("a", "b"))]
    remember(config, dict(zip(paths, ("a cow lying", "a cow on a hill"), strict=True)))
    book = make_book(spec_of(tmp_path), config)
    assert [item.text for item in book.captions.rows[0].captions] == ["a cow lying", "a cow on a hill"]


def test_of_many_photos_some_are_captioned(config_of: ConfigOf, photo: Photo, tmp_path: Path):
    for number in range(6):
        photo(tmp_path / "cows" / f"{number}.png", number)
    book = make_book(spec_of(tmp_path), config_of(enrich="none", max_references=3))
    assert [item.picture for item in book.captions.rows[0].captions] == ["0.png", "2.png", "4.png"]


def test_a_captioner_that_is_downloaded_first_is_known_by_its_commit_at_once(
    config_of: ConfigOf, photo: Photo, tmp_path: Path, tiny_language_models: Path, monkeypatch: pytest.MonkeyPatch
):
    commit = "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    real = language_models.Captioner

    def download(ref, **options):
        repository = tmp_path / "hub" / "models--tiny--blip"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(commit)
        (repository / "snapshots").mkdir()
        (repository / "snapshots" / commit).symlink_to(tiny_language_models / "blip")
        return real(ref, **options)

    monkeypatch.setattr(language_models, "Captioner", download)
    photo(tmp_path / "cows" / "1.png", 1)
    config = config_of(enrich="none", models={"captioner": {"id": "tiny/blip", "revision": "main", "folder": None}})
    first = make_book(spec_of(tmp_path), config)
    assert first.captions.model == first.enriched.models["captioner"] == f"commit:{commit}"
    monkeypatch.setattr(language_models, "Captioner", real)
    assert make_book(spec_of(tmp_path), config).files() == first.files()


# Photos that cannot be read.


def test_what_cannot_be_read_is_skipped_with_a_line_each(config_of: ConfigOf, photo: Photo, tmp_path: Path):
    photo(tmp_path / "cows" / "good.png", 1)
    (tmp_path / "cows" / "bad.png").write_bytes(b"no picture")
    (tmp_path / "cows" / "half.png").write_bytes((tmp_path / "cows" / "good.png").read_bytes()[:200])
    for _ in range(2):  # with and without the cache
        warnings: list[str] = []
        book = make_book(spec_of(tmp_path), config_of(enrich="none"), on_warning=warnings.append)
        (row,) = book.captions.rows
        assert [item.picture for item in row.captions] == ["good.png"]
        assert [item.picture for item in row.skipped] == ["bad.png", "half.png"]
        assert row.skipped[0] == Skipped(picture="bad.png", reason="is no picture, or a damaged one")
        skipped = [text.split(": skipped, ")[0] for text in warnings if "skipped" in text]
        assert skipped == [str(tmp_path / "cows" / name) for name in ("bad.png", "half.png")]


def test_photos_none_of_which_can_be_read_are_a_fault_of_the_row(config_of: ConfigOf, tmp_path: Path):
    (tmp_path / "cows").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "cows" / name).write_bytes(b"no picture")
    with pytest.raises(SpecError) as caught:
        make_book(spec_of(tmp_path), config_of(enrich="none"))
    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.column, fault.found) == ("classes", 2, "references", "cows")
    assert fault.expected == "none of its 2 pictures can be read; the first: is no picture, or a damaged one"


def test_a_folder_that_vanished_since_the_spec_was_read(config_of: ConfigOf, tmp_path: Path):
    with pytest.raises(SpecError, match="there is no such folder"):
        make_book(spec_of(tmp_path), config_of(enrich="none"))


def test_references_without_a_captioner(config_of: ConfigOf, photo: Photo, tmp_path: Path):
    photo(tmp_path / "cows" / "1.png", 1)
    with pytest.raises(ConfigError, match=r"models\.captioner.*the column references needs a captioner \(BLIP\)"):
        make_book(spec_of(tmp_path), config_of(models={"captioner": None}))
