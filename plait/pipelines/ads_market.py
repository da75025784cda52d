"""Requests for ads of a simulated market, each with many ads that could be shown, and what would come of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from plait import seeding
from plait.ads import Outcome
from plait.errors import DataError
from plait.features.dataset import EncodedDataset
from plait.features.history import WINDOW
from plait.features.online import OnlineFeatures
from plait.features.preference import WINDOW as SHOWN
from plait.models.loading import load_model
from plait.models.ranker import SplitRanker
from plait.pipelines.check import checked_tables
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.evaluate import registered_dataset
from plait.pipelines.feature_groups import registered_groups
from plait.pipelines.models import model_registry
from plait.pipelines.oracle import has_oracle
from plait.pipelines.project import Project
from plait.schema import Columns as C
from plait.schema import Split
from plait.serving.scoring import TorchScorer
from plait.serving.split_scoring import SplitScorer
from plait.simulation.catalogue import FIRST_CREATIVE, FIRST_ITEM
from plait.simulation.generate import open_world
from plait.simulation.outcomes import calibrate
from plait.simulation.replay import ChunkReplay, Proposals
from plait.simulation.scenarios import load_scenarios
from plait.telemetry import progress


@dataclass(frozen=True, slots=True)
class _Part:
    """The requests of one chunk of users."""

    replay: ChunkReplay
    proposals: Proposals
    true_RKT: NDArray[np.float64]
    """In the first slot."""


@dataclass(frozen=True)
class AdsMarket:
    """R logged requests for ads of the test window, each with K ads that the logging policy might have shown.

    Objectives are those of the workspace, in its order.
    """

    dataset: EncodedDataset
    parts: Sequence[_Part]
    row_R: NDArray[np.int64]
    """The dataset's row of each request's first logged exposure: user, time, scenario and history are its."""
    item_RK: NDArray[np.int64] = field(init=False)
    """Item ids, integers as the market has them."""
    creative_RK: NDArray[np.int64] = field(init=False)
    true_RKT: NDArray[np.float64] = field(init=False)
    """True probabilities if the ad stands in the first slot."""

    def __post_init__(self) -> None:
        proposals = [part.proposals for part in self.parts]
        object.__setattr__(self, "item_RK", np.concatenate([one.item_RK for one in proposals]) + FIRST_ITEM)
        object.__setattr__(self, "creative_RK", np.concatenate([one.creative_RK for one in proposals]) + FIRST_CREATIVE)
        object.__setattr__(self, "true_RKT", np.concatenate([part.true_RKT for part in self.parts]))

    def user_R(self) -> NDArray[np.int64]:
        """Rows of the users."""
        return self.dataset.user_rows(self.row_R)

    def true_of(self, outcome: Outcome, objective_RS: NDArray[np.int64]) -> NDArray[np.float64]:
        """`[R, S]`: the true probability of an objective for each slot's ad in its slot; 0 for an empty slot."""
        parts, first = [], 0
        slots = outcome.winner_RS.shape[1]
        for part in self.parts:
            rows = slice(first, first + len(part.proposals.request_R))
            first = rows.stop
            winner_RS = np.maximum(outcome.winner_RS[rows], 0)
            item_RS, creative_RS = (
                np.take_along_axis(each, winner_RS, axis=1)
                for each in (part.proposals.item_RK, part.proposals.creative_RK)
            )
            request_N = np.repeat(part.proposals.request_R, slots)
            position_N = np.tile(np.arange(slots), len(winner_RS))
            true_NT = part.replay.probabilities(request_N, item_RS.ravel(), creative_RS.ravel(), position_N)
            chosen_N1 = objective_RS[rows].reshape(-1, 1)
            parts.append(np.take_along_axis(true_NT, chosen_N1, axis=1).reshape(winner_RS.shape))
        return np.where(outcome.filled_RS, np.concatenate(parts), 0.0)


def ads_market(project: Project, *, requests: int, candidates: int, seed: int = 0) -> AdsMarket:
    """The first users' requests for ads of the test window, about `requests` of them, in a simulated workspace.

    Args:
        project: the opened workspace.
        requests: at least how many, if there are so many; the last chunk of users is taken whole.
        candidates: K, ads per request, drawn as the logging policy draws a page.
        seed: of that draw.

    Raises:
        DataError: the workspace is not simulated, or has no request for ads there.
    """
    if not has_oracle(project.root):
        raise DataError(f"{project.root}: not a simulated workspace; only there is it known what other ads would earn")
    dataset = EncodedDataset.open(encoded_dataset(project))
    ads = {scenario.name for scenario in project.workspace.scenarios if scenario.kind == "ads"}
    codes = np.array([place for place, scenario in enumerate(load_scenarios()) if scenario.name in ads], np.int64)
    world = open_world(project.root)
    truth = calibrate(world)
    row_of = _RowOfExposure(dataset)
    parts, rows = [], []
    with progress("ads market", requests) as advance:
        for number in range(world.chunks):
            replay = ChunkReplay(world, truth, number, dataset.spec.objectives)
            request_R = replay.requests(codes)
            row_R = row_of(replay.first_exposures(request_R))
            request_R, row_R = request_R[row_R >= 0], row_R[row_R >= 0]
            if len(request_R):
                parts.append(_part(replay, replay.propose(request_R, candidates, seed)))
                rows.append(row_R)
                advance(len(row_R))
            if sum(map(len, rows)) >= requests:
                break
    if not parts:
        raise DataError(f"{project.root}: the test window has no request in a scenario of the kind 'ads'")
    return AdsMarket(dataset, parts, np.concatenate(rows))


