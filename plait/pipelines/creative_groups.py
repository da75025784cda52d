"""Feature groups from creative profiles: `creative_fields`, and `creative_preference` of users for them."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.config import ObjectiveSettings, Workspace, nearest
from plait.data.artifacts import fingerprint_files
from plait.errors import ArtifactError, ConfigError
from plait.features.creative_fields import CREATIVE_FIELDS, attribute_names, creative_attributes, creative_fields
from plait.features.dataset import EncodedDataset
from plait.features.groups import FeatureGroup
from plait.features.preference import (
    CREATIVE_PREFERENCE,
    NEVER,
    Answer,
    CreativePreference,
    Shown,
    fit_priors,
    scaled,
    stops,
)
from plait.features.vocabulary import Vocabulary
from plait.pipelines.check import checked_tables
from plait.pipelines.project import Project
from plait.pipelines.understand import find_profiles
from plait.schema import Columns as C
from plait.schema import Split, TableName
from plait.telemetry import progress

_VERSION = 1
"""Raised when the meaning of a feature changes."""
_CHUNK = 4_096
_SCALE_SAMPLE = 100_000


def creative_fields_group(project: Project, encoded: Path) -> Path:
    """Fields of the creatives' profiles, for the encoded samples in a folder.

    Raises:
        ArtifactError: there are no profiles; `plait understand` was not run, or something has changed since.
    """
    source = profile_files(project)

    def make(out: Path) -> None:
        dataset = EncodedDataset.open(encoded)
        attributes = creative_attributes(pl.read_parquet(source), dataset.tables.creatives.ids)
        creative_fields(attributes, _seen(dataset), project.workspace.features.min_count).save(out)

    return project.store.build(f"features-{CREATIVE_FIELDS}", _inputs(project, encoded, source), make)


def creative_preference_group(project: Project, encoded: Path) -> Path:
    """What users' earlier exposures say about the attributes of a creative, for the encoded samples in a folder.

    Raises:
        ArtifactError: as `creative_fields_group`.
    """
    source, tables = profile_files(project), checked_tables(project)
    half_life, objective = project.workspace.creative.half_life, answer_objective(project.workspace)
    answer = Answer(objective.action, objective.window, objective.attribution == "last_touch", objective.min_value)
    min_count = project.workspace.features.min_count
    inputs = _inputs(project, encoded, source) | {
        "tables": tables.name,
        "answer": asdict(answer),
        "half_life": half_life,
    }

    def make(out: Path) -> None:
        dataset = EncodedDataset.open(encoded)
        attributes = creative_attributes(pl.read_parquet(source), dataset.tables.creatives.ids)
        answered_E = answered_at(dataset, tables, answer)
        codes_RA, names = _attribute_codes(attributes, _seen(dataset), min_count)
        preference_group(dataset, codes_RA, names, answered_E, answer, half_life=half_life).save(out)

    return project.store.build(f"features-{CREATIVE_PREFERENCE}", inputs, make)


def answer_objective(workspace: Workspace) -> ObjectiveSettings:
    """What counts as an answer to a creative: `[creative] answer`, else `click`, else the first objective.

    Raises:
        ConfigError: there is no such objective.
    """
    named = {objective.name: objective for objective in workspace.objectives}
    wanted = workspace.creative.answer
    if wanted is not None and wanted not in named:
        raise ConfigError(f"[creative] answer: there is no objective '{wanted}'{nearest(wanted, list(named))}")
    return named.get(wanted or "click", workspace.objectives[0])


def answered_at(dataset: EncodedDataset, tables: Path, answer: Answer) -> NDArray[np.int64]:
    """When each exposure's first answer became available, epoch milliseconds; `NEVER` where none came.

    A behaviour belongs to the exposure that it names, or (for `last_touch`) to its user's latest one of its item; it
    counts within the objective's window. That the funnel's steps before it were taken is not asked for.
    """
    arrays = dataset.arrays
    exposures = pl.DataFrame(
        {
            "exposure": dataset.exposure_ids(np.arange(len(dataset))),
            "row": np.arange(len(dataset)),
            "user": np.asarray(arrays.user_E),
            "item": np.asarray(arrays.item_E),
            "time": np.asarray(arrays.time_E),
        }
    )
    answers = _answers(dataset, tables, answer, exposures.schema["exposure"])
    found = answers.join(exposures, on="exposure", how="inner").filter(pl.col("user") == pl.col("by_user"))
    if answer.last_touch:
        loose = answers.filter(pl.col("exposure").is_null()).sort("at")
        touched = loose.join_asof(
            exposures.sort("time", "row"),
            left_on="at",
            right_on="time",
            by_left=["by_user", "of_item"],
            by_right=["user", "item"],
            coalesce=False,
            check_sortedness=False,
        )
        found = pl.concat([found.select(_FOUND), touched.filter(pl.col("row").is_not_null()).select(_FOUND)])
    delay = pl.col("at") - pl.col("time")
    first = found.filter(delay.is_between(0, answer.window)).group_by("row").agg(pl.col("available").min())
    answered_E = np.full(len(dataset), NEVER)
    answered_E[first["row"].to_numpy()] = first["available"].to_numpy()
    return answered_E


_FOUND = ("row", "time", "at", "available")


def preference_group(
    dataset: EncodedDataset,
    codes_RA: NDArray[np.int32],
    names: list[str],
    answered_E: NDArray[np.int64],
    answer: Answer,
    *,
    half_life: float,
) -> FeatureGroup:
    """The group `creative_preference`: priors of the training window, and the numbers of every exposure.

    Args:
        dataset: the encoded samples.
        codes_RA: attributes by row of the creatives.
        names: of the attributes.
        answered_E: of `answered_at`.
        answer: what was counted as one.
        half_life: milliseconds after which an exposure weighs half.
    """
    arrays, rows_E = dataset.arrays, np.arange(len(dataset))
    user_E = dataset.user_rows(rows_E)
    item_E, creative_E = np.asarray(arrays.item_E), np.asarray(arrays.creative_E)
    shown = Shown(item_E, creative_E, dataset.scenarios(rows_E), dataset.times(rows_E), answered_E)
    train_E = np.zeros(len(dataset), np.bool_)
    train_E[dataset.rows(Split.TRAIN)] = True
    priors = fit_priors(
        codes_RA,
        shown,
        user_E,
        train_E,
        scenarios=len(dataset.spec.scenarios),
        half_life=half_life,
        names=names,
    )
    raw = CreativePreference(codes_RA, priors, answer)
    start_E, stop_E = stops(user_E, shown.time_N)

    def numbers(rows_B: NDArray[np.int64]) -> NDArray[np.float64]:
        codes_BA = codes_RA[shown.creative_N[rows_B]]
        return raw.raw(shown, start_E[rows_B], stop_E[rows_B], shown.time_N[rows_B], codes_BA)

    raw_EG = _in_chunks(numbers, rows_E, len(names) + 1)
    train = np.flatnonzero(train_E)
    sample = train[:: max(len(train) // _SCALE_SAMPLE, 1)]
    preference = CreativePreference(codes_RA, replace(priors, numbers=scaled(priors.numbers, raw_EG[sample])), answer)
    return FeatureGroup(
        CREATIVE_PREFERENCE,
        numbers=preference.numbers,
        preference=preference,
        answered_E=answered_E,
        preference_EG=preference.standardised(raw_EG),
    )


def _in_chunks(numbers: Any, rows_E: NDArray[np.int64], width: int) -> NDArray[np.float64]:
    raw_EG = np.empty((len(rows_E), width))
    starts = range(0, len(rows_E), _CHUNK)
    with progress("creative preferences", len(starts)) as advance:
        for start in starts:
            raw_EG[start : start + _CHUNK] = numbers(rows_E[start : start + _CHUNK])
            advance()
    return raw_EG


def _answers(dataset: EncodedDataset, tables: Path, answer: Answer, exposure_type: pl.DataType) -> pl.DataFrame:
    """Behaviours that could be answers: `exposure`, `by_user`, `of_item` (rows), `at` and `available`."""
    scan = pl.scan_parquet(tables / TableName.BEHAVIOURS / "*.parquet")
    present = scan.collect_schema().names()
    null = pl.lit(None)
    received = pl.col(C.RECEIVED_TIME) if C.RECEIVED_TIME in present else null.cast(pl.Int64)
    exposure = pl.col(C.EXPOSURE_ID) if C.EXPOSURE_ID in present else null
    wanted = pl.col(C.ACTION).cast(pl.String) == answer.action
    if answer.min_value is not None:
        wanted &= pl.col(C.VALUE) >= answer.min_value
    found = (
        scan.filter(wanted)
        .select(
            C.USER_ID,
            C.ITEM_ID,
            exposure.cast(exposure_type, strict=False).alias("exposure"),
            pl.col(C.TIME).alias("at"),
            pl.max_horizontal(C.TIME, received).alias("available"),
        )
        .collect()
    )
    by_user = pl.Series("by_user", dataset.tables.users.ids.encode(found[C.USER_ID]))
    of_item = pl.Series("of_item", dataset.tables.items.ids.encode(found[C.ITEM_ID]))
    return found.with_columns(by_user, of_item).drop(C.USER_ID, C.ITEM_ID)


def _attribute_codes(
    attributes: pl.DataFrame, seen_R: NDArray[np.int64], min_count: int
) -> tuple[NDArray[np.int32], list[str]]:
    """Codes of every attribute by row of the creatives; of the key words, the first one."""
    words = "text_key_words"
    if words in attributes.columns:
        attributes = attributes.with_columns(pl.col(words).list.first().alias("key_word"))
    names = [*attribute_names(attributes), *(["key_word"] if words in attributes.columns else [])]
    codes = [Vocabulary.fit(attributes[name], seen_R, min_count).encode(attributes[name]) for name in names]
    return np.stack(codes, axis=1) if codes else np.zeros((len(attributes), 0), np.int32), names


def _seen(dataset: EncodedDataset) -> NDArray[np.int64]:
    """How many training exposures show each creative."""
    rows_B = dataset.creative_rows(dataset.rows(Split.TRAIN))
    return np.bincount(rows_B, minlength=len(dataset.tables.creatives)).astype(np.int64)


def profile_files(project: Project) -> list[Path]:
    """The files of the profile table: the workspace's own, else what `plait understand` wrote.

    Raises:
        ArtifactError: there are none.
    """
    own = project.workspace.creative.profiles
    if TableName.CREATIVES not in project.workspace.tables:
        raise ArtifactError(f"{project.root}: the workspace has no creatives; declare [tables.creatives] in plait.toml")
    files = sorted(project.root.glob(own)) if own is not None else sorted(find_profiles(project).glob("part-*.parquet"))
    if not files:
        raise ArtifactError(f"{project.root}: [creative] profiles = '{own}' names no file")
    return files


def _inputs(project: Project, encoded: Path, source: list[Path]) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "encoded": encoded.name,
        "profiles": fingerprint_files(source),
        "min_count": project.workspace.features.min_count,
    }
