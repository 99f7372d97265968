"""GPT-2, BLIP, CLIP and sentence-transformers, tiny and of random weights: what they give."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generator.bundles import ModelRef, load_card
from generator.config import Config, PromptsConfig
from generator.foundation.errors import ConfigError
from generator.models.vision_language import Clip
from generator.models.weights import fingerprint
from generator.prompts.models import BATCH_SIZE, Captioner, Enricher, SentenceEmbedder, load_embedder
from generator.prompts.sources import PromptModels

REPOSITORY = Path(__file__).parents[3]
CPU = torch.device("cpu")
# Name of the fixture's folder -> how it is loaded.
LOADERS: dict[str, Callable[[ModelRef], Any]] = {
    "gpt2": lambda ref: Enricher(ref, device=CPU, offline=True),
    "blip": lambda ref: Captioner(ref, device=CPU, offline=True),
    "clip": lambda ref: Clip("clip", ref, device=CPU, offline=True),
    "sentences": lambda ref: load_embedder(ref, device=CPU, offline=True),
}
FREE = PromptsConfig(max_words=8)


def load(name: str, ref: ModelRef | Path):
    return LOADERS[name](ref if isinstance(ref, ModelRef) else ModelRef(folder=str(ref)))


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
