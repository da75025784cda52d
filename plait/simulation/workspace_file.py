"""The `plait.toml` of a simulated world."""

import json

from plait.config import format_duration
from plait.simulation.chunk_tables import ALL_ACTIONS
from plait.simulation.objectives import OBJECTIVES
from plait.simulation.scenarios import load_scenarios
from plait.simulation.world import World

_HEADER = """\
# A simulated app market, written by `plait simulate`. Its data is invented; truth/ holds what really drove it.
name = {name}
seed = {seed}
simulated = true
time_unit = "ms"

[tables.users]
path = "users/*.parquet"
columns = {{ age = "number", gender = "category", city_tier = "category", device = "category", language = "category" }}

[tables.items]
path = "items.parquet"

[tables.items.columns]
name_en = "text"
category_1_en = "text"
category_2_en = "text"
category_3_en = "text"
description_en = "text"
developer = "category"
kind = "category"
size_mb = "number"
rating = "number"
launch_time = "time"

[tables.creatives]
path = "creatives.parquet"

[tables.exposures]
path = "exposures/*.parquet"
columns = {{ random_slice = "ignore" }}

[tables.behaviours]
path = "behaviours/*.parquet"

[split]
kind = "global_time"
valid = 0.1
test = 0.2

[ads]
objective = "download"

[embedding]
actions = {{ click = "点击", download = "下载", use = "使用" }}
items = 4
max_characters = 240
"""


def workspace_text(world: World, name: str) -> str:
    """The whole file, in the order of the funnel."""
    parts = [_HEADER.format(name=json.dumps(name), seed=world.seed)]
    parts.extend(_table("scenarios", {"name": s.name, "app": s.app, "kind": s.kind}) for s in load_scenarios())
    for objective in OBJECTIVES:
        values = {"name": objective.name, "action": objective.name, "parent": objective.parent}
        window = {"window": format_duration(objective.window), "attribution": "exposure_id", "value": objective.value}
        parts.append(_table("objectives", {**values, **window}))
    parts.append(_actions())
    return "\n".join(parts)


def _table(name: str, values: dict[str, object]) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None]
    return "\n".join([f"[[{name}]]", *lines, ""])


def _actions() -> str:
    """All actions, with the edges that cut minutes of use and sums paid into buckets."""
    edges = {"use": [3.0, 15.0], "pay": [10.0]}
    lines = [
        f"{name} = {{ value_edges = {edges[name]} }}" if name in edges else f"{name} = {{}}" for name in ALL_ACTIONS
    ]
    return "\n".join(["[actions]", *lines, ""])
