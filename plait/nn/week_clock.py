"""Hour of the day and day of the week of epoch times, in UTC."""

import torch
from torch import Tensor

HOURS = 24
WEEKDAYS = 7

_HOUR_MS = 3_600_000
_THURSDAY = 3
"""The epoch began on one."""


def hour_of_day(time_ms: Tensor) -> Tensor:
    """0 to 23."""
    return torch.div(time_ms, _HOUR_MS, rounding_mode="floor") % HOURS


def weekday(time_ms: Tensor) -> Tensor:
    """0 is Monday, 6 is Sunday."""
    return (torch.div(time_ms, HOURS * _HOUR_MS, rounding_mode="floor") + _THURSDAY) % WEEKDAYS
