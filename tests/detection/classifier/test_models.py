from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from detection.classifier.models import MODELS, Classifier, build_classifier, find_weights, spec_of
from generator.foundation.errors import BoxpaintError, ModelError, ModelNotFoundError

CLASSES = ("cell", "platelet", "background")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_keeps_the_contract(name: str) -> None:
    model = Classifier(name, CLASSES).eval()
    side = min(spec_of(name).crop_px, 64)
    with torch.no_grad():
        assert model(torch.rand(2, 3, side, side)).shape == (2, 3)
    assert isinstance(model.cam_layer, torch.nn.Module)
    head = [key for key in model.network.state_dict() if key.startswith(f"{model.spec.head}.")]
    assert {model.network.state_dict()[key].shape[0] for key in head} == {3}


def test_the_small_one_is_small_and_first_weights_are_those_of_the_seed() -> None:
    assert 100_000 < sum(each.numel() for each in Classifier("small", CLASSES).parameters()) < 200_000
    first, again, other = (
        build_classifier("small", CLASSES, "none", seed=seed).network.fc.weight for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with pytest.raises(BoxpaintError, match=r"'vgg'.*resnet50, resnet18, small"):
        spec_of("vgg")


@pytest.fixture()
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch hub."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_imagenet_weights_are_never_fetched(hub: Path) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        find_weights("resnet50", "imagenet")
    for words in ("resnet50-11ad3fa6.pth", str(hub), "https://download.pytorch.org", "--weights none"):
        assert words in str(caught.value)
    with pytest.raises(ModelNotFoundError, match="none for 'small'"):
        find_weights("small", "imagenet")


def test_imagenet_weights_of_the_cache_are_used_for_all_but_the_last_layer(hub: Path) -> None:
    hub.mkdir(parents=True)
    released = resnet18()
    torch.save(released.state_dict(), hub / "resnet18-f37072fd.pth")
    model = build_classifier("resnet18", CLASSES, "imagenet", seed=0)
    assert torch.equal(model.network.layer4[0].conv1.weight, released.layer4[0].conv1.weight)
    assert model.network.fc.weight.shape == (3, 512)


def test_weights_of_a_file_are_taken_over_whatever_classes_they_were_of(tmp_path: Path) -> None:
    other = build_classifier("small", ("cow", "dog"), "none", seed=5)
    save_file(other.state_dict(), tmp_path / "own.safetensors")
    torch.save(other.network.state_dict(), tmp_path / "plain.pth")
    for name in ("own.safetensors", "plain.pth"):
        model = build_classifier("small", CLASSES, str(tmp_path / name), seed=0)
        assert torch.equal(model.network.features[0].weight, other.network.features[0].weight)
        assert model.network.fc.weight.shape[0] == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"features.0.weight": torch.zeros(1)}, "not of a small: 0 of"),
        ([1, 2], "no dictionary of tensors"),
        (None, "cannot be used"),
    ],
)
def test_other_files_are_no_weights(tmp_path: Path, content: object, words: str) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"torn")
    if content is not None:
        torch.save(content, path)
    with pytest.raises(ModelError, match=words):
        build_classifier("small", CLASSES, str(path), seed=0)
    with pytest.raises(ModelNotFoundError, match="nowhere"):
        find_weights("small", "nowhere.pth")
