"""The same samples in plain pandas, as one would write them: merges, as-of merges and group-bys.

It relies on what the benchmark's input promises (no repeated rows, no item twice in one request), which Plait does not.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measured import exposures_done, main

LISTS = ["item_id", "action", "value", "scenario", "time", "available_time"]


def build(tables: Path, specification: dict[str, Any], out: Path) -> None:
    shown = pd.read_parquet(tables / "exposures").sort_values(["user_id", "time", "exposure_id"], ignore_index=True)
    done = pd.read_parquet(tables / "behaviours")
    done["available_time"] = np.fmax(done["time"], done["received_time"]).astype("int64")
    place = np.searchsorted(specification["cuts"], shown["time"], side="right")
    as_of = np.array(specification["as_of"])[place]
    touches = touched(shown, done, specification["objectives"])
    touches["delay"] = touches["time"] - touches["shown_time"]
    touches = touches[(touches["delay"] >= 0) & (touches["available_time"] <= as_of[touches["row"]])]
    label(shown, touches, specification["objectives"], as_of)
    shown["behaviours_before"] = before(shown, done)
    shown["split"] = np.array(["train", "valid", "test"])[place]
    (out / "exposures").mkdir()
    shown.to_parquet(out / "exposures/part-0.parquet", index=False, compression="lz4")
    exposures_done()
    done = done.sort_values(["user_id", "available_time", "time", "item_id", "action", "value", "scenario"])
    lists = done.groupby("user_id")[LISTS].agg(list).reset_index()
    (out / "users").mkdir()
    lists.to_parquet(out / "users/part-0.parquet", index=False, compression="lz4")


def touched(shown: pd.DataFrame, done: pd.DataFrame, objectives: list[dict[str, Any]]) -> pd.DataFrame:
    """Behaviours with the row and time of the exposure they belong to."""
    relevant = done[done["action"].isin({objective["action"] for objective in objectives})]
    keys = shown[["user_id", "item_id", "exposure_id", "time"]].rename(columns={"time": "shown_time"})
    keys["row"] = np.arange(len(keys))
    named = relevant[relevant["exposure_id"].notna()].astype({"exposure_id": "int64"})
    named = named.merge(keys.drop(columns="item_id"), on=["user_id", "exposure_id"]).assign(named=True)
    if not any(objective["attribution"] == "last_touch" for objective in objectives):
        return named
    organic = relevant[relevant["exposure_id"].isna()].drop(columns="exposure_id").sort_values("time")
    last = pd.merge_asof(
        organic, keys.sort_values("shown_time"), left_on="time", right_on="shown_time", by=["user_id", "item_id"]
    ).assign(named=False)
    last = last[last["row"].notna()].astype({"row": "int64", "shown_time": "int64"})
    columns = ["row", "shown_time", "time", "available_time", "action", "value", "named"]
    return pd.concat([named[columns], last[columns]], ignore_index=True)


def label(shown: pd.DataFrame, touches: pd.DataFrame, objectives: list[dict[str, Any]], as_of: np.ndarray) -> None:
    """Add labels and maturity, a parent before its children."""
    first: dict[str, pd.Series] = {}
    longest: dict[str, int] = {}
    for objective in objectives:
        counting = touches[(touches["action"] == objective["action"]) & (touches["delay"] <= objective["window"])]
        if objective["attribution"] == "exposure_id":
            counting = counting[counting["named"]]
        if objective["min_value"] is not None:
            counting = counting[counting["value"] >= objective["min_value"]]
        longest[objective["name"]] = objective["window"]
        if objective["parent"] is not None:
            counting = counting[counting["time"] >= counting["row"].map(first[objective["parent"]])]
            longest[objective["name"]] = max(objective["window"], longest[objective["parent"]])
        first[objective["name"]] = counting.groupby("row")["time"].min()
        fulfilled = np.zeros(len(shown), dtype="int8")
        fulfilled[first[objective["name"]].index] = 1
        shown[f"label_{objective['name']}"] = fulfilled
        shown[f"mature_{objective['name']}"] = shown["time"] + longest[objective["name"]] <= as_of


def before(shown: pd.DataFrame, done: pd.DataFrame) -> np.ndarray:
    """How many behaviours of the user arrived strictly before each exposure."""
    arrived = done.groupby(["user_id", "available_time"]).size().groupby(level="user_id").cumsum()
    moments = arrived.rename("before").reset_index().sort_values("available_time")
    asked = shown[["user_id", "time"]].reset_index().sort_values("time")
    found = pd.merge_asof(
        asked, moments, left_on="time", right_on="available_time", by="user_id", allow_exact_matches=False
    )
    return found.set_index("index")["before"].fillna(0).astype("int32").sort_index().to_numpy()


if __name__ == "__main__":
    main(build)
