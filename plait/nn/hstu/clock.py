"""Where the sequences of a jagged batch begin, and which time bucket lies between any two of their events."""

from functools import cached_property

import torch
from torch import Tensor

from plait.nn.time_buckets import time_bucket


class EventClock:
    """The sequences of a batch and their times: what every layer needs and one computation per batch gives.

    The time bucket of row i and column j (j <= i, both of one sequence) is that of `row_time[i] - column_time[j]`. A
    ranker's row time is the event's own: a state must not know when the user comes back. The published next-item model
    takes the *next* event's time, whose row then says what happens at a known time (`next_times`).

    Late events may stand behind later ones. Column times count as the running maximum of the times of their sequence,
    and row times as at least that: differences then fall with j, and all pairs of a row with one bucket are neighbours.

    Args:
        offsets_U1: where each sequence begins, and where the last one ends.
        time_N: time of each event, ms.
        row_time_N: time that each row looks back from, ms; None for the event's own.

    Raises:
        ValueError: offsets and times do not fit each other.
    """

    def __init__(self, offsets_U1: Tensor, time_N: Tensor, row_time_N: Tensor | None = None) -> None:
        if int(offsets_U1[0]) != 0 or int(offsets_U1[-1]) != len(time_N):
            raise ValueError(
                f"offsets run from {int(offsets_U1[0])} to {int(offsets_U1[-1])}, expected 0 to {len(time_N)} events"
            )
        self.offsets_U1 = offsets_U1
        self.column_time_N = running_maximum(time_N, offsets_U1)
        self.row_time_N = self.column_time_N
        if row_time_N is not None:
            self.row_time_N = torch.maximum(row_time_N, self.column_time_N)

    @property
    def events(self) -> int:
        """N: events of all sequences."""
        return len(self.column_time_N)

    @cached_property
    def lengths_U(self) -> Tensor:
        """Events of each sequence."""
        return torch.diff(self.offsets_U1)

    @cached_property
    def longest(self) -> int:
        """L: events of the longest sequence."""
        return int(self.lengths_U.max()) if len(self.lengths_U) else 0

    @cached_property
    def user_N(self) -> Tensor:
        """Which sequence each event belongs to."""
        users_U = torch.arange(len(self.lengths_U), device=self.offsets_U1.device)
        return torch.repeat_interleave(users_U, self.lengths_U, output_size=self.events)

    @cached_property
    def place_N(self) -> Tensor:
        """How many events of its sequence stand before each event."""
        return torch.arange(self.events, device=self.offsets_U1.device) - self.offsets_U1[self.user_N]

    @cached_property
    def bucket_ULL(self) -> Tensor:
        """Time bucket of each pair of events, padded: for the plain version, which materialises pairs anyway."""
        row_UL, column_UL = self.pad(self.row_time_N), self.pad(self.column_time_N)
        return time_bucket(row_UL[:, :, None] - column_UL[:, None, :])

    def pad(self, values_N: Tensor) -> Tensor:
        """`[U, L, ...]`: the sequences aligned at their first event, zeros behind their last."""
        padded_UL = values_N.new_zeros(len(self.lengths_U), self.longest, *values_N.shape[1:])
        padded_UL[self.user_N, self.place_N] = values_N
        return padded_UL

    def unpad(self, padded_UL: Tensor) -> Tensor:
        """`[N, ...]`: what `pad` was given."""
        return padded_UL[self.user_N, self.place_N]


def next_times(offsets_U1: Tensor, time_N: Tensor, request_time_U: Tensor) -> Tensor:
    """Row times of the published next-item model: the next event's time; the request's after the last event.

    Args:
        offsets_U1: where each sequence begins.
        time_N: time of each event, ms.
        request_time_U: when the item after the last event is asked for, ms.
    """
    row_time_N = torch.cat([time_N[1:], time_N[:1]])
    lengths_U = torch.diff(offsets_U1)
    row_time_N[offsets_U1[1:][lengths_U > 0] - 1] = request_time_U[lengths_U > 0]
    return row_time_N


def running_maximum(time_N: Tensor, offsets_U1: Tensor) -> Tensor:
    """The running maximum of `time_N` within each sequence."""
    if len(time_N) < 2:
        return time_N
    falls_N = torch.diff(time_N) < 0
    first = offsets_U1[1:-1]
    falls_N[first[(first > 0) & (first < len(time_N))] - 1] = False
    if not bool(falls_N.any()):
        return time_N
    maximum_N = time_N.clone()
    for start, end in zip(offsets_U1[:-1].tolist(), offsets_U1[1:].tolist(), strict=True):
        if bool(falls_N[start : max(start, end - 1)].any()):
            maximum_N[start:end] = torch.cummax(time_N[start:end], 0).values
    return maximum_N
