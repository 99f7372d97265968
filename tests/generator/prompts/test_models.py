"""GPT-2, BLIP, CLIP and sentence-transformers, tiny and of random weights: what they give, and where they come from."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch

from generator.bundles import ModelRef, load_card
from generator.config import Config, PromptsConfig
from generator.foundation.errors import ConfigError, ModelError, ModelNotFoundError
from generator.foundation.vision_language import Clip
from generator.prompts.models import BATCH_SIZE, Captioner, Enricher, SentenceEmbedder, load_embedder
from generator.prompts.sources import PromptModels
from generator.weights import fingerprint

REPOSITORY = Path(__file__).parents[3]
CPU = torch.device("cpu")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# Name of the fixture's folder -> role, and how it is loaded.
LOADERS: dict[str, tuple[str, Callable[[ModelRef], object]]] = {
    "gpt2": ("enricher", lambda ref: Enricher(ref, device=CPU, offline=True)),
    "blip": ("captioner", lambda ref: Captioner(ref, device=CPU, offline=True)),
    "clip": ("clip", lambda ref: Clip("clip", ref, device=CPU, offline=True)),
    "sentences": ("embedder", lambda ref: load_embedder(ref, device=CPU, offline=True)),
}
FREE = PromptsConfig(max_words=8)


def load(name: str, ref: ModelRef | Path):
    return LOADERS[name][1](ref if isinstance(ref, ModelRef) else ModelRef(folder=str(ref)))


@pytest.fixture()
def hub(tmp_path: Path, tiny_language_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of huggingface_hub with tiny/gpt2 and so on in it."""
    for name in LOADERS:
        repository = tmp_path / "hub" / f"models--tiny--{name}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(COMMIT)
        (repository / "snapshots").mkdir()
        (repository / "snapshots" / COMMIT).symlink_to(tiny_language_models / name)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


# What they give.


def test_gpt2_writes_one_line_for_each_opening_and_the_same_for_the_same_seed(tiny_language_models):
    enricher = load("gpt2", tiny_language_models / "gpt2")
    openings = ["", "a cow", "", "a cow in the"]
    state = torch.get_rng_state()
    lines = enricher.write(["a cow", "a wolf"], openings, FREE, seed=5)
    assert torch.equal(torch.get_rng_state(), state)  # the global stream is nobody's to move
    assert [line.startswith(opening) for line, opening in zip(lines, openings, strict=True)] == [True] * 4
    assert not any("\n" in line for line in lines)
    assert lines[0] != lines[2]
    assert enricher.write(["a cow", "a wolf"], openings, FREE, seed=5) == lines
    assert enricher.write(["a cow", "a wolf"], openings, FREE, seed=6) != lines


def test_gpt2_forgets_the_oldest_lines_and_writes_no_more_than_it_has_room_for(tiny_language_models):
    enricher = load("gpt2", tiny_language_models / "gpt2")
    much = ["a brown cow in a green field at dusk"] * 20
    # 64 positions: 2 tokens a word for 8 words leave 48; for 32 words there is none left.
    for max_words in (8, 32):
        settings = PromptsConfig(top_p=1.0, repetition_penalty=1.0, max_words=max_words)
        lines = enricher.write(much, ["", "a wolf " * 50], settings, seed=1)
        assert len(lines) == 2
        assert lines[1].startswith("a wolf a wolf")


