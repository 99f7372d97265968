"""How many workers a machine bears."""

from __future__ import annotations

import pytest
import torch

from generator.config import Config
from generator.foundation import device
from generator.foundation.device import choose_dtype, count_threads, count_workers, visible_gpus, workers_per_gpu


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"avx512_bf16": False, "avx2": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_a_cpu_computes_in_bfloat16_where_it_need_not_be_emulated(
    capabilities: dict[str, bool], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    cpu = torch.device("cpu")
    assert choose_dtype("auto", cpu) == dtype
    assert choose_dtype("float32", cpu) == torch.float32
    assert choose_dtype("auto", torch.device("mps")) == torch.float32


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
    monkeypatch.setattr(device.psutil, "virtual_memory", lambda: type("Memory", (), {"available": free_gb * 1e9}))
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
    monkeypatch.setattr(device, "choose_device", lambda name: torch.device("cuda" if name == "auto" else name))
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
        monkeypatch.setattr(device.psutil, "cpu_count", lambda: 4 * len(gpus))
        assert count_workers(config) == 2 * len(gpus)


@pytest.mark.parametrize(
    ("gpu_gb", "cores", "workers"),
    [(8, 16, 1), (24, 16, 1), (48, 16, 2), (80, 16, 3), (141, 16, 3), (141, 4, 2), (141, 1, 1)],
)
def test_so_many_share_a_gpu(gpu_gb: int, cores: int, workers: int) -> None:
    assert workers_per_gpu(gpu_gb * 2**30, cores) == workers
