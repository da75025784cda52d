"""Compiles the kernels of `plait.nn.hstu.gpu` for a device that need not be there, and prints their shared memory."""

import torch
import triton
from test_hstu import inputs, offsets, times
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

from plait.nn.hstu import EventClock
from plait.nn.hstu.gpu import gpu_attention


class NoDevice:
    """What Triton asks a driver before it compiles."""

    def get_current_target(self):
        return GPUTarget("cuda", 80, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


def compile_only(self, *arguments, grid, warmup, **options):
    kernel = launch(self, *arguments, grid=grid, warmup=True, **options)
    print(self.__name__, kernel.metadata.shared)


launch, JITFunction.run = JITFunction.run, compile_only
triton.runtime.driver.set_active(NoDevice())
lengths = [3, 30]
clock = EventClock(offsets(lengths), times(lengths))
for dtype in (torch.float32, torch.bfloat16):
    leaves = [leaf.requires_grad_() for leaf in inputs(lengths, 2, 50, 50)]
    mixed = gpu_attention(*(leaf.to(dtype) for leaf in leaves[:3]), clock, *leaves[3:], max(lengths))
    mixed.sum().backward()
