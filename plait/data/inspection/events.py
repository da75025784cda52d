"""Scenarios and objectives from the values of the scenario and action columns."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from plait.config import ObjectiveSettings, ScenarioSettings
from plait.data.inspection.tables import Recognised
from plait.data.inspection.words import FUNNEL, LATE_STEP, SCENARIO_KINDS, SHOWN_ACTIONS, UNWANTED, says, squash
from plait.schema import Columns as C

MAX_VALUES = 200
"""More scenarios or actions than this are a column that means something else."""
PARENT_SHARE = 0.95
"""A step is proposed as another's parent where at least this share of the user-item pairs of the later step have the
earlier one."""
PARENT_PAIRS = 20
"""Fewer pairs prove nothing."""
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Proposal:
    """Proposed entries and what to say beside them, by name."""

    comments: dict[str, str]
    scenarios: tuple[ScenarioSettings, ...] = ()
    objectives: tuple[ObjectiveSettings, ...] = ()


def distinct_values(recognised: Recognised, ours: str) -> dict[str, int]:
    """Every value of Plait's column `ours` in all rows with its count, the most frequent first, up to `MAX_VALUES`."""
    column = pl.col(recognised.columns[ours]).cast(pl.String).alias("value")
    counts = (
        recognised.table.scan()
        .select(column)
        .drop_nulls()
        .group_by("value")
        .len()
        .sort(["len", "value"], descending=[True, False])
        .head(MAX_VALUES)
        .collect(engine="streaming")
    )
    return dict(counts.iter_rows())


def propose_scenarios(exposures: Recognised | None, behaviours: Recognised | None) -> Proposal:
    """A scenario per value of the scenario column; one called "default" where there is no such column."""
    source = next(
        (table for table in (exposures, behaviours) if table is not None and C.SCENARIO in table.columns), None
    )
    if source is None:
        note = (
            "No scenario column was found: give exposures a column `scenario` that always says default, or rename one."
        )
        return Proposal({"default": note}, scenarios=(ScenarioSettings(name="default"),))
    counts = distinct_values(source, C.SCENARIO)
    scenarios = tuple(ScenarioSettings(name=name, kind=_kind(name)) for name in sorted(counts))
    comments = {name: f"{counts[name]:,} rows; kind guessed by the name" for name in counts}
    return Proposal(comments, scenarios=scenarios or (ScenarioSettings(name="default"),))


def propose_objectives(behaviours: Recognised | None) -> Proposal:
    """An objective per action, in funnel order; a parent only where the data bears it out."""
    if behaviours is None:
        note = "No behaviours were found: this is an example. One objective per action that matters."
        return Proposal({"click": note}, objectives=(ObjectiveSettings(name="click", action="click"),))
    counts = distinct_values(behaviours, C.ACTION)
    actions = sorted(
        (action for action in counts if squash(action) not in SHOWN_ACTIONS), key=lambda action: (_step(action), action)
    )
    attribution: Literal["exposure_id", "last_touch"] = (
        "exposure_id" if C.EXPOSURE_ID in behaviours.columns else "last_touch"
    )
    objectives, comments = [], {}
    for place, action in enumerate(actions):
        before = actions[place - 1] if place and _step(action) < len(FUNNEL) else None
        share = _share_after(behaviours, action, before)
        borne_out = share is not None and share >= PARENT_SHARE
        objectives.append(
            ObjectiveSettings(
                name=action,
                action=action,
                parent=before if borne_out else None,
                window=7 * _DAY_MS if LATE_STEP <= _step(action) < len(FUNNEL) else _DAY_MS,
                attribution=attribution,
            )
        )
        comments[action] = f"{counts[action]:,} rows. {_parent_note(before, share, borne_out)}{_value_note(action)}"
    return Proposal(comments, objectives=tuple(objectives) or (ObjectiveSettings(name="click", action="click"),))


def _kind(scenario: str) -> Literal["recommendation", "search", "ads", "games"]:
    kinds: tuple[Literal["search", "ads", "games"], ...] = ("search", "ads", "games")
    return next((kind for kind in kinds if says(scenario, SCENARIO_KINDS[kind])), "recommendation")


def _step(action: str) -> int:
    """The action's place in the usual funnel; behind its end where it has none."""
    name = squash(action)
    return next((step for step, words in enumerate(FUNNEL) if name in words), len(FUNNEL))


def _share_after(behaviours: Recognised, action: str, before: str | None) -> float | None:
    """Share of the user-item pairs with `action` that also have `before`; None where there are too few to say."""
    if before is None:
        return None
    events = behaviours.table.sample.select(
        pl.col(behaviours.columns[C.USER_ID]).alias(C.USER_ID),
        pl.col(behaviours.columns[C.ITEM_ID]).alias(C.ITEM_ID),
        pl.col(behaviours.columns[C.ACTION]).cast(pl.String).alias(C.ACTION),
    )
    pairs = events.filter(pl.col(C.ACTION) == action).select(C.USER_ID, C.ITEM_ID).unique()
    earlier = events.filter(pl.col(C.ACTION) == before)
    if pairs.height < PARENT_PAIRS:
        return None
    return pairs.join(earlier, on=(C.USER_ID, C.ITEM_ID), how="semi").height / pairs.height


def _parent_note(before: str | None, share: float | None, borne_out: bool) -> str:
    if before is None:
        return "No parent: nothing comes before it in the usual funnel."
    if share is None:
        return f'Perhaps parent = "{before}"; too few rows were looked at to say.'
    seen = f"{share:.0%} of its user-item pairs also have '{before}'"
    if borne_out:
        return f"Its parent by the usual funnel, and {seen}: without the parent it does not count."
    return f'Not given parent = "{before}": only {seen}.'


def _value_note(action: str) -> str:
    return " Something to avoid: give it a negative value." if squash(action) in UNWANTED else ""
