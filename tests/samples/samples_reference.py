"""The samples once more, in plain loops over Python rows, written from the definitions: what tests compare with."""

from fractions import Fraction

BEHAVIOUR = ("time", "user_id", "item_id", "action", "value", "scenario", "exposure_id", "received_time")


def reference(exposures: list[dict], behaviours: list[dict], workspace, as_of: int | None = None):
    """(exposure samples, user samples) as lists of dicts, sorted by user, time, exposure id / by user."""
    shown = sorted(
        {e["exposure_id"]: e for e in exposures}.values(), key=lambda e: (e["user_id"], e["time"], e["exposure_id"])
    )
    done = [dict(zip(BEHAVIOUR, row, strict=True)) for row in {tuple(b[c] for c in BEHAVIOUR) for b in behaviours}]
    for b in done:
        b["available_time"] = b["time"] if b["received_time"] is None else max(b["time"], b["received_time"])
    ends = as_of_times(shown, done, workspace.split, as_of)
    samples = []
    for e in shown:
        split = split_of(e, shown, workspace.split)
        known_until = ends[split]
        row = dict(e, split=split)
        row["behaviours_before"] = sum(b["user_id"] == e["user_id"] and b["available_time"] < e["time"] for b in done)
        for o in workspace.objectives:
            row[f"label_{o.name}"] = int(first(e, o, shown, done, workspace, known_until) is not None)
            row[f"mature_{o.name}"] = e["time"] + longest(o, workspace) <= known_until
        samples.append(row)
    users = []
    for user in sorted({e["user_id"] for e in shown} | {b["user_id"] for b in done}):
        own = sorted((b for b in done if b["user_id"] == user), key=arrival)
        columns = ("item_id", "action", "value", "scenario", "time", "available_time")
        users.append({"user_id": user, **{c: [b[c] for b in own] for c in columns}})
    return samples, users


def arrival(b: dict):
    nullable = [(b[c] is not None, b[c] if b[c] is not None else 0) for c in ("value", "scenario")]
    return (b["available_time"], b["time"], b["item_id"], b["action"], *nullable)


def parents(o, workspace):
    by_name = {other.name: other for other in workspace.objectives}
    chain = [o]
    while chain[-1].parent is not None:
        chain.append(by_name[chain[-1].parent])
    return chain


def longest(o, workspace) -> int:
    return max(step.window for step in parents(o, workspace))


def belongs_to(b: dict, e: dict, o, shown: list[dict]) -> bool:
    if b["user_id"] != e["user_id"]:
        return False
    if b["exposure_id"] is not None:
        return b["exposure_id"] == e["exposure_id"]
    if o.attribution == "exposure_id":
        return False
    earlier = [
        x for x in shown if x["user_id"] == b["user_id"] and x["item_id"] == b["item_id"] and x["time"] <= b["time"]
    ]
    latest = max(earlier, key=lambda x: (x["time"], x["exposure_id"]), default=None)
    return latest is e


def first(e: dict, o, shown: list[dict], done: list[dict], workspace, known_until: int) -> int | None:
    """Time of the first behaviour that fulfils `o` for `e`, not before its parent's."""
    not_before = e["time"]
    if o.parent is not None:
        above = first(e, parents(o, workspace)[1], shown, done, workspace, known_until)
        if above is None:
            return None
        not_before = above
    times = [
        b["time"]
        for b in done
        if b["action"] == o.action
        and (o.min_value is None or (b["value"] is not None and b["value"] >= o.min_value))
        and not_before <= b["time"] <= e["time"] + o.window
        and b["available_time"] <= known_until
        and belongs_to(b, e, o, shown)
    ]
    return min(times, default=None)


def cuts(shown: list[dict], split) -> tuple[int, int]:
    start, end = min(e["time"] for e in shown), max(e["time"] for e in shown)
    valid, test = Fraction(str(split.valid)), Fraction(str(split.test))
    return start + int((1 - valid - test) * (end - start)), start + int((1 - test) * (end - start))


def as_of_times(shown: list[dict], done: list[dict], split, as_of: int | None) -> dict[str, int]:
    end = max([e["time"] for e in shown] + [b["available_time"] for b in done])
    valid_cut, test_cut = cuts(shown, split)
    if as_of is not None:
        return dict.fromkeys(("train", "valid", "test"), as_of)
    if split.kind == "per_user_time":
        return dict.fromkeys(("train", "valid", "test"), end)
    return {"train": valid_cut, "valid": test_cut, "test": end}


def split_of(e: dict, shown: list[dict], split) -> str:
    if split.kind == "global_time":
        valid_cut, test_cut = cuts(shown, split)
        return "train" if e["time"] < valid_cut else "valid" if e["time"] < test_cut else "test"
    own = [x for x in shown if x["user_id"] == e["user_id"]]
    place = min(i for i, x in enumerate(own) if x["time"] == e["time"])  # one moment, one part
    valid, test = Fraction(str(split.valid)), Fraction(str(split.test))
    if place >= len(own) - int(test * len(own)):
        return "test"
    return "valid" if place >= len(own) - int((valid + test) * len(own)) else "train"
