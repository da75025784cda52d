"""Exposures as text vectors: what `plait embed` made of users and items, beside the exposures' contexts in words."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait.data.arrays import load_arrays, save_arrays
from plait.embedding.sample_texts import SampleTexts, TextPart
from plait.embedding.token_states import read_states, write_states
from plait.errors import ConfigError
from plait.features.dataset import EncodedDataset
from plait.llm.encoders import open_encoder
from plait.llm.tunable import open_tunable
from plait.models.config import AlignmentConfig
from plait.pipelines.embed import UserVectors, encode_kept, item_texts, item_vectors, snapshot_texts, user_vectors
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.project import Project
from plait.pipelines.samples import built_samples
from plait.schema import Meaning, TableName

_PARTS = ("user", "item", "context")
_VERSION = 2


def sample_texts(project: Project) -> Path:
    """The folder with the text vectors of all exposures, in the order of the encoded samples; made now if need be.

    An exposure's user text is the latest snapshot from before it, and its context text names the exposure's columns
    that mean `category`.

    Raises:
        ArtifactError: `plait embed` was not run, or something has changed since.
    """
    users, of_users = user_vectors(project)
    items, of_items = item_vectors(project)
    encoded, columns = encoded_dataset(project), _context_columns(project)
    inputs = {
        "version": _VERSION,
        "users": users.name,
        "items": items.name,
        "encoded": encoded.name,
        "context": columns,
    }

    def make(out: Path) -> None:
        dataset = EncodedDataset.open(encoded)
        rows_V = dataset.tables.items.ids.encode(of_items.items)
        place_R = np.full(len(dataset.tables.items), -1)
        place_R[rows_V] = np.arange(len(rows_V))
        place_R[0] = -1
        parts = {
            "user": TextPart.of(of_users.vectors_MD, seen_texts(dataset, of_users)),
            "item": TextPart.of(of_items.vectors_VD, place_R[dataset.item_rows(np.arange(len(dataset)))]),
        }
        if columns:
            parts["context"] = _context_part(project, columns)
        for name, part in parts.items():
            save_arrays(out, **{f"{name}_vectors": part.vectors_MW, f"{name}_rows": part.row_E})
            save_arrays(out, **{f"{name}_sources": part.source_M})

    return project.store.build("sample-texts", inputs, make)


def load_sample_texts(folder: Path) -> SampleTexts:
    """What `sample_texts` made.

    Raises:
        ArtifactError: a file is damaged.
    """
    present = [name for name in _PARTS if (folder / f"{name}_rows.npy").exists()]
    kinds = ("vectors", "rows", "sources")
    arrays = load_arrays(folder, *(f"{name}_{kind}" for name in present for kind in kinds))
    parts = {name: [arrays[f"{name}_{kind}"] for kind in kinds] for name in present}
    return SampleTexts({name: TextPart(vectors, rows, sources) for name, (vectors, rows, sources) in parts.items()})


def aligned_texts(project: Project, align: AlignmentConfig) -> tuple[Path, SampleTexts]:
    """What stage one of CTRL reads: the folder of derived data, and the texts of all exposures.

    Where the encoder's last layers learn, states from below them stand in for the vectors of the parts that they read;
    they are made now if need be.

    Raises:
        ArtifactError: as `sample_texts`.
        ConfigError: the encoder's layers are out of reach, or the workspace has none of the parts.
    """
    plain = sample_texts(project)
    texts = load_sample_texts(plain)
    if not align.tuned_layers:
        return plain, texts
    encoder = open_tunable(project.workspace.embedding.encoder, align.tuned_layers, project.root)
    names = _tuned_parts(texts, align)
    inputs = {
        "version": 1,
        "texts": plain.name,
        "encoder": [encoder.name, encoder.version],
        "layers": align.tuned_layers,
        "parts": names,
    }

    def make(out: Path) -> None:
        for name in names:
            every = _texts_of(project, name)
            chosen = [every[row] for row in texts.parts[name].source_M[1:].tolist()]
            write_states(out, name, chosen, encoder, align.tuned_layers)

    folder = project.store.build("token-states", inputs, make)
    parts = dict(texts.parts)
    for name in names:
        states = read_states(folder, name, len(parts[name].vectors_MW) - 1)
        parts[name] = replace(parts[name], states=states)
    return folder, SampleTexts(parts)


def _tuned_parts(texts: SampleTexts, align: AlignmentConfig) -> list[str]:
    present = [name for name, part in texts.parts.items() if len(part.vectors_MW) > 1]  # row 0 is no text
    found: list[str] = [name for name in present if name in align.tuned_parts]
    if not found:
        raise ConfigError(
            f"align.tuned_parts is {align.tuned_parts}: samples of this workspace have the parts {present}"
        )
    return found


def _texts_of(project: Project, part: str) -> list[str]:
    """All texts that a part was made of, in the order of its sources."""
    if part == "user":
        return snapshot_texts(project, user_vectors(project)[1])
    if part == "item":
        return item_texts(project)[1]
    return _contexts(project, _context_columns(project))[0]


def seen_texts(dataset: EncodedDataset, users: UserVectors) -> NDArray[np.int64]:
    """Row of the text of the last snapshot strictly before each exposure, -1 where there is none."""
    rows_B = np.arange(len(dataset))
    user_R = dataset.tables.users.ids.encode(users.users)[users.user_R].astype(np.int64)
    order_R = np.lexsort((users.time_R, user_R))
    users_B, times_B = dataset.user_rows(rows_B), dataset.times(rows_B)
    first_B = np.searchsorted(user_R[order_R], users_B, side="left")
    # Among all snapshots and exposures by user and time, exposures first where both fall on one moment.
    user_S, time_S = np.concatenate([users_B, user_R]), np.concatenate([times_B, users.time_R])
    is_snapshot_S = np.repeat([False, True], [len(users_B), len(user_R)])
    order_S = np.lexsort((is_snapshot_S, time_S, user_S))
    before_S = np.empty(len(order_S), np.int64)
    before_S[order_S] = np.cumsum(is_snapshot_S[order_S])
    before_B = before_S[: len(users_B)]
    texts_R = users.text_R[order_R]
    return np.where(before_B > first_B, texts_R[np.maximum(before_B - 1, 0)], -1)


def context_texts(frame: pl.DataFrame) -> pl.Series:
    """`weather: sunny, place: home`: what each row's columns say, empty values left out."""
    said = [pl.format("{}: {}", pl.lit(name), pl.col(name).cast(pl.String)) for name in frame.columns]
    return frame.select(pl.concat_str(said, separator=", ", ignore_nulls=True)).to_series()


def _context_columns(project: Project) -> Sequence[str]:
    meanings = project.workspace.tables[TableName.EXPOSURES].columns
    return [name for name, meaning in meanings.items() if meaning is Meaning.CATEGORY]


def _context_part(project: Project, columns: Sequence[str]) -> TextPart:
    distinct, row_E = _contexts(project, columns)
    encoder = open_encoder(project.workspace.embedding.encoder, project.root)
    return TextPart.of(encode_kept(project, encoder, distinct, "contexts"), row_E)


def _contexts(project: Project, columns: Sequence[str]) -> tuple[list[str], NDArray[np.integer]]:
    """The distinct texts of the exposures' contexts, and which each exposure has."""
    files = sorted((built_samples(project) / "exposures").glob("part-*.parquet"))
    texts = context_texts(pl.concat([pl.read_parquet(file, columns=list(columns)) for file in files]))
    distinct = texts.unique(maintain_order=True)
    return distinct.to_list(), texts.cast(pl.Enum(distinct)).to_physical().to_numpy()
