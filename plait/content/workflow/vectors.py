"""Vectors in steps' answers, which are JSON."""

import base64

import numpy as np
from numpy.typing import NDArray


def encoded(vector_D: NDArray[np.float32]) -> str:
    """A vector as text, at half precision."""
    return base64.b64encode(vector_D.astype("<f2").tobytes()).decode()


def decoded(text: str) -> NDArray[np.float32]:
    """The vector that `encoded` wrote."""
    return np.frombuffer(base64.b64decode(text), "<f2").astype(np.float32)
