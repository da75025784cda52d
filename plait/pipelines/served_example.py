"""One real request to a real server, for a report: what the user did, what was asked, what came back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from plait.features.dataset import EncodedDataset
from plait.pipelines.check import checked_tables
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.project import Project
from plait.pipelines.report_data import ServedExample, ServedItem
from plait.pipelines.server_process import HOST, running_server
from plait.schema import Columns as C
from plait.schema import Split, TableName

_ITEMS = 8
_RECENT = 12
_WARM = 3
"""Requests before the one that is shown: the first ones of a connection are not typical."""


def ask_server(project: Project, model: str) -> ServedExample:
    """Start the server on `model`, ask it for one user of the test window, stop it."""
    user_id, scenario = _someone(project)
    request = {"user_id": user_id, "scenario": scenario, "k": _ITEMS}
    serving = project.workspace.serving
    with running_server(project, model, serving.candidates) as server:
        for _ in range(_WARM):
            answer = httpx.post(f"http://{HOST}:{server.port}/v1/recommend", json=request, timeout=10)
        answer.raise_for_status()
    response = answer.json()
    items = _items(checked_tables(project))
    return ServedExample(
        user=str(user_id),
        scenario=scenario,
        recent=_recent(checked_tables(project), user_id, items),
        items=tuple(_served(item, items) for item in response["items"]),
        timings_ms=response["timings_ms"],
        deadline_ms=serving.deadline_ms,
        request=request,
        response={**response, "items": response["items"][:2]},
    )


def _someone(project: Project) -> tuple[int | str, str]:
    """The user of the test window with the most exposures, and the scenario of the last one."""
    dataset = EncodedDataset.open(encoded_dataset(project))
    rows_B = dataset.rows(Split.TEST)
    users = pl.Series(dataset.user_rows(rows_B))
    user = int(users.value_counts(sort=True)[0, 0])
    last = rows_B[(users == user).to_numpy()][-1:]
    return dataset.tables.users.ids.value(user), dataset.spec.scenarios[int(dataset.scenarios(last)[0])]


def _items(tables: Path) -> Mapping[Any, dict[str, Any]]:
    frame = pl.read_parquet(tables / TableName.ITEMS / "*.parquet")
    return {row[C.ITEM_ID]: row for row in frame.iter_rows(named=True)}


def _recent(tables: Path, user_id: int | str, items: Mapping[Any, dict[str, Any]]) -> tuple[str, ...]:
    """What the user did last, newest first; the same item and action in a row counts once."""
    done = (
        pl.scan_parquet(tables / TableName.BEHAVIOURS / "*.parquet")
        .filter(pl.col(C.USER_ID) == user_id)
        .select(C.TIME, C.ACTION, C.ITEM_ID)
        .sort(C.TIME, descending=True)
        .head(10 * _RECENT)
        .collect()
    )
    words = [f"{row[C.ACTION]} {_name(items, row[C.ITEM_ID])}" for row in done.iter_rows(named=True)]
    return tuple(word for place, word in enumerate(words) if word not in words[max(0, place - 3) : place])[:_RECENT]


def _served(item: Mapping[str, Any], items: Mapping[Any, dict[str, Any]]) -> ServedItem:
    row = items.get(item["item_id"], {})
    path = [str(row[name]) for name in (C.CATEGORY_1, C.CATEGORY_2, C.CATEGORY_3) if row.get(name)]
    return ServedItem(
        name=_name(items, item["item_id"]),
        about=" > ".join(path),
        source=item["source"],
        score=item["score"],
        probabilities=item["probabilities"] or {},
    )


def _name(items: Mapping[Any, dict[str, Any]], item_id: Any) -> str:
    return str(items.get(item_id, {}).get(C.NAME) or item_id)
