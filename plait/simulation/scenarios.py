"""The scenarios of the simulated market."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

from plait.simulation.taxonomy import data_file

Kind = Literal["recommendation", "search", "ads", "games"]
KINDS: tuple[Kind, ...] = ("recommendation", "search", "ads", "games")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One place where items are shown."""

    name: str
    app: str
    kind: Kind
    traffic: float
    """Relative share of requests."""
    slate: int
    """Items per request."""
    click: float
    """Share of viewed exposures that are clicked."""
    position: float
    """Log-odds of attention lost per doubling of (1 + position)."""


@cache
def load_scenarios() -> tuple[Scenario, ...]:
    """All scenarios of `scenarios.toml`, in file order."""
    return tuple(Scenario(name=name, **row) for name, row in data_file("scenarios.toml")["scenarios"].items())
