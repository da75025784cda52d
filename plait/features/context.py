"""Context fields: what is known of the request itself."""

import numpy as np
from numpy.typing import NDArray

from plait.features.spec import Field

SERVING_POSITION = 1
"""The position a request is scored at: positions are known in logs, but only after ranking when serving, so that every
candidate is asked "what if you stood first?"."""

CLOCK_FIELDS = (Field("hour", "context", 25), Field("weekday", "context", 8))
"""Hour of the day (1 + hour, UTC) and day of the week (1 is Monday, UTC)."""

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_THURSDAY = 3
"""1970-01-01, counted from Monday = 0."""


def clock_codes(time_B: NDArray[np.int64]) -> NDArray[np.int32]:
    """Codes of hour and weekday, `[B, 2]`, of epoch milliseconds in UTC."""
    hour_B = time_B % _DAY_MS // _HOUR_MS
    weekday_B = (time_B // _DAY_MS + _THURSDAY) % 7
    return np.stack([hour_B + 1, weekday_B + 1], axis=1).astype(np.int32)
