"""A training stops at any moment and ends with the same weights; what it makes is a bundle."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from safetensors.torch import load_file

from detection.painter.settings import Listener, Part
from generator.config import Config
from generator.foundation.errors import RunMismatchError
from generator.foundation.stopping import Stopped
from tests.detection.painter.small import few_figures, small_painter, train

pytestmark = pytest.mark.slow
WEIGHTS = ("inpaint/vae", "inpaint/unet", "inpaint/text_encoder", "clip")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_painter(tmp_path_factory)


class StopsIn(Listener):
    """Asks for an end, as Ctrl-C and a polite kill do, in the second step of a part; notes the parts that began."""

    def __init__(self, part: str, number: int):
        self.parts: list[Part] = []
        self._part, self._number = part, number

    def on_part(self, part: Part, /) -> None:
        self.parts.append(part)

    def on_step(self, step: int, _loss: float, /) -> None:
        if self.parts[-1].name == self._part and step == 2:
            signal.raise_signal(self._number)


class StopsWhilePainting(Listener):
    """Ends with an error when samples are painted, as a kill would."""

    def on_stage(self, text: str, /) -> None:
        raise KeyboardInterrupt(text)


def test_stopped_in_every_part_it_ends_with_the_same_weights(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_figures(monkeypatch)
    out = tmp_path / "painter"
    began = []
    for part, number in (("vae", signal.SIGINT), ("unet", signal.SIGTERM), ("clip", signal.SIGINT)):
        listener = StopsIn(part, number)
        with pytest.raises(Stopped) as stopped:
            train(small, out, listener)
        assert stopped.value.number == number
        assert (out / f"{part}.checkpoint.pt").exists()
        began.append([each.name for each in listener.parts])
    assert began == [["vae"], ["vae", "unet"], ["unet", "clip"]]
    (unet, clip) = listener.parts
    assert (unet.number, clip.number, clip.parts) == (2, 3, 3)
    assert clip.before + clip.share == pytest.approx(1.0) and clip.before == pytest.approx(unet.before + unet.share)
    with pytest.raises(KeyboardInterrupt):
        train(small, out, StopsWhilePainting())
    result = train(small, out)
    assert not result.was_finished and train(small, out).was_finished
    for name in WEIGHTS:
        (file,) = (small / "painter" / name).glob("*.safetensors")
        unbroken, broken = load_file(file), load_file(out / name / file.name)
        assert unbroken.keys() == broken.keys()
        assert all(unbroken[key].equal(broken[key]) for key in unbroken), name
    assert not list(out.glob("*.checkpoint.pt")) and not (out / "parts.json").exists()
    # How long it took is another matter.
    numbers, others = (json.loads((each / "numbers.json").read_text()) for each in (small / "painter", out))
    assert numbers["figures"] == others["figures"]


def test_a_torn_checkpoint_is_said_and_stays(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few_figures(monkeypatch)
    out = tmp_path / "painter"
    with pytest.raises(Stopped):
        train(small, out, StopsIn("vae", signal.SIGINT))
    checkpoint = out / "vae.checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(RunMismatchError, match=r"vae\.checkpoint\.pt cannot be read .* remove it, or choose another"):
        train(small, out)
    assert checkpoint.stat().st_size == 1000


def test_what_it_makes_is_a_bundle_with_its_figures(small: Path) -> None:
    painter = small / "painter"
    config = Config(bundle=str(painter))
    assert config.canvas_wh == (64, 64)
    assert config.card.scene == "an empty place"
    assert set(config.card.classes) == {"red", "blue"}
    assert config.models.clip is not None and config.models.enricher is None
    numbers = json.loads((painter / "numbers.json").read_text())
    assert (numbers["photos"], numbers["held_out"], numbers["side_px"]) == (5, 1, 64)
    assert [numbers["parts"][part]["steps"] for part in ("vae", "unet", "clip")] == [3, 3, 2]
    assert any("PSNR of crops" in name for name in numbers["figures"])
    assert all((painter / name).stat().st_size for name in ("samples.png", "nearest.png"))