def _part(replay: ChunkReplay, proposals: Proposals) -> _Part:
    count = proposals.item_RK.shape[1]
    request_N = np.repeat(proposals.request_R, count)
    item_N, creative_N = proposals.item_RK.ravel(), proposals.creative_RK.ravel()
    true_NT = replay.probabilities(request_N, item_N, creative_N, np.zeros_like(item_N))
    return _Part(replay, proposals, true_NT.reshape(*proposals.item_RK.shape, -1))


class _RowOfExposure:
    """Rows of the test window by exposure id."""

    def __init__(self, dataset: EncodedDataset) -> None:
        rows_B = dataset.rows(Split.TEST)
        ids_B = dataset.exposure_ids(rows_B).to_numpy()
        order_B = np.argsort(ids_B)
        self._ids_B, self._rows_B = ids_B[order_B], rows_B[order_B]

    def __call__(self, ids_R: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of each; -1 for one that is not in the test window."""
        place_R = np.minimum(np.searchsorted(self._ids_B, ids_R), len(self._ids_B) - 1)
        return np.where(self._ids_B[place_R] == ids_R, self._rows_B[place_R], -1)


def model_probabilities(project: Project, reference: str, market: AdsMarket) -> NDArray[np.float32]:
    """`[R, K, T]`: what a registered model says, asked as the server asks it: every ad as if it stood first.

    Raises:
        ArtifactError: there is no such model, or it was trained on other data.
    """
    registered = model_registry(project).resolve(reference)
    dataset, model = registered_dataset(project, registered), load_model(registered)
    online = OnlineFeatures.open(encoded_dataset(project), dataset.spec, groups=registered_groups(project, registered))
    scorer = SplitScorer(model) if isinstance(model, SplitRanker) else TorchScorer(model)
    item_RK = online.tables.items.ids.encode(pl.Series(market.item_RK.ravel())).reshape(market.item_RK.shape)
    creative_RK = online.tables.creatives.ids.encode(pl.Series(market.creative_RK.ravel()))
    creative_RK = creative_RK.reshape(market.creative_RK.shape)
    answers = []
    with progress(f"ask {reference}", len(market.row_R)) as advance:
        for place, row in enumerate(market.row_R.tolist()):
            row_1 = np.array([row])
            user, time = int(dataset.user_rows(row_1)[0]), int(dataset.times(row_1)[0])
            history = dataset.history(user, int(dataset.before(row_1)[0]))
            window = scorer.window(len(history))
            context = online.encode_context(dataset.spec.scenarios[int(dataset.scenarios(row_1)[0])], time)
            batch = online.batch(
                user,
                item_RK[place],
                creative_RK[place],
                history.last(max(WINDOW, window)),
                context,
                length=window,
                shown=dataset.shown(dataset.exposures_before(user, time, SHOWN)),
            )
            answers.append(scorer.begin(batch)(batch))
            advance(1)
    return np.stack(answers)


@dataclass(frozen=True, slots=True)
class Bids:
    """What the ads of a market bid, and for what."""

    bid_RK: NDArray[np.float64]
    """Currency units for one conversion; NaN where the ad does not bid."""
    objective_RK: NDArray[np.int64]
    """Which objective a conversion is, by place in the workspace."""

    def chosen(self, values_RKT: NDArray[np.floating]) -> NDArray[np.floating]:
        """`[R, K]`: of each ad, the value of the objective that it bids for."""
        return np.take_along_axis(values_RKT, self.objective_RK[:, :, None], axis=2)[:, :, 0]


def market_bids(project: Project, market: AdsMarket, objectives: Sequence[str], seed: int = 0) -> Bids:
    """The bids that the creatives table holds.

    With several objectives, every advertiser bids for one of them, drawn by seed: as much as its bid for the first one
    is worth at the rates of the training window, so that all kinds of bids are worth the same on the whole.

    Args:
        project: the opened workspace.
        market: its requests and ads.
        objectives: the one that the table's bids pay for, and others that some advertisers bid for instead.
        seed: of the draw.
    """
    folder = checked_tables(project) / "creatives"
    creatives = pl.read_parquet(folder / "*.parquet", columns=[C.CREATIVE_ID, C.ADVERTISER, C.BID])
    names = project.workspace.objective_names()
    columns = np.array([names.index(name) for name in objectives])
    rate_T = _rates(market.dataset, market.row_R)
    advertisers = creatives[C.ADVERTISER].cast(pl.String).fill_null("").cast(pl.Categorical).to_physical().to_numpy()
    drawn_A = seeding.generator(seed, "bid objectives").integers(0, len(columns), int(advertisers.max(initial=0)) + 1)
    objective_C = columns[drawn_A[advertisers]]
    bid_C = creatives[C.BID].to_numpy().astype(np.float64) * rate_T[columns[0]] / rate_T[objective_C]
    order_C = np.argsort(creatives[C.CREATIVE_ID].to_numpy())
    place_RK = order_C[np.searchsorted(creatives[C.CREATIVE_ID].to_numpy()[order_C], market.creative_RK)]
    return Bids(bid_C[place_RK], objective_C[place_RK])


def _rates(dataset: EncodedDataset, row_R: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rate of each objective in the training window of the scenarios that `row_R` are in; mature labels only."""
    rows_B = dataset.rows(Split.TRAIN)
    rows_B = rows_B[np.isin(dataset.scenarios(rows_B), np.unique(dataset.scenarios(row_R)))]
    mask_BT = dataset.mask(rows_B)
    rate_T: NDArray[np.float64] = (dataset.labels(rows_B) * mask_BT).sum(axis=0) / np.maximum(mask_BT.sum(axis=0), 1)
    return rate_T
