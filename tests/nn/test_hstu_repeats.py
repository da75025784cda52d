"""A kernel that was just compiled and the same one from Numba's cache give the same bits: training repeats on both."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import plait

GRADIENTS = """
import hashlib
import torch
from plait.nn.hstu import EventClock, HstuLayer, HstuSizes, hstu_attention

torch.set_num_threads(2)
digest = hashlib.sha256()
for seed in range(12):
    torch.manual_seed(seed)
    lengths = torch.randint(1, 257, (40,))
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    events = int(offsets[-1])
    times = torch.cat([(torch.rand(int(length)) ** 3 * 3e9).long().sort().values for length in lengths])
    clock = EventClock(offsets, times)
    query, key, value = (torch.randn(events, 2, 32).requires_grad_() for _ in range(3))
    distance, time = torch.randn(256).requires_grad_(), torch.randn(129).requires_grad_()
    out = hstu_attention(
        query, key, value, clock, distance_bias_P=distance, time_bias_Z=time, max_events=256
    )
    for gradient in torch.autograd.grad(out, [query, key, value, distance, time], torch.randn(events, 2, 32)):
        digest.update(gradient.numpy().tobytes())
    layer = HstuLayer(HstuSizes(50, 2, 25, 25, blocks=1, max_events=256))
    out = layer(torch.randn(events, 50), clock)
    for gradient in torch.autograd.grad(out, list(layer.parameters()), torch.randn(events, 50)):
        digest.update(gradient.numpy().tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_compiled_and_cached_kernels_agree_to_the_bit(tmp_path: Path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(plait.__file__).parents[1])}
    compiled, cached = (
        subprocess.run([sys.executable, "-c", GRADIENTS], env=environment, check=True, capture_output=True, text=True)
        for _ in range(2)
    )
    assert compiled.stdout == cached.stdout
    assert len(compiled.stdout.strip()) == 64
