"""One model's answer to a request: state, retrieval, ranking, creatives, each within its share of the deadline."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from plait.features.batch import FeatureBatch
from plait.features.history import WINDOW, History
from plait.features.online import OnlineFeatures, RequestContext
from plait.features.preference import Shown
from plait.retrieval.creatives import ItemCreatives
from plait.retrieval.merge import Candidates, merge
from plait.retrieval.protocol import RetrievalQuery, Retrieved, Source, recency_weights
from plait.serving.ad_auction import AdAuction
from plait.serving.answer import Answer, Identifier, Query, Scored
from plait.serving.deadline import Cost, Deadline, Shares
from plait.serving.histories import Histories
from plait.serving.scoring import RowScorer, Scorer
from plait.serving.state import UserStates

_log = logging.getLogger("plait.serving")

_RECENT_EVENTS = 100
_RECENT_ITEMS = 30
_MOST_CREATIVES = 200
"""Further creatives that are scored per request."""
_FEWEST_RANKED = 20
"""Below this many candidates a ranking is not worth its fixed cost."""
_FIRST_TRIES = 3
_TRIES = 5


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How one engine answers."""

    values_T: NDArray[np.float64]
    """What one of each objective is worth; the score is the sum of probability times value."""
    candidates: int = 500
    shares: Shares = field(default_factory=Shares)
    source_shares: dict[str, float] = field(default_factory=lambda: {"popular": 1.0, "item_to_item": 2.0})
    """How often each source takes its turn; 1 where not named."""
    auctions: Mapping[str, AdAuction] = field(default_factory=dict)
    """How scenarios that sell their places do it; all others order by value."""
    log: bool = False
    """Keep what the request log needs."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Item rows and what belongs to them."""

    creatives: ItemCreatives
    row_of_code_V: NDArray[np.int64]
    """The row of each item code; -1 for unknown."""
    unwanted_codes: NDArray[np.int64]
    """Action codes that lead to no candidates."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as rows and codes."""

    user_row: int
    history: History
    """The events that the model and the history numbers look at."""
    window: int
    """How many of the last ones the model looks at."""
    context: RequestContext
    shown: Shown
    """What the user was shown before, where the model reads preferences."""
    weights_T: NDArray[np.float64]
    auction: AdAuction | None
    """Orders the candidates instead of the weights."""

    def scores(self, probabilities_RT: NDArray[np.float32], creatives_R: NDArray[np.int64]) -> NDArray[np.float64]:
        """What rows are ordered by."""
        if self.auction is not None:
            return self.auction.ecpm(probabilities_RT, creatives_R)
        return np.asarray(probabilities_RT @ self.weights_T)


@dataclass(slots=True)
class _Ranked:
    """Rows that the model scored, candidates first, further creatives after them."""

    items_R: NDArray[np.int64]
    creatives_R: NDArray[np.int64]
    probabilities_RT: NDArray[np.float32]
    batch: FeatureBatch
    """Of the candidates."""
    further: FeatureBatch | None
    """Of the further creatives."""
    score: RowScorer
    """Scores further rows of the request."""
    shown: Shown
    """As the request has it."""