def test_blip_captions_a_picture_alike_in_any_company(tiny_language_models):
    captioner = load("blip", tiny_language_models / "blip")
    rng = np.random.default_rng(0)
    sizes = [(40, 30), (8, 8), (32, 32), (100, 20), (9, 50)] * 2
    pictures = [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
    assert len(pictures) > BATCH_SIZE
    together = captioner.caption(pictures)
    for place in (2, 9):
        assert captioner.caption(pictures[place : place + 1]) == [together[place]]
    assert all(text == " ".join(text.split()) and text for text in together)
    assert captioner.caption([]) == []


def test_blips_captions_begin_with_the_prefix(tiny_language_models):
    captioner = load("blip", tiny_language_models / "blip")
    pictures = [np.full((16, 16, 3), value, np.uint8) for value in (0, 255)]
    assert all(text.startswith("a cow in ") for text in captioner.caption(pictures, prefix="a cow in"))


@pytest.mark.parametrize("name", ["clip", "sentences"])
def test_texts_become_unit_vectors_alike_in_any_company(tiny_language_models, name):
    embedder = load(name, tiny_language_models / name)
    texts = ["a cow", "a wolf in deep snow", "a cow " * 100]
    vectors = embedder.embed_texts(texts)
    assert (vectors.shape, vectors.dtype) == ((3, 32), np.float32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.array_equal(vectors[1:2], embedder.embed_texts(texts[1:2]))
    assert not np.allclose(vectors[0], vectors[1])
    assert len(embedder.embed_texts([])) == 0


def test_clip_sees_pictures_in_the_space_of_texts(tiny_language_models):
    clip = load("clip", tiny_language_models / "clip")
    pictures = [np.full((h, w, 3), value, np.uint8) for h, w, value in ((20, 40, 0), (50, 33, 255))]
    vectors = clip.embed_pictures(pictures)
    assert (vectors.shape, vectors.dtype) == ((2, 32), np.float32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert clip.embed_pictures([]).shape == (0, 32)
    # Three rows are no three channels.
    flat, square = (np.full((rows, 20, 3), (200, 30, 90), np.uint8) for rows in (3, 20))
    assert np.allclose(clip.embed_pictures([flat]), clip.embed_pictures([square]), atol=1e-5)


def test_the_embedder_is_a_clip_where_the_folder_holds_one(tiny_language_models):
    for name, kind in (("clip", Clip), ("sentences", SentenceEmbedder)):
        ref = ModelRef(folder=str(tiny_language_models / name))
        assert type(load_embedder(ref, device=CPU, offline=True)) is kind


# Where they come from.


@pytest.mark.parametrize("name", LOADERS)
def test_the_fingerprint_of_a_folder_follows_its_weights(tiny_language_models, name):
    one = fingerprint(ModelRef(folder=str(tiny_language_models / name)))
    other = fingerprint(ModelRef(folder=str(tiny_language_models / ("clip" if name != "clip" else "gpt2"))))
    assert one.startswith("sha256:")
    assert len(one) == len("sha256:") + 12
    assert one != other


def test_the_fingerprint_of_weights_in_the_older_format(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pytorch_model.bin").write_text(name)
    one, two = (fingerprint(ModelRef(folder=str(tmp_path / name))) for name in ("one", "two"))
    assert one != two


@pytest.mark.parametrize("name", LOADERS)
def test_from_the_hubs_cache_offline_with_the_commit(hub, name):
    ref = ModelRef(id=f"tiny/{name}", revision="main")
    load(name, ref)
    assert fingerprint(ref) == f"commit:{COMMIT}"


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize(
    ("ref", "words"),
    [
        (ModelRef(folder="/nowhere/at/all"), [".folder: there is no folder '/nowhere/at/all'", "it must hold"]),
        (ModelRef(folder="{empty}"), ["cannot be had", "it must hold", ".folder"]),
        (ModelRef(id="tiny/other", revision="main"), ["'tiny/other'", "offline: true", "offline: false", ".folder"]),
        (ModelRef(id="tiny/gpt2", revision="v9"), ["'tiny/gpt2'", "offline: false"]),
        (ModelRef(id="not a repository"), ["not a repository", ".folder"]),
    ],
    ids=["no folder", "empty folder", "not in the cache", "another revision", "no name of a repository"],
)
def test_a_missing_model_says_which_setting_to_change(hub, tmp_path, name, ref, words):
    if ref.folder == "{empty}":
        (tmp_path / "empty").mkdir()
        ref = ModelRef(folder=str(tmp_path / "empty"))
    with pytest.raises(ModelNotFoundError) as caught:
        load(name, ref)
    for word in (f"models.{LOADERS[name][0]}", *words):
        assert word in str(caught.value)
    assert fingerprint(ref) in ("sha256:", f"revision:{ref.revision}")


def damaged(source: Path, folder: Path, file: str, content: bytes | None) -> Path:
    """A copy with one file replaced; None: removed; a number of bytes less for b"-1000"."""
    shutil.copytree(source, folder)
    path = folder / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: int(content)] if content.startswith(b"-") else content)
    return folder


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b"-1000"),
        ("model.safetensors", b""),
        ("model.safetensors", b"not weights"),
        ("config.json", b"{"),
        ("tokenizer.json", b"{"),
    ],
)
def test_a_damaged_file_is_one_clear_error(tiny_language_models, tmp_path, name, file, content):
    broken = damaged(tiny_language_models / name, tmp_path / "broken", file, content)
    with pytest.raises(ModelError, match=rf"models\.{LOADERS[name][0]}: .*broken"):
        load(name, broken)


