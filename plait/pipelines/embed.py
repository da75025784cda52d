"""The embedding stage: users' behaviour and items as text, encoded by a frozen model and kept as vectors."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait import seeding
from plait.data.arrays import load_arrays, save_arrays
from plait.data.artifacts import write_atomically
from plait.embedding.catalogue import Key, read_catalogue, read_creatives, read_profiles
from plait.embedding.events import TextEvents, read_events, text_actions
from plait.embedding.snapshots import Snapshots, joined, last_snapshots, seen_snapshots
from plait.embedding.templates import TextTemplates
from plait.embedding.user_text import UserTexts
from plait.errors import ArtifactError, DataError
from plait.features.vocabulary import Vocabulary
from plait.llm.encode import TextEncoder, encode_texts
from plait.llm.encoders import open_encoder
from plait.llm.vector_cache import VectorCache
from plait.pipelines.check import checked_tables
from plait.pipelines.creative_groups import profile_files
from plait.pipelines.project import Project
from plait.pipelines.samples import built_samples
from plait.schema import Columns as C
from plait.schema import CreativeProfile, Split
from plait.telemetry import progress

WordsT = TypeVar("WordsT")

_VERSION = 1
"""Raised when the same inputs give other texts or snapshots."""
_USERS, _ITEMS = "user_vectors", "item_vectors"
_RECORD = "embedding.json"
_HINT = "run `plait embed` first"


@dataclass(frozen=True)
class UserVectors:
    """R snapshots of users, of M distinct texts."""

    users: pl.Series
    """Ids."""
    user_R: NDArray[np.int64]
    """Place in `users`."""
    time_R: NDArray[np.int64]
    """Used strictly after; epoch milliseconds."""
    text_R: NDArray[np.int64]
    """Row of each one's vector."""
    training_R: NDArray[np.bool_]
    """Whether an exposure of the training split sees it: what reductions are fitted on."""
    vectors_MD: NDArray[np.float32]


@dataclass(frozen=True)
class ItemVectors:
    """One vector per item."""

    items: pl.Series
    """Ids."""
    vectors_VD: NDArray[np.float32]


@dataclass(frozen=True)
class TextDesk:
    """Everything that texts of one workspace are made of."""

    project: Project
    templates: TextTemplates
    events: TextEvents
    texts: UserTexts

    @classmethod
    def open(cls, project: Project) -> "TextDesk":
        """Read catalogue, profiles and behaviour; samples are built first where they are not."""
        settings, tables = project.workspace.embedding, checked_tables(project)
        templates, catalogue = workspace_templates(project), read_catalogue(tables, settings.language)
        actions = text_actions(project.workspace)
        events = read_events(built_samples(project), catalogue, actions)
        profiles = read_profiles(tables, project.workspace)
        return cls(
            project, templates, events, UserTexts(settings, templates, catalogue, profiles, list(actions.values()))
        )

    def compose(self, snapshots: Snapshots) -> list[str]:
        """The text of every snapshot."""
        rows = zip(snapshots.user_R.tolist(), snapshots.known_R.tolist(), snapshots.time_R.tolist(), strict=True)
        made = []
        with progress("composing texts", len(snapshots)) as advance:
            for user, known, time in rows:
                made.append(self.texts.at(self.events, user, known, time))
                advance()
        return made

    def text_of(self, user_id: str, at: int | None = None) -> str:
        """The text of one user as it was known at a time; None: as all of the log has it.

        Raises:
            DataError: there is no such user.
        """
        places = {str(user): place for place, user in enumerate(self.events.users)}
        if user_id not in places:
            raise DataError(f"user {user_id!r} has neither exposures nor behaviour in the samples; check the id")
        user = np.array([places[user_id]])
        time = at if at is not None else int(self.events.available_N.max(initial=0)) + 1
        known = int(self.events.known_before(user, np.array([time]))[0])
        return self.texts.at(self.events, int(user[0]), known, time)


def item_text(project: Project, item_id: str) -> str:
    """The text of one item.

    Raises:
        DataError: there is no such item.
    """
    catalogue = read_catalogue(checked_tables(project), project.workspace.embedding.language)
    by_name = dict(zip(map(str, catalogue.rows), catalogue.words, strict=True))
    return workspace_templates(project).item(_named(by_name, item_id, "item"))


