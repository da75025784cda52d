"""Seeds: every random stream is derived from one workspace seed and a name, so that streams never share numbers."""

import hashlib

import numpy as np


def derive_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream called `names` under `seed`.

    Streams with different names are independent, and adding a stream leaves the others as they were.
    """
    path = "/".join([str(seed), *(str(name).replace("\\", "\\\\").replace("/", "\\/") for name in names)])
    digest = hashlib.blake2b(path.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator (PCG64) for the stream called `names` under `seed`."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, *names)))
