"""In which number format a device computes."""

from __future__ import annotations

import pytest
import torch

from generator.foundation.device import choose_dtype


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