def creative_text(project: Project, creative_id: str) -> str:
    """The text of one creative, with what `plait understand` found where it was run.

    Raises:
        DataError: there is no such creative.
    """
    language, tables = project.workspace.embedding.language, checked_tables(project)
    creatives = read_creatives(tables, read_catalogue(tables, language), _profiles(project), language)
    by_name = {str(key): words for key, words in creatives.items()}
    return workspace_templates(project).creative(_named(by_name, creative_id, "creative"))


def _profiles(project: Project) -> dict[Key, CreativeProfile]:
    """What is understood of the creatives; nothing where that stage was not run."""
    try:
        files = profile_files(project)
    except ArtifactError:
        return {}
    rows = pl.read_parquet(files).iter_rows(named=True)
    return {row[C.CREATIVE_ID]: CreativeProfile.from_row(row) for row in rows}


def _named(words: Mapping[str, WordsT], key: str, kind: str) -> WordsT:
    if key not in words:
        raise DataError(f"there is no {kind} {key!r} in the tables; check the id")
    return words[key]


def workspace_templates(project: Project) -> TextTemplates:
    """The templates that the workspace asks for."""
    settings = project.workspace.embedding
    return TextTemplates(settings.language, project.root / settings.templates if settings.templates else None)


@dataclass(frozen=True, slots=True)
class Embedded:
    """What `plait embed` made."""

    users: Path
    items: Path | None
    encoder: str
    snapshots: int
    texts: int
    width: int


def build_embeddings(project: Project, *, items: bool = True) -> Embedded:
    """Encode the snapshots of users that samples and servers see, and all items; what is there is not made again.

    Args:
        project: the workspace.
        items: False to leave the items out.

    Raises:
        ConfigError: the encoder is not installed or cannot be loaded, or a template is wrong.
    """
    encoder = open_encoder(project.workspace.embedding.encoder, project.root)
    templates = workspace_templates(project)
    inputs = _inputs(project, templates) | {"encoder": [encoder.name, encoder.version, encoder.width]}
    users = project.store.build(_USERS, inputs, lambda out: _make_users(project, encoder, out))
    of_items = None
    if items:
        of_items = project.store.build(_ITEMS, inputs, lambda out: _make_items(project, encoder, out))
    write_atomically(project.hidden / _RECORD, json.dumps(inputs, indent=1, ensure_ascii=False))
    made = _read_users(users)
    return Embedded(users, of_items, encoder.name, len(made.user_R), len(made.vectors_MD), encoder.width)


def snapshot_texts(project: Project, users: UserVectors) -> list[str]:
    """The texts behind the vectors of users, composed again: they are not kept."""
    desk = TextDesk.open(project)
    _, first_M = np.unique(users.text_R, return_index=True)
    user_M, time_M = users.user_R[first_M], users.time_R[first_M]
    return desk.compose(Snapshots(user_M, desk.events.known_before(user_M, time_M), time_M))


def item_texts(project: Project) -> tuple[list[Key], list[str]]:
    """Ids of the items, and the texts behind their vectors."""
    catalogue = read_catalogue(checked_tables(project), project.workspace.embedding.language)
    templates = workspace_templates(project)
    return list(catalogue.rows), [templates.item(words) for words in catalogue.words]


@contextmanager
def passing_embeddings(project: Project) -> Iterator[None]:
    """What is embedded within counts within; afterwards, whatever was embedded last before."""
    record = project.hidden / _RECORD
    before = record.read_text(encoding="utf-8") if record.exists() else None
    try:
        yield
    finally:
        if before is None:
            record.unlink(missing_ok=True)
        else:
            write_atomically(record, before)


def encode_kept(project: Project, encoder: TextEncoder, texts: Sequence[str], label: str) -> NDArray[np.float32]:
    """Vectors of texts, those of the workspace's cache not made again."""
    folder = project.hidden / "vectors"
    with VectorCache.of(folder, encoder.name, encoder.version, encoder.width) as cache:
        return encode_texts(encoder, texts, cache, label=label)


def user_vectors(project: Project) -> tuple[Path, UserVectors]:
    """What the last `plait embed` made of users, and its folder.

    Raises:
        ArtifactError: it was not run, or samples, tables, settings or templates have changed since.
    """
    folder = _built(project, _USERS)
    return folder, _read_users(folder)


def item_vectors(project: Project) -> tuple[Path, ItemVectors]:
    """What the last `plait embed` made of items, and its folder; raises as `user_vectors`."""
    folder = _built(project, _ITEMS)
    return folder, _read_items(folder)


