"""A request and its answer between HTTP and the engine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Identifier = int | str

_ROW = ("item_id", "creative_id", "score", "probabilities", "source", "price")


@dataclass(frozen=True, slots=True)
class Query:
    """A checked request."""

    user_id: Identifier
    scenario: str
    k: int
    time_ms: int
    """Epoch milliseconds: behaviours available before it are used."""
    context: dict[str, int | float | str | list[int | str]]
    query: str | None = None
    exclude: tuple[Identifier, ...] = ()
    objective: str | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """What the model saw and said of R rows (candidates, and further creatives of the best of them)."""

    items_R: Sequence[Identifier]
    creatives_R: Sequence[Identifier | None]
    categorical_RF: NDArray[np.int32]
    numeric_RG: NDArray[np.float32]
    bag_RP: NDArray[np.int64]
    token_offsets_J1: NDArray[np.int64]
    token_codes_N: NDArray[np.int32]
    """As in `FeatureBatch`."""
    before: int
    """How many behaviours of the user's history were used."""
    probabilities_RT: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """Items, best first, and how they came about."""

    items: Sequence[Identifier]
    creatives: Sequence[Identifier | None]
    scores: Sequence[float]
    probabilities_KT: NDArray[np.float32] | None
    """None where ranking fell back on retrieval."""
    sources: Sequence[str]
    candidates: dict[str, int]
    """By source, and `ranked`."""
    known_user: bool
    history: int
    prices: Sequence[float] | None = None
    """What each ad pays for a conversion; None where no auction was held."""
    record: Scored | None = None
    """What the request log keeps; None where nothing was ranked or nothing is logged."""

    def rows(self, objectives: Sequence[str]) -> list[dict[str, object]]:
        """The items as the response spells them."""
        if self.probabilities_KT is None:
            probabilities: list[dict[str, float] | None] = [None] * len(self.items)
        else:
            probabilities = [dict(zip(objectives, row, strict=True)) for row in self.probabilities_KT.tolist()]
        prices: Sequence[float | None] = [None] * len(self.items) if self.prices is None else self.prices
        columns = (self.items, self.creatives, self.scores, probabilities, self.sources, prices)
        return [dict(zip(_ROW, row, strict=True)) for row in zip(*columns, strict=True)]
