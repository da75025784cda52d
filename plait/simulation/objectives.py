"""The objectives of the simulated market: funnel, base rates, delays, and how much each part of the logit matters."""

from dataclasses import dataclass

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective; its behaviour's action has the same name."""

    name: str
    parent: str | None
    rate: float
    """Share among the exposures where the parent happened (click: the scenario's own rate instead)."""
    delay: int
    """Median time after the parent (or the exposure), ms; log-normal."""
    spread: float
    """Standard deviation of the logarithm of the delay."""
    window: int
    """Attribution window after the exposure, ms."""
    value: float
    """Worth in currency units."""
    affinity: float
    """Factor of the parts that say how well user and item fit; negative where the objective is unwelcome."""
    look: float
    """Factor of the creative's parts."""
    attention: float
    """Factor of the position."""
    minimum: int = 0
    """Least delay, ms."""


OBJECTIVES: tuple[Objective, ...] = (
    Objective("impression", None, 0.85, 800, 0.5, 30 * MINUTE, 0.0, 0.15, 0.1, 1.0),
    Objective("click", "impression", 0.13, 6_000, 0.8, 30 * MINUTE, 0.05, 1.0, 1.0, 0.6),
    Objective("detail", "click", 0.80, 1_500, 0.5, HOUR, 0.1, 0.3, 0.3, 0.0),
    Objective("favourite", "detail", 0.16, 20_000, 0.8, DAY, 0.2, 0.5, 0.1, 0.0),
    Objective("share", "detail", 0.09, 30_000, 0.8, DAY, 0.3, 0.3, 0.2, 0.0),
    Objective("download", "detail", 0.52, 40_000, 1.0, DAY, 0.5, 0.5, 0.15, 0.0),
    Objective("install", "download", 0.86, 2 * MINUTE, 1.3, DAY, 1.0, 0.15, 0.0, 0.0),
    Objective("open", "install", 0.85, 15 * MINUTE, 1.5, 2 * DAY, 1.2, 0.2, 0.0, 0.0),
    Objective("register", "open", 0.48, 4 * MINUTE, 1.2, 3 * DAY, 2.0, 0.3, 0.0, 0.0),
    Objective("return_1d", "open", 0.38, 10 * HOUR, 0.4, 3 * DAY, 2.0, 0.6, 0.0, 0.0, 12 * HOUR),
    Objective("pay", "register", 0.34, 14 * HOUR, 0.9, 5 * DAY, 12.0, 0.5, 0.0, 0.0),
    Objective("dislike", "impression", 0.014, 8_000, 0.7, 30 * MINUTE, -1.0, -0.6, -0.5, 0.0),
    Objective("uninstall", "install", 0.22, 30 * HOUR, 0.9, 7 * DAY, -2.0, -0.5, 0.0, 0.0),
)
"""Parents come before their children."""

LATE_POSTBACK: tuple[str, ...] = ("install", "open", "register", "return_1d", "pay", "uninstall")
"""Behaviours that advertisers report, some of them hours later: `received_time` > `time`."""


def parent_indices() -> list[int]:
    """Index of each objective's parent, -1 where the parent is the exposure itself."""
    names = [objective.name for objective in OBJECTIVES]
    return [names.index(objective.parent) if objective.parent else -1 for objective in OBJECTIVES]