@pytest.mark.parametrize("name", ["gpt2", "blip", "clip", "sentences"])
def test_a_folder_without_its_tokenizer(tiny_language_models, tmp_path, name):
    # Of missing files transformers makes a tokenizer without words, and with it nonsense.
    broken = damaged(tiny_language_models / name, tmp_path / "broken", "tokenizer.json", None)
    (broken / "tokenizer_config.json").unlink()
    with pytest.raises(ModelError, match="tokenizer"):
        load(name, broken)


@pytest.mark.parametrize(("name", "key"), [("gpt2", "n_layer"), ("blip", "text_config"), ("sentences", "hidden_size")])
def test_a_config_that_holds_something_else(tiny_language_models, tmp_path, name, key):
    config = json.loads((tiny_language_models / name / "config.json").read_text())
    content = json.dumps({**config, key: "two"}).encode()
    broken = damaged(tiny_language_models / name, tmp_path / "broken", "config.json", content)
    with pytest.raises(ModelError, match=f"broken.*{key}"):
        load(name, broken)


def test_every_model_of_the_sd21_config_has_a_revision():
    config = Config.load(REPOSITORY / "configs" / "sd21.yaml")
    models = config.models.model_dump()
    assert {"inpaint", "background", "captioner", "enricher", "embedder", "clip"} <= models.keys()
    assert all(model["revision"] and model["id"] for model in models.values() if model is not None)


def test_pocket_has_every_model_in_the_package():
    for role, model in load_card("pocket").models.items():
        if role != "background":
            assert ModelRef.model_validate(model).weight_files(), role


# All of a config.


def test_models_are_loaded_when_they_are_needed_and_say_so(tiny_language_models):
    folders = {"captioner": "blip", "enricher": "gpt2", "embedder": "sentences"}
    refs = {role: {"folder": str(tiny_language_models / name)} for role, name in folders.items()}
    models = PromptModels(Config(bundle="sd21", device="cpu", models=refs))
    assert models.used == {}
    assert models.embedder is models.embedder
    assert models.used == {"embedder": fingerprint(ModelRef(**refs["embedder"]))}
    assert isinstance(models.enricher, Enricher)
    assert list(models.used) == ["embedder", "enricher"]
    assert isinstance(models.captioner, Captioner)


@pytest.mark.parametrize("role", ["captioner", "enricher", "embedder"])
def test_a_bundle_without_the_model(role):
    models = PromptModels(Config(bundle="sd21", device="cpu", models={role: None}))
    with pytest.raises(ConfigError) as caught:
        getattr(models, role)
    (fault,) = caught.value.faults
    assert fault.column == f"models.{role}"
    assert "the bundle 'sd21' has none; give an id or a folder" in fault.expected