class RankingEngine:
    """Answers requests with one version of one model."""

    def __init__(
        self,
        name: str,
        version: str,
        *,
        online: OnlineFeatures,
        scorer: Scorer,
        sources: Sequence[Source],
        catalogue: Catalogue,
        histories: Histories,
        settings: EngineSettings,
    ) -> None:
        """Put the parts together.

        Args:
            name: of the registered model.
            version: of it.
            online: features of requests.
            scorer: the model.
            sources: candidate sources; the first one is cheap and always asked.
            catalogue: creatives and codes of items.
            histories: users' events.
            settings: limits and values.
        """
        self.name = name
        self.version = version
        self.scenarios: Sequence[str] = online.spec.scenarios
        self.objectives: Sequence[str] = online.spec.objectives
        self._online = online
        self._scorer = scorer
        self._sources = sources
        self._catalogue = catalogue
        self._histories = histories
        self._settings = settings
        self.least_ms = 0.0
        self._rank_cost = Cost()
        self._further_cost = Cost()
        self._source_costs = {source.name: Cost(fixed_ms=0.1) for source in sources}

    def knows_item(self, item_id: Identifier) -> bool:
        """Whether the catalogue holds the item."""
        return self._online.item_row(item_id) > 0

    def arrived(self, user_id: Identifier, states: UserStates, time_ms: int) -> None:
        """Advance what the model keeps of a user to the events that were available before `time_ms`."""
        self._scorer.arrived(self._histories.before(user_id, self._online.user_row(user_id), states, time_ms))

    def recommend(self, query: Query, states: UserStates, deadline: Deadline) -> Answer:
        """Answer within the deadline, with what fits into it."""
        with deadline.stage("state"):
            asked = self._ask(query, states)
        with deadline.stage("retrieve"):
            candidates = self._retrieve(query, asked, deadline)
        with deadline.stage("rank"):
            ranked = self._rank(candidates, asked, query.k, deadline)
        if ranked is None:
            return self._unranked(query, asked, candidates)
        scored = len(ranked.items_R)
        with deadline.stage("creative"):
            chosen_K, score_R = self._choose(ranked, asked, query.k + (asked.auction is not None), deadline)
        prices = None
        if asked.auction is not None:
            with deadline.stage("auction"):
                probabilities_KT, creatives_K = ranked.probabilities_RT[chosen_K], ranked.creatives_R[chosen_K]
                winner_K, prices = asked.auction.hold(probabilities_KT, creatives_K, query.k)
                chosen_K = chosen_K[winner_K]
        return Answer(
            items=self._item_ids(ranked.items_R[chosen_K]),
            creatives=self._creative_ids(ranked.creatives_R[chosen_K]),
            scores=score_R[chosen_K].tolist(),
            probabilities_KT=ranked.probabilities_RT[chosen_K],
            sources=candidates.sources_of(ranked.items_R[chosen_K]),
            candidates={**candidates.counts, "ranked": scored},
            known_user=asked.user_row > 0,
            history=len(asked.history),
            prices=prices,
            record=self._record(ranked, asked) if self._settings.log else None,
        )

    def warm_up(self) -> None:
        """Answer for a new user and for the one with the longest history, then measure what it costs."""
        states = UserStates()
        for user_id, time_ms in self._warm_up_users():
            query = Query(user_id, self.scenarios[0], 20, time_ms, {})
            for _ in range(_FIRST_TRIES):
                self.recommend(query, states, Deadline(1e9))
        self.least_ms = _median_ms(lambda: self.recommend(query, states, Deadline(0.0)))
        self._calibrate(self._ask(query, states))

    def _calibrate(self, asked: _Asked) -> None:
        items = min(self._settings.candidates, len(self._online.tables.items) - 1)
        many_K = np.arange(1, items + 1, dtype=np.int64)
        few_K = many_K[: max(1, items // 10)]
        rank, further = [], []
        for rows_K in (few_K, many_K):
            creatives_K = self._catalogue.creatives.first(rows_K)
            ranked = self._score(rows_K, creatives_K, asked)
            rank.append((len(rows_K), _median_ms(partial(self._score, rows_K, creatives_K, asked))))
            further.append((len(rows_K), _median_ms(partial(self._score_again, ranked, rows_K - 1, creatives_K))))
        self._rank_cost.calibrate(*rank)
        self._further_cost.calibrate(*further)

    def _warm_up_users(self) -> list[tuple[Identifier, int]]:
        now = time.time_ns() // 1_000_000
        row = self._histories.longest()
        known = [(self._online.tables.users.ids.value(row), now)] if row else []
        return [("", now), *known]

    def _ask(self, query: Query, states: UserStates) -> _Asked:
        user_row = self._online.user_row(query.user_id)
        context = dict(query.context) if query.query is None else {**query.context, "query": query.query}
        history = self._histories.before(query.user_id, user_row, states, query.time_ms)
        if query.objective is None:
            weights_T = self._settings.values_T
        else:
            weights_T = np.array([float(name == query.objective) for name in self.objectives])
        auction = self._settings.auctions.get(query.scenario) if query.objective is None else None
        window = self._scorer.window(len(history))
        return _Asked(
            user_row,
            history.last(max(WINDOW, window)),
            window,
            self._online.encode_context(query.scenario, query.time_ms, context),
            self._histories.shown(query.user_id, user_row, states, query.time_ms),
            weights_T,
            auction,
        )

    def _retrieve(self, query: Query, asked: _Asked, deadline: Deadline) -> Candidates:
        wanted = self._settings.candidates
        items_R = self._recent_items(asked.history)
        sought = RetrievalQuery(asked.context.scenario, items_R, recency_weights(len(items_R)))
        exclude = np.array([self._online.item_row(item) for item in query.exclude], np.int64)
        found: dict[str, Retrieved] = {}
        for place, source in enumerate(self._sources):
            cost = self._source_costs[source.name]
            left = self._settings.shares.source * deadline.remaining_ms()
            if place and cost.expected_ms(wanted) > left:
                deadline.drop(f"retrieve.{source.name}", "late", f"{max(left, 0.0):.1f} ms left for it")
                cost.forgive()
                continue
            before = time.perf_counter()
            try:
                found[source.name] = source.retrieve(sought, wanted + len(exclude))
            except Exception:
                _log.exception("candidate source %s failed", source.name)
                deadline.drop(f"retrieve.{source.name}", "failed", "see the server's log")
            cost.observe(wanted, (time.perf_counter() - before) * 1e3)
        return merge(found, self._settings.source_shares, exclude, wanted)

    def _recent_items(self, history: History) -> NDArray[np.int64]:
        """Rows of the latest distinct items, newest first."""
        recent = history.last(_RECENT_EVENTS)
        rows_N = self._catalogue.row_of_code_V[recent.item_N]
        wanted_N = (rows_N > 0) & ~np.isin(recent.action_N, self._catalogue.unwanted_codes)
        newest_N = rows_N[wanted_N][::-1]
        _, first = np.unique(newest_N, return_index=True)
        items_R: NDArray[np.int64] = newest_N[np.sort(first)[:_RECENT_ITEMS]]
        return items_R

    def _rank(self, candidates: Candidates, asked: _Asked, k: int, deadline: Deadline) -> _Ranked | None:
        """Score as many candidates as fit; None where too few do, or the model failed."""
        wanted = len(candidates)
        if not wanted:
            return None
        left = self._left_for_ranking(candidates, k, deadline)
        ranked = min(self._rank_cost.affordable(left), wanted)
        if ranked < min(wanted, max(_FEWEST_RANKED, k)):
            deadline.drop("rank", "late", f"{max(left, 0.0):.1f} ms left for {wanted} candidates; in retrieval's order")
            self._rank_cost.forgive()
            return None
        if ranked < wanted:
            deadline.drop("rank", "shortened", f"{ranked} of {wanted} candidates in {left:.1f} ms")
        items_K = candidates.items_K[:ranked]
        before = time.perf_counter()
        try:
            result = self._score(items_K, self._catalogue.creatives.first(items_K), asked)
        except Exception:
            _log.exception("ranking failed")
            deadline.drop("rank", "failed", "in retrieval's order; see the server's log")
            return None
        self._rank_cost.observe(ranked, (time.perf_counter() - before) * 1e3)
        return result

    def _left_for_ranking(self, candidates: Candidates, k: int, deadline: Deadline) -> float:
        """Milliseconds, once the choice of creatives has its part (as many as retrieval's k best have)."""
        further, _ = self._catalogue.creatives.others(candidates.head(k).items_K, _MOST_CREATIVES)
        for_creatives = self._further_cost.expected_ms(len(further)) if len(further) else 0.0
        return deadline.remaining_ms(self._settings.shares.rank) - for_creatives

    def _score(self, items_R: NDArray[np.int64], creatives_R: NDArray[np.int64], asked: _Asked) -> _Ranked:
        batch = self._online.batch(
            asked.user_row,
            items_R,
            creatives_R,
            asked.history,
            asked.context,
            length=asked.window,
            shown=asked.shown,
        )
        score = self._scorer.begin(batch)
        return _Ranked(items_R, creatives_R, score(batch), batch, None, score, asked.shown)

    def _score_again(
        self, ranked: _Ranked, rows_R: NDArray[np.int64], creatives_R: NDArray[np.int64]
    ) -> tuple[FeatureBatch, NDArray[np.float32]]:
        """Rows of the candidates in other creatives."""
        further = self._online.with_creatives(ranked.batch, rows_R, creatives_R, ranked.shown)
        return further, ranked.score(further)

    def _choose(
        self, ranked: _Ranked, asked: _Asked, k: int, deadline: Deadline
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The k best rows with each item in its best creative, best first, and the score of every row."""
        score_R = asked.scores(ranked.probabilities_RT, ranked.creatives_R)
        best_K = np.argsort(-score_R, kind="stable")[:k]
        place_R, creative_R = self._catalogue.creatives.others(ranked.items_R[best_K], _MOST_CREATIVES)
        if not len(place_R):
            return best_K, score_R
        left = deadline.remaining_ms()
        if self._further_cost.expected_ms(len(place_R)) > left:
            deadline.drop("creative", "late", f"{max(left, 0.0):.1f} ms left; every item in its first creative")
            self._further_cost.forgive()
            return best_K, score_R
        before = time.perf_counter()
        try:
            further, more_RT = self._score_again(ranked, best_K[place_R], creative_R)
        except Exception:
            _log.exception("choosing creatives failed")
            deadline.drop("creative", "failed", "every item in its first creative; see the server's log")
            return best_K, score_R
        self._further_cost.observe(len(place_R), (time.perf_counter() - before) * 1e3)
        _append(ranked, ranked.items_R[best_K[place_R]], creative_R, more_RT, further)
        score_R = np.concatenate([score_R, asked.scores(more_RT, creative_R)])
        row_C = np.concatenate([best_K, np.arange(len(score_R) - len(place_R), len(score_R))])
        item_C = np.concatenate([np.arange(len(best_K)), place_R])
        order = np.argsort(-score_R[row_C], kind="stable")
        _, first = np.unique(item_C[order], return_index=True)
        return row_C[order[np.sort(first)]], score_R

    def _unranked(self, query: Query, asked: _Asked, candidates: Candidates) -> Answer:
        """Retrieval's own order, scored 1, 1/2, 1/3 ..."""
        head = candidates.head(query.k)
        return Answer(
            items=self._item_ids(head.items_K),
            creatives=self._creative_ids(self._catalogue.creatives.first(head.items_K)),
            scores=(1.0 / np.arange(1, len(head) + 1)).tolist(),
            probabilities_KT=None,
            sources=head.sources_of(head.items_K),
            candidates={**candidates.counts, "ranked": 0},
            known_user=asked.user_row > 0,
            history=len(asked.history),
        )

    def _record(self, ranked: _Ranked, asked: _Asked) -> Scored:
        batches = [ranked.batch] if ranked.further is None else [ranked.batch, ranked.further]
        return Scored(
            items_R=self._item_ids(ranked.items_R),
            creatives_R=self._creative_ids(ranked.creatives_R),
            categorical_RF=np.concatenate([batch.categorical_BF for batch in batches]),
            numeric_RG=np.concatenate([batch.numeric_BG for batch in batches]),
            bag_RP=np.concatenate([batch.bag_BP for batch in batches]),
            token_offsets_J1=batches[-1].token_offsets_J1,  # of the further creatives: all others come before them
            token_codes_N=batches[-1].token_codes_N,
            before=len(asked.history),
            probabilities_RT=ranked.probabilities_RT,
        )

    def _item_ids(self, rows: NDArray[np.int64]) -> list[Identifier]:
        return [self._online.item_id(row) for row in rows.tolist()]

    def _creative_ids(self, rows: NDArray[np.int64]) -> list[Identifier | None]:
        return [self._online.creative_id(row) for row in rows.tolist()]


def _median_ms(run: Callable[[], object]) -> float:
    """How long it takes: the median of a few tries."""
    spent = []
    for _ in range(_TRIES):
        before = time.perf_counter()
        run()
        spent.append((time.perf_counter() - before) * 1e3)
    return float(np.median(spent))


def _append(
    ranked: _Ranked,
    items_R: NDArray[np.int64],
    creatives_R: NDArray[np.int64],
    probabilities_RT: NDArray[np.float32],
    further: FeatureBatch,
) -> None:
    ranked.items_R = np.concatenate([ranked.items_R, items_R])
    ranked.creatives_R = np.concatenate([ranked.creatives_R, creatives_R])
    ranked.probabilities_RT = np.concatenate([ranked.probabilities_RT, probabilities_RT])
    ranked.further = further
