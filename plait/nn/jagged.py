"""Histories of different lengths: windows and rows cut out of flat arrays."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Windows:
    """W stretches of a flat array of N events, aligned at their first event and padded to the longest."""

    rows_WL: Tensor
    """Row of each event in the flat array; 0 where there is none."""
    valid_WL: Tensor
    """True where there is an event."""

    @property
    def length(self) -> int:
        """The longest stretch."""
        return self.rows_WL.shape[1]

    def flat(self) -> tuple[Tensor, Tensor]:
        """The windows one behind the other: rows in the flat array `[M]`, and where each window begins `[W + 1]`."""
        offsets_W1 = nn.functional.pad(self.valid_WL.sum(1).cumsum(0), (1, 0))
        return self.rows_WL[self.valid_WL], offsets_W1


def cut(first_W: Tensor, count_W: Tensor) -> Windows:
    """The windows of `count_W` events from row `first_W` of the flat array on."""
    length = int(count_W.max()) if len(count_W) else 0
    step_L = torch.arange(length, device=first_W.device)
    valid_WL = step_L < count_W[:, None]
    return Windows(torch.where(valid_WL, first_W[:, None] + step_L, 0), valid_WL)


def last_events(offsets_U1: Tensor, user_W: Tensor, before_W: Tensor, length: int) -> Windows:
    """The last `length` events among the first `before_W` of each user `user_W`."""
    count_W = before_W.clamp(max=length)
    return cut(offsets_U1[user_W] + before_W - count_W, count_W)


@dataclass(frozen=True, slots=True)
class Passes:
    """How exposures share passes over histories that are cut to `limit` events.

    An exposure that sees b events belongs to the pass over the events from `pass_start(b, limit)` on. So a user
    with b events costs about 2 b tokens however many exposures there are, and every exposure sees its last `stride` to
    `limit` events.
    """

    windows: Windows
    pass_B: Tensor
    """The pass of each exposure."""
    seen_B: Tensor
    """How many events of its pass the exposure sees."""

    def thinned(self, kept_WL: Tensor) -> "Passes":
        """The same passes over some of their events only.

        Args:
            kept_WL: which stay; False where there is no event.
        """
        kept_until_WL = nn.functional.pad(kept_WL.cumsum(1), (1, 0))
        return Passes(Windows(self.windows.rows_WL, kept_WL), self.pass_B, kept_until_WL[self.pass_B, self.seen_B])


def pass_start(before: int, limit: int) -> int:
    """The event that the pass of an exposure with `before` events begins at.

    It is 0 up to `limit` events and from then on the smallest multiple of `stride = limit / 2` that leaves at most
    `limit` events.
    """
    stride = max(1, limit // 2)
    return -(-max(0, before - limit) // stride) * stride


def share_passes(offsets_U1: Tensor, user_B: Tensor, before_B: Tensor, limit: int) -> Passes:
    """The passes that exposures with `before_B` events of histories `user_B` need; see `Passes`."""
    stride = max(1, limit // 2)
    chunk_B = ((before_B - limit).clamp(min=0) + stride - 1) // stride
    chunks = int(chunk_B.max()) + 1 if len(chunk_B) else 1
    keys_P, pass_B = torch.unique(user_B * chunks + chunk_B, return_inverse=True)
    start_P = keys_P % chunks * stride
    seen_B = before_B - chunk_B * stride
    count_P = torch.zeros_like(keys_P).scatter_reduce_(0, pass_B, seen_B, "amax")
    return Passes(cut(offsets_U1[keys_P // chunks] + start_P, count_P), pass_B, seen_B)
