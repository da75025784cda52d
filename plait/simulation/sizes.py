"""How large a simulated world is."""

from plait.config import Settings, nearest
from plait.errors import ConfigError


class Size(Settings):
    """The extent of one world."""

    users: int
    """How many users."""
    days: int
    """Length of the log in days."""
    items: int
    """How many apps and games the market offers, those launched on the way included."""
    media: int
    """How many image and video files are rendered; creatives share them."""
    exposures_per_user: float
    """Mean number of exposures of a user over the whole time."""
    sessions_per_day: float = 2.6
    """Mean number of sessions of a user and day."""
    events_per_session: float = 4.5
    """Mean number of organic behaviours of a session."""
    chunk_users: int = 500
    """Users simulated together; part i of every table holds chunk i."""


SIZES: dict[str, Size] = {
    "tiny": Size(users=150, days=28, items=300, media=40, exposures_per_user=60, chunk_users=50),
    "demo": Size(users=3_000, days=84, items=1_500, media=400, exposures_per_user=90, chunk_users=500),
    "bench": Size(users=24_000, days=84, items=6_000, media=600, exposures_per_user=150, chunk_users=500),
    "stream": Size(users=90_000, days=84, items=6_000, media=600, exposures_per_user=15, chunk_users=500),
}
"""The sizes that have names."""


def named_size(name: str) -> Size:
    """The size called `name`.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in SIZES:
        raise ConfigError(f"found size '{name}', expected one of {', '.join(SIZES)}{nearest(name, list(SIZES))}")
    return SIZES[name]


def stream_size(events: int) -> Size:
    """A world with about `events` organic behaviours and few exposures, for measuring throughput."""
    base = SIZES["stream"]
    per_user = base.days * base.sessions_per_day * base.events_per_session
    return base.model_copy(update={"users": max(1, round(events / per_user))})
