"""Are the models of a run at hand, and as safetensors? All at once, one line each."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import huggingface_hub.constants
import pytest
import torch
import transformers.utils.hub
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from generator.bundles import AdapterRef, DiffusionRef, ModelRef
from generator.config import Config
from generator.foundation.errors import ModelError, ModelNotFoundError
from generator.models.vision_language import Clip
from generator.models.weights import (
    check_models,
    check_run,
    files_to_get,
    fingerprint,
    get_models,
    local_fault,
    models_of_run,
    weights_fault,
)
from generator.painting.models import load_model
from generator.prompts.models import load_embedder
from generator.spec import AttributeSpec, BackgroundSpec, ClassSpec, Spec

CPU = torch.device("cpu")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PARTS = ("unet", "vae", "text_encoder")
SAFE = [f"{part}/diffusion_pytorch_model.safetensors" for part in PARTS]


DUSK = AttributeSpec(attribute="light", text="at dusk")


def spec_of(thing: str = "a zebra", references: str = "", attributes: tuple[AttributeSpec, ...] = ()) -> Spec:
    row = ClassSpec(prompt=thing, name="thing", min_appear=1, max_appear=1, references=references)
    smear = BackgroundSpec(prompt="a blood smear", num_imgs=1)
    return Spec(backgrounds=(smear,), classes=(row,), attributes=attributes)


@pytest.mark.parametrize(
    ("files", "keys", "fault"),
    [
        ([], {}, "has no weights"),
        (["config.json"], {}, "has no weights"),
        (["model.safetensors"], {}, ""),
        (["model-00001-of-00002.safetensors", "model.safetensors.index.json"], {}, ""),
        (["model.fp16.safetensors"], {}, "has no weights"),
        (["model.fp16.safetensors"], {"variant": "fp16"}, ""),
        (["model.fp16-00001-of-00002.safetensors"], {"variant": "fp16"}, ""),
        (["pytorch_model.bin"], {}, "has pickled weights only (.bin)"),
        (["pytorch_model.bin"], {"allow_pickle": True}, ""),
        (["pytorch_model.bin", "model.safetensors"], {}, ""),
        (["model.safetensors", "2_Dense/pytorch_model.bin"], {}, "has pickled weights only of 2_Dense (.bin)"),
        (["unet/config.json", *SAFE], {}, ""),
        (["unet/config.json", *SAFE, "v2-1.ckpt", "safety_checker/pytorch_model.bin"], {}, ""),
        (["unet/config.json", *SAFE[:1]], {}, "has no weights of vae, text_encoder"),
        (["unet/config.json", *SAFE[:2], "text_encoder/pytorch_model.bin"], {}, "pickled weights only of text_encoder"),
    ],
)
def test_what_of_a_models_files_is_enough(files: list[str], keys: dict[str, object], fault: str) -> None:
    found = weights_fault(ModelRef(id="a/b", **keys), files)
    assert found == "" if fault == "" else fault in found


@pytest.mark.parametrize(
    ("files", "keys", "chosen", "fault"),
    [
        ([], {}, [], "has no weights of a LoRA"),
        (["style.safetensors", "README.md"], {}, ["style.safetensors"], ""),
        (["a.safetensors", "pytorch_lora_weights.safetensors"], {}, ["pytorch_lora_weights.safetensors"], ""),
        (["a.safetensors", "b.safetensors"], {}, ["a.safetensors", "b.safetensors"], "several files"),
        (["a.safetensors", "b.safetensors"], {"file": "b.safetensors"}, ["b.safetensors"], ""),
        (["steps/a.safetensors"], {"file": "steps/a.safetensors"}, ["steps/a.safetensors"], ""),
        (["steps/a.safetensors"], {}, [], "has no weights of a LoRA"),
        (["a.bin", "a.safetensors"], {}, ["a.safetensors"], ""),
        (["a.bin"], {}, ["a.bin"], "has pickled weights only (a.bin)"),
        (["a.bin"], {"allow_pickle": True}, ["a.bin"], ""),
    ],
)
def test_which_file_is_the_adapter(files: list[str], keys: dict[str, object], chosen: list[str], fault: str) -> None:
    ref = AdapterRef(id="a/b", **keys)
    assert files_to_get(ref, files) == chosen
    found = weights_fault(ref, files)
    assert found == "" if fault == "" else fault in found


def test_of_a_repository_one_kind_of_weights_is_got() -> None:
    half = [name.replace(".safetensors", ".fp16.safetensors") for name in SAFE]
    small = ["model_index.json", "unet/config.json", "tokenizer/vocab.json", "tokenizer/merges.txt"]
    files = [*small, *SAFE, *half, "unet/diffusion_pytorch_model.bin", "v2-1.ckpt", "README.md"]
    assert set(files_to_get(ModelRef(id="a/b", variant="fp16"), files)) == {*small, *half}
    assert set(files_to_get(ModelRef(id="a/b"), files)) == {*small, *SAFE}
    pickled = ["config.json", "pytorch_model.bin"]
    assert files_to_get(ModelRef(id="a/b"), pickled) == ["config.json"]
    assert files_to_get(ModelRef(id="a/b", allow_pickle=True), pickled) == pickled


# Pickles.


def pickled(source: Path, folder: Path) -> Path:
    """A copy of a tiny model whose weights are pickles, as older repositories have them."""
    from safetensors.torch import load_file

    shutil.copytree(source, folder)
    for path in [*folder.glob("*.safetensors"), *folder.glob("*/*.safetensors")]:
        name = path.name.removesuffix(".safetensors")
        state = load_file(path)
        torch.save(state, path.with_name(f"{'pytorch_model' if name == 'model' else name}.bin"))
        path.unlink()
    return folder


@pytest.mark.parametrize("name", ["clip", "sentences", "inpaint"])
def test_pickled_weights_are_read_only_where_it_was_allowed(
    tiny_language_models: Path, tiny_sd21: Path, tmp_path: Path, name: str
) -> None:
    folder = pickled((tiny_sd21 if name == "inpaint" else tiny_language_models) / name, tmp_path / "pickled")

    def load(ref: ModelRef) -> object:
        if name == "clip":
            return Clip("clip", ref, device=CPU, offline=True)
        if name == "sentences":
            return load_embedder(ref, device=CPU, offline=True)
        return load_model("inpaint", ref, device=CPU, dtype=torch.float32, offline=True)

    with pytest.raises(ModelError, match=r"pickled weights only.*safetensors.*allow_pickle: true"):
        load(ModelRef(folder=str(folder)))
    assert load(ModelRef(folder=str(folder), allow_pickle=True))


def test_the_config_allows_pickles_for_all_models_or_for_one() -> None:
    one = Config(bundle="sd21", models={"clip": {"allow_pickle": True}})
    assert (one.models.clip.allow_pickle, one.models.inpaint.allow_pickle) == (True, False)
    every = Config(bundle="sd21", allow_pickle=True, models={"clip": {"allow_pickle": False}})
    assert (every.models.clip.allow_pickle, every.models.inpaint.allow_pickle) == (False, True)
    # What is painted is known by the weights.
    assert one.identity() == every.identity() == Config(bundle="sd21").identity()


# All models of a run.


@pytest.mark.parametrize(
    ("keys", "spec", "book", "roles"),
    [
        ({}, spec_of(), True, ["enricher", "embedder"]),
        ({}, spec_of(references="photos"), True, ["captioner", "enricher", "embedder"]),
        ({"prompts": {"enrich": "none"}}, spec_of(), True, []),
        (
            {"prompts": {"enrich": "none"}},
            spec_of(attributes=(DUSK,)),
            True,
            ["embedder"],
        ),
        ({"prompts": {"variants": 1}}, spec_of(), True, []),
        ({}, spec_of(), False, []),
    ],
)
def test_the_models_that_a_book_needs(keys: dict[str, object], spec: Spec, book: bool, roles: list[str]) -> None:
    config = Config(bundle="sd21", **keys)
    assert list(models_of_run(config, spec, book=book, painting=False)) == roles
    painters = ["background", "inpaint", "clip", "detector"]
    assert list(models_of_run(config, spec, book=book, painting=True)) == [*roles, *painters]


def test_adapters_are_models_of_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    adapters = [{"folder": "/nowhere"}, {"id": "me/lora"}]
    config = Config(bundle="pocket", offline=True, models={"inpaint": {"adapters": adapters}})
    with pytest.raises(ModelNotFoundError) as caught:
        check_run(config, spec_of("a platelet"), book=False, painting=True)
    first, second, *_ = str(caught.value).splitlines()
    assert first == "models.inpaint.adapters.0.folder: there is no folder '/nowhere'"
    assert second == "models.inpaint.adapters.1: 'me/lora' is not on this machine"


def test_the_fingerprint_of_a_model_knows_its_adapters(tiny_sd21: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(name.encode())

    def known_by(*adapters: dict[str, object]) -> str:
        return fingerprint(DiffusionRef(folder=str(tiny_sd21 / "inpaint"), adapters=adapters or None))

    a, b = ({"folder": str(tmp_path / f"{name}.safetensors")} for name in ("a", "b"))
    assert known_by() == fingerprint(ModelRef(folder=str(tiny_sd21 / "inpaint")))
    assert known_by(a) == f"{known_by()} + 1 x sha256:{hashlib.sha256(b'a').hexdigest()[:12]}"
    assert len({known_by(), known_by(a), known_by(b), known_by(a | {"weight": 0.5}), known_by(a, b)}) == 5


def test_all_that_is_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    config = Config(bundle="sd21", offline=True, models={"detector": {"folder": "/nowhere"}})
    with pytest.raises(ModelNotFoundError) as caught:
        check_run(config, spec_of(references="photos"), book=True, painting=True)
    lines = str(caught.value).splitlines()
    roles = ("captioner", "enricher", "embedder", "background", "inpaint", "clip")
    assert [line.split(":")[0] for line in lines[:7]] == [
        "models.detector.folder",
        *(f"models.{role}" for role in roles),
    ]
    assert "offline: true" in lines[7]
    assert "boxpaint doctor --get sd21" in lines[8]
    assert "pocket" not in str(caught.value)  # it cannot paint a zebra
    with pytest.raises(ModelNotFoundError, match="bundle: pocket needs no download"):
        check_run(config, spec_of("a platelet"), book=True, painting=True)


def test_what_is_at_hand_is_no_matter_of_a_network() -> None:
    pocket = Config(offline=True)
    check_run(pocket, spec_of("a platelet", references="photos"), book=True, painting=True)
    missing = {"clip": ModelRef(folder="/nowhere")}
    with pytest.raises(ModelNotFoundError) as caught:
        check_models({**missing, "inpaint": pocket.models.inpaint}, offline=True)
    assert str(caught.value) == "models.clip.folder: there is no folder '/nowhere'"


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    asked: list[str] = []

    def fail(_hub: object, name: str, **_options: object) -> None:
        asked.append(name)
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)
    refs = {"clip": ModelRef(id="tiny/clip"), "enricher": ModelRef(id="tiny/gpt2")}
    with pytest.raises(ModelNotFoundError, match=r"'tiny/clip'(.|\n)*'tiny/gpt2'(.|\n)*no route to host.*HF_ENDPOINT"):
        check_models(refs, offline=False)
    assert asked == ["tiny/clip"]


class _Hub(BaseHTTPRequestHandler):
    """A hub with one repository, tiny/clip."""

    folder: ClassVar[Path]

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        found = re.fullmatch(rf"/tiny/clip/resolve/(?:main|{COMMIT})/(.+)", self.path)
        name = found[1] if found else ""
        if self.path.startswith("/api/models/tiny/clip"):
            files = sorted(self.folder.iterdir())
            siblings = [{"rfilename": path.name} for path in files]
            tree = [{"type": "file", "path": path.name, "size": path.stat().st_size, "oid": "0"} for path in files]
            about = {"id": "tiny/clip", "sha": COMMIT, "siblings": siblings}
            body = json.dumps(tree if "/tree/" in self.path else about).encode()
        elif found and (self.folder / name).is_file():
            body = (self.folder / name).read_bytes()
        else:
            self.send_error(404)
            return
        self.send_response(200)
        for key, value in {"ETag": f'"{name or "x"}"', "X-Repo-Commit": COMMIT, "Content-Length": len(body)}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture()
def hub(tiny_language_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A hub on this machine, and the folder of its cache."""
    _Hub.folder = shutil.copytree(tiny_language_models / "clip", tmp_path / "repository")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(
        huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    # transformers keeps the address with which it first asked.
    monkeypatch.setattr(transformers.utils.hub.hf_api(), "endpoint", address)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "repository"
    server.shutdown()
    server.server_close()


def test_what_is_got_can_be_loaded_offline(hub: Path) -> None:
    (hub / "pytorch_model.bin").write_bytes(b"not to be downloaded")
    ref = ModelRef(id="tiny/clip", revision="main")
    heard: list[str] = []
    get_models({"clip": ref}, on_model=heard.append)
    assert heard == ["tiny/clip"]
    assert local_fault(ref) == ""
    assert not (ref.hub_snapshot() / "pytorch_model.bin").exists()
    assert Clip("clip", ref, device=CPU, offline=True)
    get_models({"clip": ref}, on_model=heard.append)
    assert heard == ["tiny/clip"]


def test_an_adapter_is_got_alone_and_read_offline(hub: Path, tiny_sd21: Path) -> None:
    tensors = {
        "unet.conv_in.lora.down.weight": torch.ones(1, 9, 3, 3),
        "unet.conv_in.lora.up.weight": torch.ones(16, 1, 1, 1),
    }
    for name in ("first", "second"):
        save_file(tensors, hub / f"{name}.safetensors")
    ref = AdapterRef(id="tiny/clip", file="second.safetensors")
    base = str(tiny_sd21 / "inpaint")
    with pytest.raises(
        ModelNotFoundError, match=r"models\.inpaint\.adapters\.0: 'tiny/clip' cannot be had.*offline: true"
    ):
        load_model("inpaint", DiffusionRef(folder=base, adapters=[ref]), device=CPU, dtype=torch.float32, offline=True)
    get_models({"inpaint.adapters.0": ref})
    assert [path.name for path in ref.weight_files()[0].parent.iterdir() if path.suffix == ".safetensors"] == [
        "second.safetensors"
    ]
    tuned = load_model(
        "inpaint", DiffusionRef(folder=base, adapters=[ref]), device=CPU, dtype=torch.float32, offline=True
    )
    plain = load_model("inpaint", ModelRef(folder=base), device=CPU, dtype=torch.float32, offline=True)
    torch.testing.assert_close(tuned.unet.conv_in.weight, plain.unet.conv_in.weight + 1)


def test_a_download_that_was_interrupted_is_completed(hub: Path) -> None:
    ref = ModelRef(id="tiny/clip", revision="main")
    get_models({"clip": ref})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (ref.hub_snapshot() / name).unlink()
    with pytest.raises(ModelNotFoundError, match="offline: true"):
        Clip("clip", ref, device=CPU, offline=True)
    assert Clip("clip", ref, device=CPU, offline=False)
    assert Clip("clip", ref, device=CPU, offline=True)


def test_a_repository_with_pickles_only_or_none_is_said_before_a_download(hub: Path) -> None:
    (hub / "model.safetensors").rename(hub / "pytorch_model.bin")
    refs = {"clip": ModelRef(id="tiny/clip", revision="main"), "enricher": ModelRef(id="tiny/none", revision="main")}
    with pytest.raises(ModelNotFoundError) as caught:
        get_models(refs)
    clip, enricher = str(caught.value).splitlines()
    assert clip.startswith("models.clip: 'tiny/clip' has pickled weights only")
    assert enricher.startswith("models.enricher: 'tiny/none' cannot be had (404)")
    assert refs["clip"].hub_snapshot() is None


def test_a_download_that_ends_early_is_one_message(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, local_files_only: bool = False, **__: object) -> None:
        raise LocalEntryNotFoundError("not here") if local_files_only else OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", stop)
    with pytest.raises(ModelNotFoundError, match=r"tiny/clip: the download ended before it was whole .*No space left"):
        get_models({"clip": ModelRef(id="tiny/clip", revision="main")})
