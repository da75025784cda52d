"""The user tower on its own: a user's state, advanced event by event, without the head's weights."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from plait.features.history import History
from plait.nn.hstu import EncoderSteps, HstuEncoder, HstuSizes, TowerState
from plait.nn.jagged import pass_start
from plait.nn.time_buckets import TIME_BUCKETS, time_bucket


@dataclass(slots=True)
class UserTrack:
    """One user as a tower knows them: the events of the current pass, and what its layers keep of them."""

    events: History
    state: TowerState


@dataclass(frozen=True, slots=True)
class UserSummary:
    """What a head is told of a user."""

    state_1D: Tensor
    """After the last event; a learned vector without any."""
    output_LD: Tensor
    """What the last layer made of every event in the pass."""


class UserTower(nn.Module):
    """Events to a user state: the part of an HSTU ranker that does not know the candidate.

    The item part of a token is a table of its own, made from the ranker's embeddings when it is split off.

    Args:
        sizes: of the encoder.
        items: number of item codes.
        actions: number of action codes.
        scenarios: number of scenario codes of events.
    """

    def __init__(self, sizes: HstuSizes, items: int, actions: int, scenarios: int) -> None:
        super().__init__()
        self.item = nn.Embedding(items, sizes.width)
        self.action = nn.Embedding(actions, sizes.width)
        self.scenario = nn.Embedding(scenarios, sizes.width)
        self.gap = nn.Embedding(TIME_BUCKETS, sizes.width)
        self.encoder = HstuEncoder(sizes)
        self.nothing_D = nn.Parameter(torch.zeros(sizes.width))
        self.norm = nn.LayerNorm(sizes.width)

    @property
    def sizes(self) -> HstuSizes:
        """Of the encoder."""
        return self.encoder.sizes

    def window(self, before: int) -> int:
        """How many of the last events are in the pass of a request that comes after `before` events."""
        return before - pass_start(before, self.sizes.max_events)

    def steps(self) -> "TowerSteps":
        """The tower as it is now, event by event."""
        return TowerSteps(self)

    def tokens(self, events: History, before_ms: int | None) -> Tensor:
        """Tokens `[M, D]`.

        Args:
            events: M events.
            before_ms: time of the event before them; None where they begin a pass.
        """
        time_M = torch.from_numpy(np.ascontiguousarray(events.time_N))
        first_1 = time_M[:1] if before_ms is None else time_M.new_tensor([before_ms])
        item_M, action_M, scenario_M = (
            torch.from_numpy(np.ascontiguousarray(codes_N))
            for codes_N in (events.item_N, events.action_N, events.scenario_N)
        )
        gap_M = time_bucket(torch.diff(time_M, prepend=first_1))
        token_MD: Tensor = self.item(item_M) + self.action(action_M) + self.scenario(scenario_M) + self.gap(gap_M)
        return token_MD


class TowerSteps:
    """A trained tower as it is now, advancing users' states.

    Args:
        tower: trained; changes after this are not all seen.
    """

    def __init__(self, tower: UserTower) -> None:
        self.tower = tower
        self.encoder = EncoderSteps(tower.encoder)

    def begin(self) -> UserTrack:
        """A user without events."""
        return UserTrack(History.empty(), self.encoder.begin())

    @torch.inference_mode()
    def advance(self, track: UserTrack, events: History) -> None:
        """Further events of the user; beyond `max_events` the window slides: see `plait.nn.hstu.EncoderSteps`."""
        if not len(events):
            return
        before_ms = int(track.events.time_N[-1]) if len(track.events) else None
        token_MD = self.tower.tokens(events, before_ms)
        self.encoder.append(track.state, token_MD, torch.from_numpy(np.ascontiguousarray(events.time_N)))
        track.events = track.events.joined(events).last(self.tower.sizes.max_events)

    def follow(self, track: UserTrack | None, events: History) -> UserTrack:
        """The user after `events`, the whole of a pass: goes on from `track` where they continue its events.

        A late event that takes its place among events that are known already, or a pass that begins at another event,
        starts anew.

        Args:
            track: of the user, if there is one; it is advanced.
            events: the last `UserTower.window(before)` of the user's `before` events.
        """
        if track is None or not events.continues(track.events) or track.state.dropped:
            track = self.begin()
        self.advance(track, events.last(len(events) - len(track.events)))
        return track

    @torch.inference_mode()
    def summary(self, track: UserTrack) -> UserSummary:
        """What a head is told of the user."""
        output_LD = track.state.output_LD
        if not len(output_LD):
            return UserSummary(self.tower.nothing_D[None], output_LD)
        return UserSummary(self.tower.norm(output_LD[-1:]), output_LD)
