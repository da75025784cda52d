"""What an HSTU keeps of one sequence between events: keys and values of every layer, outputs and times."""

import torch
from torch import Tensor

from plait.nn.hstu.sizes import HstuSizes

_FIRST_ROOM = 64


class TowerState:
    """The last events of one sequence as the layers see them, oldest first; `EncoderSteps` advances it.

    Every array is one stretch of memory with room behind its last event, so that a layer's keys are one matrix. The
    room grows by half up to `max_events` and an eighth; then the window moves back to the front, once every
    `max_events / 8` events. Y counts layers, C is the room.

    Args:
        sizes: of the encoder.
        dtype: of its weights.
        device: of its weights.
    """

    def __init__(self, sizes: HstuSizes, dtype: torch.dtype, device: torch.device) -> None:
        self._limit = sizes.max_events
        self._most = sizes.max_events + max(_FIRST_ROOM, sizes.max_events // 8)
        self._start = 0
        self._end = 0
        room = min(_FIRST_ROOM, self._most)
        shape = (sizes.blocks, sizes.heads, room)
        self._key_YHCK = torch.empty(*shape, sizes.query_width, dtype=dtype, device=device)
        self._value_YHCV = torch.empty(*shape, sizes.value_width, dtype=dtype, device=device)
        self._output_CD = torch.empty(room, sizes.width, dtype=dtype, device=device)
        self._time_C = torch.empty(room, dtype=torch.int64, device=device)
        self.dropped = 0
        """Events that the window has left behind."""

    def __len__(self) -> int:
        """L: events in the window."""
        return self._end - self._start

    @property
    def key_YHLK(self) -> Tensor:
        """Keys of every layer."""
        return self._key_YHCK[:, :, self._start : self._end]

    @property
    def value_YHLV(self) -> Tensor:
        """Values of every layer."""
        return self._value_YHCV[:, :, self._start : self._end]

    @property
    def output_LD(self) -> Tensor:
        """What the last layer made of each event."""
        return self._output_CD[self._start : self._end]

    @property
    def time_L(self) -> Tensor:
        """Times as `EventClock` counts columns: the running maximum, ms."""
        return self._time_C[self._start : self._end]

    @property
    def bytes(self) -> int:
        """Memory that the arrays hold."""
        return sum(part.numel() * part.element_size() for part in self._parts())

    def extend(self, time_M: Tensor) -> None:
        """Make places for M further events and set their times; the layers fill in the rest.

        Args:
            time_M: time of each, ms.
        """
        count = len(time_M)
        if self._end + count > len(self._time_C):
            self._make_room(count)
        start, self._end = self._end, self._end + count
        place_M = self._time_C[start : self._end]
        torch.cummax(time_M, 0, out=(place_M, torch.empty_like(time_M)))
        if start > self._start:
            place_M.clamp_(min=self._time_C[start - 1])

    def trim(self) -> None:
        """Leave all but the last `max_events` events behind."""
        left = max(0, len(self) - self._limit)
        self._start += left
        self.dropped += left

    def copy(self) -> "TowerState":
        """A state that goes its own way from here."""
        twin = TowerState.__new__(TowerState)
        twin.__dict__.update(self.__dict__)
        twin._key_YHCK, twin._value_YHCV = self._key_YHCK.clone(), self._value_YHCV.clone()
        twin._output_CD, twin._time_C = self._output_CD.clone(), self._time_C.clone()
        return twin

    def _parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self._key_YHCK, self._value_YHCV, self._output_CD, self._time_C

    def _make_room(self, count: int) -> None:
        """Move the window to the front of arrays that hold `count` further events."""
        needed = len(self) + count
        room = len(self._time_C)
        if needed + needed // 4 > room:
            room = max(needed, min(self._most, needed + needed // 2))
        window = slice(self._start, self._end)
        moved = []
        for part, place in zip(self._parts(), (2, 2, 0, 0), strict=True):
            shape = [*part.shape]
            shape[place] = room
            moved.append(part.new_empty(shape))
            moved[-1].narrow(place, 0, len(self)).copy_(part.movedim(place, 0)[window].movedim(0, place))
        self._key_YHCK, self._value_YHCV, self._output_CD, self._time_C = moved
        self._start, self._end = 0, len(self)
