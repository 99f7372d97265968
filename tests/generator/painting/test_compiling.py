"""When compiling pays, and what happens where it cannot be done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from generator.config import Config
from generator.painting.compiling import WORTH_PICTURES, compile_unets, count_pictures, should_compile
from generator.plan import Plan
from generator.spec import load_spec

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize(
    ("keys", "device", "pictures", "expected"),
    [
        ({}, CUDA, WORTH_PICTURES, True),
        ({}, CUDA, WORTH_PICTURES - 1, False),
        ({}, CPU, 10 * WORTH_PICTURES, False),
        ({"compile": "on"}, CPU, 1, True),
        ({"compile": "off"}, CUDA, WORTH_PICTURES, False),
    ],
)
def test_compiling_pays_on_a_gpu_for_long_plans(
    keys: dict[str, object], device: torch.device, pictures: int, expected: bool
) -> None:
    assert should_compile(Config(**keys), device, pictures) is expected


def test_pictures_are_backgrounds_objects_and_decoys(csv_folder: Path) -> None:
    config = Config(placement={"decoys": 0.5})
    spec = load_spec(csv_folder / "background.csv", csv_folder / "classes.csv", canvas_wh=config.canvas_wh)
    # 40 scenes, of one white cell and one or two platelets each: 2.5 objects, 1.25 decoys, one background.
    assert count_pictures(Plan(spec=spec, config=config)) == 40 * 4.75


def test_where_it_cannot_be_compiled_it_is_painted_without() -> None:
    unet, said = nn.Conv2d(1, 1, 1), []

    def without_a_compiler() -> None:
        raise RuntimeError("C++ compiler not found\nand much more")

    assert not compile_unets([unet, unet], without_a_compiler, said.append)
    assert said == [
        "the UNets cannot be compiled here (C++ compiler not found): painting without; compile: off asks no more"
    ]
    assert unet(torch.ones(1, 1, 2, 2)).shape == (1, 1, 2, 2)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs g++, which is not here")
def test_a_compiled_network_says_what_it_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.manual_seed(0)
    unet = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.SiLU(), nn.Conv2d(4, 2, 3, padding=1)).eval()
    x = torch.randn(1, 2, 8, 8)
    with torch.inference_mode():
        before = unet(x)
        assert compile_unets([unet], lambda: unet(x), pytest.fail)
        torch.testing.assert_close(unet(x), before, atol=1e-5, rtol=1e-5)
    assert unet._compiled_call_impl is not None
    torch._dynamo.reset()
