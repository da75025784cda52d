"""What every ranker has in common."""

from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor

from plait.models.batch import Batch
from plait.models.tower import UserSummary, UserTower

Layout = Literal["impression", "user"]
"""How a model likes to be trained: shuffled exposures, or whole users with one pass over each history."""


@runtime_checkable
class Ranker(Protocol):
    """`forward(batch) -> logits_BT`: a logit per exposure and objective, in either layout."""

    layout: Layout
    """The layout to train and predict in; the other one gives the same logits."""
    history: int
    """How many events before an exposure the model looks at, at most."""
    lookback: int
    """How many of them every exposure must find in the user layout; the same as `history`, or fewer for a model that
    shares passes over histories."""

    def __call__(self, batch: Batch) -> Tensor: ...


@runtime_checkable
class StartsFromRates(Protocol):
    """A ranker that can begin at the objectives' rates instead of at 1/2, so that rare objectives lose no time."""

    def start_from(self, logit_T: Tensor) -> None:
        """Let an untrained model predict `sigmoid(logit_T)` or close to it."""


@runtime_checkable
class HasRowVectors(Protocol):
    """A ranker whose logits are linear in one vector per exposure (apart from a wide part): what CTRL aligns."""

    history: int

    @property
    def width(self) -> int:
        """X, width of the vectors."""

    def represent(self, batch: Batch) -> Tensor:
        """`[B, X]`."""


@runtime_checkable
class OnePass(Protocol):
    """A ranker that is counted, not descended: one pass over the training exposures, then done."""

    def observe(self, batch: Batch) -> None:
        """Take in the labels of one batch of training exposures."""

    def conclude(self) -> None:
        """Turn what was observed into logits."""


@runtime_checkable
class ServesRequests(Protocol):
    """A ranker with a faster way to the same logits where all rows are candidates of one request."""

    def for_requests(self) -> Callable[[Batch], Callable[[Batch], Tensor]]:
        """`forward` of the trained model as it is now, in two steps.

        The first takes rows of a request (with the same user, context and time, and all of one history) and gives back
        the second, which has the logits of these and any further rows of the same request.
        """


@runtime_checkable
class SplitRanker(Protocol):
    """A ranker made of a tower over events and a light head over candidates."""

    def split(self) -> tuple[UserTower, "CandidateHead"]:
        """Both parts of the trained model, on their own: neither needs the other's weights."""

    def window(self, before: int) -> int:
        """How many of the last events a request that comes after `before` events must hold, for both parts."""
        ...


class CandidateHead(Protocol):
    """The part of a split ranker that knows the candidates."""

    events: int
    """How many of the last events it looks at itself."""

    def for_requests(self) -> Callable[[UserSummary, Batch], Callable[[Batch], Tensor]]:
        """The trained head as it is now, in two steps.

        The first takes what the tower says of a request's user, and rows of the request; it gives back the second,
        which has the logits of these and any further rows of it: those of the whole model's `forward`, up to rounding.
        """
        ...
