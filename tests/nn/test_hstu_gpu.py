"""HSTU attention on a GPU, without one: its kernels in Triton's interpreter, and compiled for real devices."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from plait.nn.hstu import attention

HERE = Path(__file__).parent


def run(script, *arguments, **environment):
    """A process of its own: Triton decides once, when it is imported, whether it interprets."""
    command = [sys.executable, *script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_kernels_in_the_interpreter():
    pytest.importorskip("triton")
    script = ("-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist")
    assert "12 passed" in run(script, HERE / "hstu_gpu_cases.py", TRITON_INTERPRET="1")


def test_kernels_compile(tmp_path):
    """Each kernel, for capability 8.0, within the shared memory that every such device has."""
    pytest.importorskip("triton")
    lines = run((HERE / "hstu_gpu_compile.py",), TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path)).splitlines()
    assert [line.split()[0] for line in lines] == [
        "forward_kernel",
        "query_kernel",
        "key_value_kernel",
        "bias_kernel",
    ] * 2
    assert all(int(line.split()[1]) <= 99 * 1024 for line in lines)


def test_the_fused_version_is_chosen_where_it_fits():
    pytest.importorskip("triton")
    from plait.nn.hstu.cpu import cpu_attention
    from plait.nn.hstu.gpu import gpu_attention

    assert attention.fused_attention("cuda", torch.bfloat16, 128) is gpu_attention
    assert attention.fused_attention("cuda", torch.float32, 25) is gpu_attention
    assert attention.fused_attention("cuda", torch.float64, 25) is None
    assert attention.fused_attention("cuda", torch.float32, 129) is None
    assert attention.fused_attention("cpu", torch.float32, 129) is cpu_attention
    assert attention.fused_attention("cpu", torch.bfloat16, 25) is None
    assert attention.fused_attention("mps", torch.float32, 25) is None


def test_without_triton_plain_operators_and_one_warning(monkeypatch):
    monkeypatch.setattr(attention, "find_spec", lambda name: None)
    attention._has_triton.cache_clear()
    with pytest.warns(UserWarning, match="pip install 'plait\\[gpu\\]'"):
        assert attention.fused_attention("cuda", torch.float32, 25) is None
    assert attention.fused_attention("cuda", torch.float32, 25) is None  # a second warning would be an error
    attention._has_triton.cache_clear()
