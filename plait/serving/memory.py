"""Memory that stays with the process between requests."""

import ctypes

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 256 << 20
_LARGEST_BYTES = 32 << 20
"""The most that glibc takes for the size from which on an array is a mapping of its own."""
_AHEAD_BYTES = 32 << 20


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed instead of handing it back to the system.

    By default every array of more than 128 KiB is a mapping of its own, so that each of its pages is faulted in again
    for every request: hundreds of faults, which in a virtual machine cost more than the arithmetic on them.

    Returns:
        False where the C library has no such setting (it is one of glibc); nothing changes then.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return False
    settings = ((_M_MMAP_THRESHOLD, _LARGEST_BYTES), (_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_TOP_PAD, _AHEAD_BYTES))
    done = [mallopt(name, value) for name, value in settings]
    return all(done)
