"""Freed memory stays with the process: an array made again costs no page faults."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from plait.serving.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(250_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
assert keep_freed_memory()
faults()
print(first, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_arrays_are_not_faulted_in_again():
    """2 MB are 488 pages of 4 KiB (or one huge page): 50 arrays are more than 50 faults, and none once it is kept."""
    ran = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    before, after = map(int, ran.stdout.split())
    assert before >= 50
    assert after < 10