def item_texts_by_row(project: Project, ids: Vocabulary) -> tuple[str, NDArray[np.float32]] | None:
    """What the last `plait embed` made of items: a name for it, and the vectors by row; None where there was none.

    It does not matter whether the log has grown since: items that are new have no vector yet.
    """
    try:
        folder = project.store.find(_ITEMS, _record(project), _HINT)
    except ArtifactError:
        return None
    items = _read_items(folder)
    rows_V = ids.encode(items.items)
    vectors_RD = np.zeros((ids.size, items.vectors_VD.shape[1]), np.float32)
    vectors_RD[rows_V[rows_V > 0]] = items.vectors_VD[rows_V > 0]
    return folder.name, vectors_RD


def embedding_encoder(project: Project) -> str:
    """The name of the encoder that the last `plait embed` ran."""
    return str(_record(project)["encoder"][0])


def _make_users(project: Project, encoder: TextEncoder, out: Path) -> None:
    desk = TextDesk.open(project)
    every, most = project.workspace.embedding.every, project.workspace.embedding.users
    user_B, time_B, training_B = _exposures(built_samples(project), desk.events.users)
    if most is not None:
        drawn_U = seeding.generator(project.workspace.seed, "embedded users").permutation(len(desk.events.users))[:most]
        kept_B = np.isin(user_B, drawn_U)
        user_B, time_B, training_B = user_B[kept_B], time_B[kept_B], training_B[kept_B]
    snapshots, seen_B = seen_snapshots(desk.events, user_B, time_B, every)
    if most is None:
        snapshots = joined(snapshots, last_snapshots(desk.events, every))
    training_R = np.zeros(len(snapshots), np.bool_)
    training_R[seen_B[training_B & (seen_B >= 0)]] = True
    texts = desk.compose(snapshots)
    distinct = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    save_arrays(
        out,
        user=snapshots.user_R,
        time=snapshots.time_R,
        training=training_R,
        text=np.array([distinct[text] for text in texts], np.int64),
        vectors=encode_kept(project, encoder, list(distinct), "users"),
    )
    pl.Series("user_id", desk.events.users).to_frame().write_parquet(out / "ids.parquet")


def _make_items(project: Project, encoder: TextEncoder, out: Path) -> None:
    items, texts = item_texts(project)
    save_arrays(out, vectors=encode_kept(project, encoder, texts, "items"))
    pl.Series("item_id", items).to_frame().write_parquet(out / "ids.parquet")


def _exposures(samples: Path, users: Sequence[Key]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """User (as a place in `users`), time, and whether it trains, of every exposure."""
    frame = pl.read_parquet(samples / "exposures" / "part-*.parquet", columns=[C.USER_ID, C.TIME, C.SPLIT])
    places = pl.DataFrame({C.USER_ID: users, "place": np.arange(len(users))})
    found = frame.join(places, on=C.USER_ID, how="left", maintain_order="left")
    training_B = (found[C.SPLIT] == Split.TRAIN.value).to_numpy()
    return found["place"].to_numpy(), found[C.TIME].to_numpy(), training_B


def _inputs(project: Project, templates: TextTemplates) -> dict[str, Any]:
    settings = project.workspace.embedding.model_dump(mode="json", exclude={"width", "reduction"}, exclude_none=True)
    return {
        "version": _VERSION,
        "samples": built_samples(project).name,
        "tables": checked_tables(project).name,
        "settings": settings,
        "actions": text_actions(project.workspace),
        "templates": templates.fingerprint,
    }


def _record(project: Project) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((project.hidden / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{project.root}: there are no vectors of users and items; {_HINT}") from error
    return record


def _built(project: Project, stage: str) -> Path:
    record = _record(project)
    now = _inputs(project, workspace_templates(project)) | {"encoder": record.get("encoder")}
    return project.store.find(stage, now, _HINT)


def _read_users(folder: Path) -> UserVectors:
    arrays = load_arrays(folder, "user", "time", "text", "training", "vectors")
    return UserVectors(
        users=pl.read_parquet(folder / "ids.parquet").to_series(),
        user_R=arrays["user"],
        time_R=arrays["time"],
        text_R=arrays["text"],
        training_R=arrays["training"],
        vectors_MD=arrays["vectors"],
    )


def _read_items(folder: Path) -> ItemVectors:
    vectors_VD = load_arrays(folder, "vectors")["vectors"]
    return ItemVectors(pl.read_parquet(folder / "ids.parquet").to_series(), vectors_VD)
