"""A whole report over a small made-up world, with text that would do harm if it were not escaped."""

from pathlib import Path

import numpy as np
from PIL import Image

from plait.data.checks.report import CheckReport, Example, Finding, Outcome, TableReport
from plait.evaluation import Difference, Estimate, evaluate, paired_difference
from plait.pipelines.alignment_map import AlignmentMap, Plane
from plait.pipelines.embed_sweep import Sweep, SweepPoint
from plait.pipelines.report_data import (
    Creative,
    CurvePoint,
    DataSummary,
    LadderRow,
    LearningCurve,
    MeasuredModel,
    ObjectiveCount,
    Provenance,
    ReportData,
    ServedExample,
    ServedItem,
)

HOSTILE = "<script>alert('x')</script> & \"quoted\""
OBJECTIVES = ("click", "detail", "download", "install", "register", "pay")
SCENARIOS = tuple(
    f"{place} {kind}" for place in ("首页", "市场", "news", "video") for kind in ("feed", "search", "ads")
)
RUNGS = ("popularity", "lr", "dnn", "hstu")


def _evaluations(rows: int):
    random = np.random.default_rng(0)
    users_B, scenarios_B = random.integers(0, 300, rows), random.integers(0, len(SCENARIOS), rows)
    base_T = np.array([-1.2, -1.8, -2.2, -2.6, -3.2, -3.9])
    truth_BT = base_T + random.normal(0, 0.4, len(SCENARIOS))[scenarios_B][:, None] + random.normal(0, 1.1, (rows, 6))
    labels_BT = random.random((rows, 6)) < 1 / (1 + np.exp(-truth_BT))
    mask_BT = random.random((rows, 6)) < 0.9
    mask_BT[:, 5] &= scenarios_B != 3
    noise_BT = random.normal(0, 1, (rows, 6))
    results = []
    for noise in (2.2, 1.6, 1.0, 0.85, 0):
        shrink = 1.21 / (1.21 + noise**2)
        logits_BT = base_T + (truth_BT - base_T + noise * noise_BT) * shrink + 0.05 * noise
        arguments = (labels_BT, mask_BT, 1 / (1 + np.exp(-logits_BT)), users_B, scenarios_B, OBJECTIVES, SCENARIOS)
        results.append(evaluate(*arguments, bootstrap=60))
    return results


def _ladder(results) -> tuple[LadderRow, ...]:
    adds = ("what everybody likes", "who asks and where", "interactions and recent behaviours", "the whole history")
    rows = []
    for k, name in enumerate(RUNGS):
        compared = [paired_difference(results[j], results[k]).overall["auc"] if k else None for j in (k - 1, 0, 0)]
        costs = (0.42, 12.34, 200.0, 754.0)[k], (1.25, 2.0, 7.89, 12.3)[k]
        rows.append(LadderRow(name, adds[k], results[k].overall.metrics(), *compared, *costs))
    return tuple(rows)


def _creatives(folder: Path) -> tuple[Creative, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    creatives = []
    for k in range(5):
        path = folder / f"{k}.png"
        Image.new("RGB", (320, 180 + 60 * k), ((60 * k) % 255, 120, 200)).save(path)
        creatives.append(Creative(path, f"素材 {k}", {"colour": "blue", "people": "no"}))
    missing = Creative(folder / "missing.mp4", HOSTILE, {"a": HOSTILE})
    return (*creatives, missing)


def _check() -> CheckReport:
    finding = Finding(
        "behaviours",
        "unknown_item",
        "item_id names no item",
        Outcome.QUARANTINED,
        1_234,
        (Example("behaviours.parquet", 17, HOSTILE),),
    )
    tables = (
        TableReport("users", 300, 300, 0),
        TableReport("behaviours", 1_000_000, 998_766, 1_234, (finding,)),
    )
    return CheckReport("small", simulated=True, tables=tables)


def _served() -> ServedExample:
    items = tuple(
        ServedItem(
            HOSTILE if k == 1 else f"应用 {k} · Puzzle Garden",
            "games > puzzle > match three",
            ("popular", "item_to_item", "neighbours")[k % 3],
            0.9 - k / 20,
            {"click": 0.2 - k / 100, "install": 0.031 - k / 1000, "pay": 0.00042},
        )
        for k in range(8)
    )
    return ServedExample(
        "42",
        SCENARIOS[0],
        ("clicked Chess Master 国际象棋", "installed Weather Now", HOSTILE),
        items,
        {"retrieve": 3.2, "features": 2.1, "rank": 8.4, "total": 14.2},
        50.0,
        {"user_id": 42, "scenario": SCENARIOS[0], "k": 8},
        {"items": [{"item_id": 7, "name": HOSTILE}]},
    )


def _sweep() -> Sweep:
    aucs = {0: 0.71, 8: 0.712, 32: 0.715, 128: 0.709}
    points = tuple(
        SweepPoint(
            width,
            Estimate(auc, auc - 0.004, auc + 0.004),
            Difference(aucs[0], auc, auc - aucs[0], auc - aucs[0] - 0.001, auc - aucs[0] + 0.001) if width else None,
            50_000,
        )
        for width, auc in aucs.items()
    )
    return Sweep("demo", True, HOSTILE, "dnn", "pca", 1.0, (7, 8), points)


def _alignment() -> AlignmentMap:
    apart = Plane(((0.0, 1.0), (1.0, 0.0)), ((-1.0, 0.5), (0.5, -1.0)), 0.0)
    near = Plane(((0.0, 1.0), (1.0, 0.0)), ((0.1, 1.0), (1.0, 0.1)), 1.0)
    return AlignmentMap("demo", True, "ctrl-dnn-align", ("100001", HOSTILE), apart, near)


def sample(folder: Path, rows: int = 6000) -> ReportData:
    """The report; pictures are made in `folder`."""
    results = _evaluations(rows)
    shape = {"popularity": [0.58], "lr": [0.6, 0.64, 0.65], "dnn": [0.62, 0.67, 0.69, 0.695, 0.694]}
    shape["hstu"] = [0.61, 0.68, 0.7, 0.709, 0.712, 0.713]
    return ReportData(
        title="From popularity to HSTU: the demo world",
        summary="A simulated app market, checked, sampled, trained on and served on one machine.",
        simulated=True,
        data=DataSummary(
            name="demo",
            users=2_000,
            items=1_234,
            exposures=345_678,
            behaviours=1_000_000,
            scenarios=len(SCENARIOS),
            splits={"train": 240_000, "valid": 35_678, "test": 70_000},
            objectives=tuple(
                ObjectiveCount(name, 345_678 - 1000 * k, 61_234 // (k + 1) ** 2) for k, name in enumerate(OBJECTIVES)
            ),
            period="2026-01-01 to 2026-02-28",
        ),
        ladder=_ladder(results),
        models=tuple(MeasuredModel(name, one) for name, one in zip(RUNGS, results, strict=False)),
        featured="hstu",
        made=Provenance(
            command="make demo",
            commit="0123456789ab",
            hardware="2 cores, 8 GB memory",
            seeds=(7,),
            date="2026-01-31",
            plait_version="0.1.0",
            stages={"simulate": 20.0, "check": 4.2, "train": 180.0},
            notes=("One seed: intervals are over users only.",),
        ),
        oracle=results[-1],
        check=_check(),
        curves=tuple(
            LearningCurve(name, tuple(CurvePoint(40_000 * (k + 1), 0.3 - auc / 10, auc) for k, auc in enumerate(aucs)))
            for name, aucs in shape.items()
        ),
        served=_served(),
        creatives=_creatives(folder),
        sweep=_sweep(),
        alignment=_alignment(),
    )
