"""Pictures at a time, when compiling pays, and what run.json says of the models and the machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from generator.config import Config
from generator.foundation.errors import ModelError
from generator.painting import hardware
from generator.painting.hardware import (
    MAX_BATCH,
    WORTH_PICTURES,
    choose_batch_size,
    compile_unets,
    count_pictures,
    count_threads,
    count_workers,
    describe_models,
    fitting_batch,
    should_compile,
    visible_gpus,
    workers_per_gpu,
)
from generator.plan import Plan
from generator.spec import load_spec

MB = 2**20
CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def costs(fixed: int, each: int) -> Callable[[int], int]:
    return lambda count: fixed + each * count


@pytest.mark.parametrize(
    ("peak", "free", "fits"),
    [
        (costs(0, 1000), 10_000 * MB, MAX_BATCH),
        (costs(0, 1000 * MB), 10_000 * MB, 8),  # nine fit into the nine tenths that are used
        (costs(500 * MB, 1000 * MB), 10_000 * MB, 8),
        (costs(500 * MB, 1000 * MB), 4_000 * MB, 2),
        (costs(0, 1000 * MB), 500 * MB, 1),
        (costs(0, 0), MB, MAX_BATCH),
    ],
)
def test_as_many_as_fit(peak: Callable[[int], int], free: int, fits: int) -> None:
    assert fitting_batch(peak, free) == fits


def test_a_lack_of_memory_is_told_from_other_errors() -> None:
    scarce = Mock(side_effect=[MB, torch.OutOfMemoryError("CUDA out of memory")])
    assert fitting_batch(scarce, 100 * MB) == 1
    with pytest.raises(RuntimeError, match="shapes"):
        fitting_batch(Mock(side_effect=RuntimeError("shapes do not match")), MB)


def test_what_is_given_is_not_measured_and_a_cpu_is_known() -> None:
    assert choose_batch_size(Config(batch_size=5), CUDA) == 5
    assert choose_batch_size(Config(), CPU) == 2
    assert choose_batch_size(Config(), CUDA) is None


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
    without_a_compiler = Mock(side_effect=RuntimeError("C++ compiler not found\nand much more"))
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


def test_what_decides_the_last_bit_is_said(tiny_config: dict[str, object]) -> None:
    described = describe_models(Config.load(**tiny_config, dtype="float32", threads=3))
    assert described["device"].startswith("cpu (")
    assert described["inpaint"].endswith(", float32")
    assert (described["batch_size"], described["threads"]) == ("2", "3")
    assert described["inpaint"] != described["background"]
    assert "clip" not in described, "nobody looks at pictures"
    assert describe_models(Config())["clip"].startswith("sha256:")


def test_a_device_that_is_not_there_is_one_message() -> None:
    with pytest.raises(ModelError, match="'cuda:7' cannot be used on this machine"):
        describe_models(Config(device="cuda:7"))


@pytest.mark.parametrize(
    ("keys", "cores", "free_gb", "threads", "workers"),
    [
        ({"threads": 1}, 8, 100, 1, 8),
        ({"threads": 3}, 8, 100, 3, 2),
        ({"threads": "auto"}, 8, 100, 8, 1),
        ({"threads": 1}, 8, 5, 1, 3),
        ({"threads": 1}, 8, 0.1, 1, 1),
        ({"threads": 1, "workers": 5}, 2, 1, 1, 5),
    ],
)
def test_workers_and_threads_share_the_cores(
    keys: dict[str, object],
    cores: int,
    free_gb: float,
    threads: int,
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    monkeypatch.setattr(hardware.psutil, "virtual_memory", lambda: type("Memory", (), {"available": free_gb * 1e9}))
    config = Config(**{"device": "cpu", **keys})
    assert (count_threads(config), count_workers(config)) == (threads, workers)


@pytest.mark.parametrize(
    ("wish", "variable", "gpus"),
    [
        ("auto", None, ["0", "1", "2"]),
        ("cuda", "4,6", ["4", "6"]),
        ("cuda:1", None, []),
        ("cpu", None, []),
    ],
)
def test_each_gpu_that_may_be_used_has_a_worker(
    wish: str, variable: str | None, gpus: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "choose_device", lambda name: torch.device("cuda" if name == "auto" else name))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    if variable is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    config = Config(device=wish)
    assert visible_gpus(config) == gpus
    if gpus:
        properties = type("Properties", (), {"total_memory": 80 * 2**30})
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
        monkeypatch.setattr(hardware.psutil, "cpu_count", lambda: 4 * len(gpus))
        assert count_workers(config) == 2 * len(gpus)


@pytest.mark.parametrize(
    ("gpu_gb", "cores", "workers"),
    [(8, 16, 1), (24, 16, 1), (48, 16, 2), (80, 16, 3), (141, 16, 3), (141, 4, 2), (141, 1, 1)],
)
def test_so_many_share_a_gpu(gpu_gb: int, cores: int, workers: int) -> None:
    assert workers_per_gpu(gpu_gb * 2**30, cores) == workers
