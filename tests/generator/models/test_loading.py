"""Tiny models from a folder or the hub's cache, and what is said where they are missing or damaged."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

from generator.bundles import ModelRef
from generator.foundation.errors import ModelError, ModelNotFoundError
from generator.models.vision_language import Clip, Owl
from generator.models.weights import fingerprint
from generator.prompts.models import Captioner, Enricher, load_embedder
from tests.generator.models.tiny_owl import save_tiny_owl

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OPTIONS = {"device": torch.device("cpu"), "offline": True}
# Name of the folder -> role, and how it is loaded.
LOADERS: dict[str, tuple[str, Callable[[ModelRef], object]]] = {
    "gpt2": ("enricher", lambda ref: Enricher(ref, **OPTIONS)),
    "blip": ("captioner", lambda ref: Captioner(ref, **OPTIONS)),
    "clip": ("clip", lambda ref: Clip("clip", ref, **OPTIONS)),
    "owl": ("detector", lambda ref: Owl("detector", ref, **OPTIONS)),
    "sentences": ("embedder", lambda ref: load_embedder(ref, **OPTIONS)),
}


def load(name: str, ref: ModelRef | Path) -> object:
    return LOADERS[name][1](ref if isinstance(ref, ModelRef) else ModelRef(folder=str(ref)))


@pytest.fixture(scope="module")
def folders(tiny_language_models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> folder of a tiny model."""
    owl = save_tiny_owl(tmp_path_factory.mktemp("tiny") / "owl")
    return {name: owl if name == "owl" else tiny_language_models / name for name in LOADERS}


@pytest.fixture()
def hub(tmp_path: Path, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of huggingface_hub with tiny/gpt2 and so on in it."""
    for name in LOADERS:
        repository = tmp_path / "hub" / f"models--tiny--{name}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(COMMIT)
        (repository / "snapshots").mkdir()
        (repository / "snapshots" / COMMIT).symlink_to(folders[name])
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("name", LOADERS)
def test_the_fingerprint_of_a_folder_follows_its_weights(folders, name):
    one = fingerprint(ModelRef(folder=str(folders[name])))
    other = fingerprint(ModelRef(folder=str(folders["clip" if name != "clip" else "gpt2"])))
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
def test_a_damaged_file_is_one_clear_error(folders, tmp_path, name, file, content):
    broken = damaged(folders[name], tmp_path / "broken", file, content)
    with pytest.raises(ModelError, match=rf"models\.{LOADERS[name][0]}: .*broken"):
        load(name, broken)


@pytest.mark.parametrize("content", [b"{", None])
def test_a_folder_without_what_prepares_pictures(folders, tmp_path, content):
    broken = damaged(folders["owl"], tmp_path / "broken", "preprocessor_config.json", content)
    with pytest.raises(ModelError, match=r"models\.detector: .*broken"):
        load("owl", broken)


@pytest.mark.parametrize("name", LOADERS)
def test_a_folder_without_its_tokenizer(folders, tmp_path, name):
    # Of missing files transformers makes a tokenizer without words, and with it nonsense.
    broken = damaged(folders[name], tmp_path / "broken", "tokenizer.json", None)
    (broken / "tokenizer_config.json").unlink()
    with pytest.raises(ModelError, match="tokenizer"):
        load(name, broken)


@pytest.mark.parametrize(("name", "key"), [("gpt2", "n_layer"), ("blip", "text_config"), ("sentences", "hidden_size")])
def test_a_config_that_holds_something_else(folders, tmp_path, name, key):
    config = json.loads((folders[name] / "config.json").read_text())
    content = json.dumps({**config, key: "two"}).encode()
    broken = damaged(folders[name], tmp_path / "broken", "config.json", content)
    with pytest.raises(ModelError, match=f"broken.*{key}"):
        load(name, broken)
