"""Texts to vectors: one protocol for all encoders, and the loop that runs one over many texts.

An encoder is frozen: the same text always gives the same vector, so that a vector is kept for good under its text. See
`docs/embedding.md`.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from plait.errors import PlaitError
from plait.llm.vector_cache import VectorCache, text_key
from plait.telemetry import progress

CHUNK = 256
"""Texts between two commits to the cache: what a kill loses at most."""


class TextEncoder(Protocol):
    """A frozen model that turns texts into vectors."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def version(self) -> str:
        """Changes whenever the vector of some text does: names weights, precision, pooling and prompt."""

    @property
    def width(self) -> int:
        """D, the width of its vectors."""

    @property
    def max_tokens(self) -> int:
        """Tokens behind these are not read."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors `[N, D]` of N texts, in their order.

        A text's vector does not depend on the others, but for rounding. Texts of like length together cost least.
        """


def encode_texts(
    encoder: TextEncoder, texts: Sequence[str], cache: VectorCache | None = None, *, label: str = "encode"
) -> NDArray[np.float32]:
    """Vectors `[N, D]` of any number of texts, in their order.

    Every distinct text is encoded once, and not at all where the cache holds its vector. Texts go longest first, in
    chunks of like length, so that little is padded and the estimate of the remaining time errs on the long side. The
    cache is written chunk by chunk: a killed run goes on where it was.

    Args:
        encoder: what encodes.
        texts: any number.
        cache: where vectors are kept; None to keep none.
        label: of the progress bar.

    Raises:
        PlaitError: the encoder gave vectors of another shape or numbers that are not finite.
    """
    places: dict[str, int] = {}
    row_N = np.array([places.setdefault(text, len(places)) for text in texts], np.int64)
    distinct = list(places)
    vectors_MD = np.empty((len(distinct), encoder.width), np.float32)
    missing = list(range(len(distinct)))
    keys = [text_key(text) for text in distinct]
    if cache is not None:
        found_M = cache.read_into(keys, vectors_MD)
        missing = np.flatnonzero(~found_M).tolist()
    missing.sort(key=lambda place: len(distinct[place].encode()), reverse=True)
    with progress(f"{label} ({encoder.name})", len(missing)) as advance:
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            vectors_MD[chunk] = _checked(encoder, [distinct[place] for place in chunk])
            if cache is not None:
                cache.write([keys[place] for place in chunk], vectors_MD[chunk])
            advance(len(chunk))
    return vectors_MD if len(distinct) == len(texts) else vectors_MD[row_N]


def _checked(encoder: TextEncoder, texts: Sequence[str]) -> NDArray[np.float32]:
    vectors_ND = encoder.encode(texts)
    if vectors_ND.shape != (len(texts), encoder.width) or not np.isfinite(vectors_ND).all():
        raise PlaitError(
            f"encoder {encoder.name}: expected finite vectors of shape {(len(texts), encoder.width)}, found shape "
            f"{vectors_ND.shape}{'' if np.isfinite(vectors_ND).all() else ' with numbers that are not finite'}"
        )
    return vectors_ND
