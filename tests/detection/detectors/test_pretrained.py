"""Weights to start from, by small checkpoints of the same form as torchvision's."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torchvision.models import mobilenet_v3_large

from detection.detectors.architectures import ARCHITECTURES
from detection.detectors.registry import make_detector
from detection.detectors.settings import ModelOptions
from detection.detectors.torchvision_detector import TorchvisionDetector
from generator.foundation.errors import ModelError, ModelNotFoundError

CPU = torch.device("cpu")
INPUT_WH = (64, 48)
LOGITS = "head.classification_head.cls_logits.weight"
STEM = "backbone.body.stem.0.weight"


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch hub, and no network."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    return tmp_path / "hub" / "checkpoints"


def make(
    pretrained: str = "none",
    *,
    name: str = "retinanet_small",
    categories: int = 2,
    seed: int = 1,
    download: bool = False,
) -> TorchvisionDetector:
    options = ModelOptions(input_wh=INPUT_WH, pretrained=pretrained, download=download)
    names = tuple(f"kind {number}" for number in range(categories))
    detector = make_detector(name, names, options, seed=seed, device=CPU)
    assert isinstance(detector, TorchvisionDetector)
    return detector


def weights_of(detector: TorchvisionDetector) -> dict[str, torch.Tensor]:
    return detector.model.state_dict()


@pytest.mark.parametrize("form", ["folder", ".pth", ".safetensors", "training script"])
def test_a_checkpoint_of_the_detector_gives_all_but_what_depends_on_the_categories(form: str, tmp_path: Path) -> None:
    source = make(seed=7)
    path = tmp_path / f"weights{form}"
    if form == "folder":
        source.save(path)
    elif form == ".pth":
        torch.save(weights_of(source), path)
    elif form == "training script":
        torch.save({"model": weights_of(source), "epoch": 3}, path)
    else:
        safetensors.torch.save_file({name: each.contiguous() for name, each in weights_of(source).items()}, path)
    taken, fresh = weights_of(make(str(path))), weights_of(make())
    assert torch.equal(taken[STEM], weights_of(source)[STEM])
    # Only a folder says what its categories are; the same ones keep their scores.
    assert torch.equal(taken[LOGITS], weights_of(source if form == "folder" else make())[LOGITS])
    assert not torch.equal(fresh[STEM], taken[STEM])
    other = weights_of(make(str(path), categories=5))
    assert torch.equal(other[STEM], taken[STEM])
    assert torch.equal(other[LOGITS], weights_of(make(categories=5))[LOGITS])


def test_a_checkpoint_of_the_trunk_gives_the_trunk_alone(tmp_path: Path) -> None:
    source = weights_of(make(seed=7))
    trunk = {name.removeprefix("backbone.body."): value for name, value in source.items() if ".body." in name}
    torch.save(trunk, tmp_path / "trunk.pth")
    taken, fresh = weights_of(make(str(tmp_path / "trunk.pth"))), weights_of(make())
    for name, value in taken.items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, (source if ".body." in name else fresh)[name]), name


def test_imagenet_weights_are_read_from_the_cache_of_torch_hub(hub: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = mobilenet_v3_large(weights=None).state_dict()
    known = ARCHITECTURES["faster_rcnn_mobilenet"].imagenet
    assert known is not None
    hub.mkdir(parents=True)
    torch.save(classifier, hub / Path(known.url).name)
    taken = weights_of(make("imagenet", name="faster_rcnn_mobilenet"))
    assert torch.equal(taken["backbone.body.0.0.weight"], classifier["features.0.0.weight"])
    assert torch.equal(taken["backbone.body.16.1.running_var"], classifier["features.16.1.running_var"])


@pytest.mark.parametrize(
    ("name", "source", "file"),
    [
        ("faster_rcnn_mobilenet", "coco", "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth"),
        ("faster_rcnn_mobilenet", "imagenet", "mobilenet_v3_large-8738ca79.pth"),
    ],
)
def test_weights_that_are_not_there_are_named_and_not_fetched(hub: Path, name: str, source: str, file: str) -> None:
    with pytest.raises(ModelNotFoundError, match=f"{file} are not on this machine; fetch https://.*{file}") as caught:
        make(source, name=name)
    assert str(hub / file) in str(caught.value)
    assert not hub.exists()


def test_a_download_that_fails_says_where_to_put_the_file(hub: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"cannot be fetched \(.*\); fetch it elsewhere and put it at"):
        make("imagenet", name="faster_rcnn_mobilenet", download=True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be used"),
        (b"no weights", "cannot be used"),
        ({"a": 1}, "it is no dictionary of tensors"),
        ([1, 2], "cannot be used"),
        ({"stem.weight": torch.zeros(3)}, r"holds no weights for retinanet_small: .* is missing"),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: object, reason: str) -> None:
    path = tmp_path / "broken.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ModelError, match=reason):
        make(str(path))


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    weights = weights_of(make())
    torch.save({**weights, STEM: torch.zeros(16, 1, 3, 3)}, tmp_path / "grey.pth")
    with pytest.raises(ModelError, match=r"stem\.0\.weight is \(16, 1, 3, 3\), not \(16, 3, 3, 3\)"):
        make(str(tmp_path / "grey.pth"))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="cannot be used"):
        make(str(tmp_path / "evil.pth"))
    assert not (tmp_path / "ran").exists()


def test_a_path_or_weights_that_do_not_exist_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"there is no checkpoint .*none\.pth"):
        make(str(tmp_path / "none.pth"))
    with pytest.raises(ModelError, match="there are no coco weights for retinanet_small"):
        make("coco")
