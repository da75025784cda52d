"""The same samples in plain DuckDB, as one would write them: hash joins, as-of joins, windows and ordered lists.

It relies on what the benchmark's input promises (no repeated rows, no item twice in one request), which Plait does not.
"""

from pathlib import Path
from typing import Any

import duckdb
from measured import exposures_done, main

ORDER = ["available_time", "time", "item_id", "action", "value", "scenario"]
LISTS = ["item_id", "action", "value", "scenario", "time", "available_time"]


def build(tables: Path, specification: dict[str, Any], out: Path) -> None:
    database = duckdb.connect(config={"threads": specification["threads"]})
    database.execute("SET preserve_insertion_order = false")
    valid, test = specification["cuts"]
    ends = specification["as_of"]
    database.execute(f"""
        CREATE TEMP TABLE shown AS
        SELECT *,
            CASE WHEN time < {valid} THEN 'train' WHEN time < {test} THEN 'valid' ELSE 'test' END AS split,
            CASE WHEN time < {valid} THEN {ends[0]} WHEN time < {test} THEN {ends[1]} ELSE {ends[2]} END AS as_of
        FROM '{tables}/exposures/*.parquet'""")
    database.execute(f"""
        CREATE TEMP TABLE done AS
        SELECT *, greatest(time, coalesce(received_time, time)) AS available_time
        FROM '{tables}/behaviours/*.parquet'""")
    touch(database, specification["objectives"])
    database.execute("""
        CREATE TEMP TABLE moments AS
        SELECT user_id, available_time,
            count(*) OVER (PARTITION BY user_id ORDER BY available_time)::INTEGER AS before
        FROM done""")
    write(database, specification["objectives"], out)


def touch(database: duckdb.DuckDBPyConnection, objectives: list[dict[str, Any]]) -> None:
    """Behaviours with the exposure they belong to, then the first fulfilment of each objective."""
    actions = ", ".join(sorted({f"'{objective['action']}'" for objective in objectives}))
    database.execute(f"""
        CREATE TEMP TABLE touches AS
        WITH relevant AS (SELECT * FROM done WHERE action IN ({actions})),
        found AS (
            SELECT e.exposure_id, e.time AS shown_time, e.as_of, b.time, b.available_time, b.action, b.value,
                true AS named
            FROM relevant b JOIN shown e ON b.exposure_id = e.exposure_id AND b.user_id = e.user_id
            UNION ALL
            SELECT e.exposure_id, e.time, e.as_of, b.time, b.available_time, b.action, b.value, false
            FROM (SELECT * FROM relevant WHERE exposure_id IS NULL) b
            ASOF JOIN shown e ON b.user_id = e.user_id AND b.item_id = e.item_id AND b.time >= e.time
        )
        SELECT exposure_id, time, action, value, named, time - shown_time AS delay
        FROM found WHERE time >= shown_time AND available_time <= as_of""")
    for objective in objectives:
        conditions = [f"action = '{objective['action']}'", f"delay <= {objective['window']}"]
        if objective["attribution"] == "exposure_id":
            conditions.append("named")
        if objective["min_value"] is not None:
            conditions.append(f"value >= {objective['min_value']}")
        parent = ""
        if objective["parent"] is not None:
            parent = f'JOIN "first_{objective["parent"]}" p USING (exposure_id)'
            conditions.append("touches.time >= p.first")
        database.execute(f"""
            CREATE TEMP TABLE "first_{objective["name"]}" AS
            SELECT exposure_id, min(touches.time) AS first FROM touches {parent}
            WHERE {" AND ".join(conditions)} GROUP BY exposure_id""")


def write(database: duckdb.DuckDBPyConnection, objectives: list[dict[str, Any]], out: Path) -> None:
    columns, joins = [], []
    longest: dict[str, int] = {}
    for objective in objectives:
        name = objective["name"]
        longest[name] = max(objective["window"], longest.get(objective["parent"], 0))
        columns.append(f'("{name}".exposure_id IS NOT NULL)::TINYINT AS "label_{name}"')
        columns.append(f's.time + {longest[name]} <= as_of AS "mature_{name}"')
        joins.append(f'LEFT JOIN "first_{name}" "{name}" ON "{name}".exposure_id = s.exposure_id')
    (out / "exposures").mkdir()
    database.execute(f"""
        COPY (
            SELECT s.* EXCLUDE (split, as_of), {", ".join(columns)}, coalesce(m.before, 0) AS behaviours_before, split
            FROM shown s {" ".join(joins)}
            ASOF LEFT JOIN moments m ON s.user_id = m.user_id AND s.time > m.available_time
            ORDER BY s.user_id, s.time, s.exposure_id
        ) TO '{out}/exposures/part-0.parquet' (FORMAT parquet, COMPRESSION lz4)""")
    exposures_done()
    # One sorted list of structs: faster than six ordered lists, and than lists over a sorted table (whose order DuckDB
    # does not promise to keep).
    event = ", ".join(f"'{name}': {name}" for name in ORDER)
    lists = ", ".join(f"[event.{name} FOR event IN events] AS {name}" for name in LISTS)
    (out / "users").mkdir()
    database.execute(f"""
        COPY (
            SELECT user_id, {lists}
            FROM (
                SELECT user_id, list_sort(list({{{event}}}), 'ASC', 'NULLS FIRST') AS events
                FROM done GROUP BY user_id
            )
        ) TO '{out}/users/part-0.parquet' (FORMAT parquet, COMPRESSION lz4)""")


if __name__ == "__main__":
    main(build)
