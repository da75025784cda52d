"""A clock for data that has none: steps in the known order, a fixed time apart."""

import polars as pl

ORDINAL_START_MS = 946_684_800_000
"""2000-01-01T00:00:00Z, a date that no real log of these sources has: the first step of every user."""
ORDINAL_STEP_MS = 86_400_000
"""One day a step, so that windows and gaps stay readable: 3 days = 3 steps."""

ORDINAL_NOTE = (
    "THE CLOCK IS ORDINAL. The source has no times: step n of every user is n days after 2000-01-01. Order within a "
    "user is meaningful; dates, hours, weekdays, gaps and comparisons between users are not. Hence the split by each "
    "user's own order."
)


def ordinal_time(step: pl.Expr) -> pl.Expr:
    """Epoch milliseconds of a user's `step` (from 0)."""
    return ORDINAL_START_MS + step.cast(pl.Int64) * ORDINAL_STEP_MS
