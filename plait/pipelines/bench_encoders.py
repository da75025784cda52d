"""One ranker with the user embedding of several encoders, large language models among them, on a part of the users."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from plait.config.durations import parse_duration
from plait.config.embedding import EncoderKind, EncoderSettings
from plait.errors import ConfigError
from plait.features.dataset import EncodedDataset
from plait.llm.encoders import open_encoder
from plait.pipelines.embed import TextDesk, build_embeddings, passing_embeddings, user_vectors
from plait.pipelines.embedding_groups import USER_EMBEDDING
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.project import Project
from plait.pipelines.recipe_table import TableRow, gains, quality, table_row
from plait.pipelines.results import Metric, write_result

_LARGE: tuple[EncoderKind, ...] = ("causal", "gguf")
"""Kinds whose vectors are a large language model's; the others are called encoders."""
_TIMED = 16
"""Texts that an encoder's speed is measured on."""


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """What `plait bench encoders` can be asked for."""

    encoders: Sequence[str]
    """Each `KIND` or `KIND:MODEL`, as `[embedding.encoder]` calls them; later ones are compared with the first."""
    users: int = 2_000
    every: str = "1d"
    items: int = 8
    max_characters: int = 600
    recipe: str = "dnn"
    seeds: Sequence[int] = (1, 2, 3)
    bootstrap: int = 200
    name: str = "llm_rung"
    write: bool = True


def measure_encoders(project: Project, options: EncoderOptions) -> tuple[dict[str, Metric], Path | None]:
    """Encode the same texts with every encoder, train the ranker on each and without, measure these users' test rows.

    Raises:
        ConfigError: an encoder is unknown, or cannot be loaded.
    """
    asked = [_settings(one) for one in options.encoders]
    dataset = EncodedDataset.open(encoded_dataset(project))
    rows: dict[str, TableRow] = {}
    metrics: dict[str, Metric] = {}
    with passing_embeddings(project):
        for encoder in asked:
            other = _with_encoder(project, encoder, options)
            made = build_embeddings(other, items=False)
            slices = {"chosen": np.isin(dataset.user_rows(np.arange(len(dataset))), _rows_of_users(other, dataset))}
            if not rows:
                metrics |= {"users": Metric(options.users), "texts": Metric(made.texts)}
                rows["without"] = _of(project, "bench", None, slices, options)
            key = f"{'llm' if encoder.kind in _LARGE else 'encoder'}.{made.encoder}"
            reads = {"features": {"use": [USER_EMBEDDING]}}
            rows[key] = _of(other, f"encoders-{encoder.kind}", reads, slices, options)
            metrics[f"{key}.ms_per_text"] = Metric(_speed_ms(other, encoder), unit="ms")
    first = list(rows)[1]
    for key, row in rows.items():
        metrics |= quality(key, row)
        if key != "without":
            metrics |= gains(key, rows["without"], row)
        if key not in ("without", first):
            metrics[f"{key}.gain_over_encoder"] = gains(key, rows[first], row)[f"{key}.gain"]
    if not options.write:
        return metrics, None
    return metrics, _written(project, options, metrics, rows)


def _settings(asked: str) -> EncoderSettings:
    kind, _, model = asked.partition(":")
    if kind not in get_args(EncoderKind):
        raise ConfigError(f"--encoder {asked}: found kind '{kind}', expected one of {', '.join(get_args(EncoderKind))}")
    return EncoderSettings.model_validate({"kind": kind, "model": model})


def _with_encoder(project: Project, encoder: EncoderSettings, options: EncoderOptions) -> Project:
    embedding = project.workspace.embedding.model_copy(
        update={
            "encoder": encoder,
            "users": options.users,
            "every": parse_duration(options.every),
            "items": options.items,
            "max_characters": options.max_characters,
        }
    )
    return replace(project, workspace=project.workspace.model_copy(update={"embedding": embedding}))


def _rows_of_users(project: Project, dataset: EncodedDataset) -> NDArray[np.int32]:
    """Rows of the users that have vectors."""
    _, vectors = user_vectors(project)
    return dataset.tables.users.ids.encode(vectors.users)[np.unique(vectors.user_R)]


def _of(
    project: Project,
    prefix: str,
    overrides: Mapping[str, Any] | None,
    slices: Mapping[str, NDArray[np.bool_]],
    options: EncoderOptions,
) -> TableRow:
    """The recipe over all seeds, measured on the chosen users' test exposures only."""
    row = table_row(
        project,
        options.recipe,
        seeds=options.seeds,
        bootstrap=options.bootstrap,
        overrides=overrides,
        prefix=prefix,
        slices=slices,
    )
    return replace(row, whole=row.slices["chosen"], slices={})


def _speed_ms(project: Project, encoder: EncoderSettings) -> float:
    """Time of one text, over some that stand at equal distances among all."""
    desk, model = TextDesk.open(project), open_encoder(encoder, project.root)
    users = [str(user) for user in desk.events.users[:: max(1, len(desk.events.users) // _TIMED)]][:_TIMED]
    texts = [desk.text_of(user) for user in users]
    model.encode(texts[:1])
    started = time.perf_counter()
    model.encode(texts)
    return (time.perf_counter() - started) / len(texts) * 1e3


def _written(
    project: Project, options: EncoderOptions, metrics: Mapping[str, Metric], rows: Mapping[str, TableRow]
) -> Path:
    asked = [f"--encoder {Path(one).name if '/' in one else one}" for one in options.encoders]
    asked += [f"--seeds {seed}" for seed in options.seeds]
    budget = f"--users {options.users} --every {options.every} --items {options.items} "
    budget += f"--characters {options.max_characters} --recipe {options.recipe}"
    made_up = " (simulated)" if project.workspace.simulated else ""
    test = rows["without"].whole[0].rows
    return write_result(
        options.name,
        command=f"plait bench encoders -w {project.root.name} {' '.join(asked)} {budget} --name {options.name}",
        data=f"{project.workspace.name}{made_up}: {test:,} test exposures of {options.users:,} users",
        seeds=options.seeds,
        metrics=metrics,
        notes=(
            f"Recipe {options.recipe} with and without the user embedding: texts of {options.users:,} users drawn by "
            f"seed, a snapshot every {options.every}, at most {options.max_characters} characters; other users have "
            "none. llm: hidden states "
            "of a causal language model; encoder: a sentence encoder. gain: paired difference of AUC to without; "
            "gain_over_encoder: to the first encoder. Intervals: 95 %, over resampled users and, with several seeds, "
            "over seeds. ms_per_text: of encoding, with the cores that the process had."
        ),
    )
