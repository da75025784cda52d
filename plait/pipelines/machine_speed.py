"""What this machine reaches at its best: to hold measured times against."""

import time
from collections.abc import Callable

import torch

_RUNS = 10


def product_gflops(threads: int = 1) -> float:
    """What large products of matrices in single precision reach, in GFLOP/s."""
    size = 1024
    left, right = torch.randn(size, size), torch.randn(size, size)
    return 2 * size**3 / _fastest_s(lambda: left @ right, threads) / 1e9


def read_gb_per_s() -> float:
    """What a product of a matrix of 4 MB and a vector reads on one thread, in GB/s."""
    matrix, vector = torch.randn(1024, 1024), torch.randn(1024)
    return matrix.numel() * 4 / _fastest_s(lambda: matrix @ vector, 1) / 1e9


def _fastest_s(run: Callable[[], object], threads: int) -> float:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    spent = []
    try:
        for _ in range(_RUNS):
            started = time.perf_counter()
            run()
            spent.append(time.perf_counter() - started)
    finally:
        torch.set_num_threads(before)
    return min(spent)
