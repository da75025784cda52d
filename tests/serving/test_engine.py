"""The real engine over a small world: fallbacks, creatives, scores."""

import dataclasses
import time

import numpy as np
import pytest
from serving_world import CUT_MS

from plait.errors import ArtifactError
from plait.retrieval.protocol import Retrieved
from plait.serving.answer import Query
from plait.serving.deadline import Cost, Deadline
from plait.serving.loading import ServedData, load_engine
from plait.serving.state import Behaviour, UserStates

K = 30


def query(user_id="u1", k=5, **changes):
    return dataclasses.replace(Query(user_id, "search", k, CUT_MS, {}), **changes)


@pytest.fixture
def engine(world):
    made = load_engine(world.registry.resolve("dnn"), world.cut_data, world.made.workspace, candidates=K, log=True)
    made.warm_up()
    return made


def ask(engine, asked=None, budget_ms=60_000.0, states=None):
    deadline = Deadline(budget_ms)
    return engine.recommend(asked or query(), states or UserStates(), deadline), deadline


class SlowScorer:
    """A scorer that takes a given time per candidate."""

    def __init__(self, inner, ms_per_candidate):
        self.inner = inner
        self.window = inner.window
        self.ms_per_candidate = ms_per_candidate
        self.asked = []

    def begin(self, batch):
        score = self.inner.begin(batch)

        def slowly(rows):
            self.asked.append(len(rows))
            time.sleep(self.ms_per_candidate * len(rows) / 1e3)
            return score(rows)

        return slowly


def test_an_unhurried_answer(engine):
    answer, deadline = ask(engine)
    assert deadline.dropped == []
    assert len(answer.items) == len(set(answer.items)) == 5
    assert answer.scores == sorted(answer.scores, reverse=True)
    # No objective of this workspace has a value, so that each counts 1.
    assert answer.scores == pytest.approx(answer.probabilities_KT.sum(axis=1).tolist(), rel=1e-6)
    names = {"popular", "item_to_item", "embedding"}
    assert answer.candidates["ranked"] == sum(answer.candidates[name] for name in names)
    assert set(answer.sources) <= names
    assert (answer.known_user, answer.history) == (True, 128)
    assert set(deadline.timings_ms) == {"state", "retrieve", "rank", "creative"}


def test_every_item_comes_in_its_best_creative(engine):
    answer, _ = ask(engine)
    record, total = answer.record, answer.record.probabilities_RT.sum(axis=1)
    for item, creative, score in zip(answer.items, answer.creatives, answer.scores, strict=True):
        own = [row for row, other in enumerate(record.items_R) if other == item]
        assert {record.creatives_R[row] for row in own} == {2 * (item - 100), 2 * (item - 100) + 1}
        best = max(own, key=lambda row: total[row])
        assert record.creatives_R[best] == creative
        assert score == pytest.approx(float(total[best]))


def test_one_objective_alone(engine):
    answer, _ = ask(engine, query(objective="install"))
    assert answer.scores == pytest.approx(answer.probabilities_KT[:, 1].tolist())


def test_excluded_items_do_not_come(engine):
    first, _ = ask(engine)
    second, _ = ask(engine, query(exclude=(*first.items[:3], "no such item")))
    assert not set(first.items[:3]) & set(second.items)
    nothing, deadline = ask(engine, query(exclude=tuple(range(100, 130))))
    assert list(nothing.items) == []
    assert deadline.dropped == []


def test_a_new_user_gets_what_is_popular(engine):
    answer, deadline = ask(engine, query(user_id="никто"))
    assert (answer.known_user, answer.history, len(answer.items)) == (False, 0, 5)
    assert set(answer.sources) == {"popular"}
    assert deadline.dropped == []


def test_a_new_user_with_a_first_behaviour_gets_more_than_that(engine):
    states = UserStates()
    states.append("никто", Behaviour(CUT_MS - 1, CUT_MS - 1, 104, "click"))
    answer, _ = ask(engine, query(user_id="никто"), states=states)
    assert answer.history == 1
    assert answer.candidates["embedding"] > 0
    at_once, _ = ask(engine, query(user_id="никто", time_ms=CUT_MS - 1), states=states)
    assert at_once.history == 0


def test_a_late_request_is_ranked_by_retrieval_and_says_so(engine):
    answer, deadline = ask(engine, budget_ms=0.0001)
    assert {(each.stage, each.reason) for each in deadline.dropped} == {
        ("retrieve.item_to_item", "late"), ("retrieve.embedding", "late"), ("rank", "late"),
    }  # fmt: skip
    assert answer.probabilities_KT is None
    assert answer.candidates["ranked"] == 0
    assert set(answer.sources) == {"popular"}
    assert answer.scores == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert answer.record is None


def test_a_slow_ranker_ranks_fewer_and_leaves_time_for_the_creatives(engine):
    """A turn of 126 s, of which ranking may have 90 % less 5 creatives of 4 s: 93.4 s, for candidates of 4 s."""
    counted = engine._scorer = SlowScorer(engine._scorer, 0.0)
    engine._rank_cost, engine._further_cost = Cost(slope_ms=4_000.0), Cost(slope_ms=4_000.0)
    answer, deadline = ask(engine, budget_ms=140_000.0)
    assert [(each.stage, each.reason) for each in deadline.dropped] == [("rank", "shortened")]
    assert counted.asked == [23, 5]
    assert answer.candidates["ranked"] == 23
    assert len(answer.items) == 5


def test_a_slow_ranker_keeps_the_deadline(engine):
    engine._scorer = SlowScorer(engine._scorer, 4.0)  # 30 candidates: 120 ms
    engine.warm_up()
    answer, deadline = ask(engine, budget_ms=140.0)
    assert deadline.elapsed_ms() < 140.0
    assert "rank" in {each.stage for each in deadline.dropped}
    assert len(answer.items) == 5


def test_a_request_that_waited_gets_its_candidates_all_the_same(engine):
    """6 of 10 s in the line are no reason to leave out sources that take a fraction of a millisecond."""
    deadline = Deadline(10_000.0, started=time.perf_counter() - 6.0)
    answer = engine.recommend(query(), UserStates(), deadline)
    assert deadline.dropped == []
    assert answer.candidates["embedding"] > 0


def test_a_ranker_that_is_far_too_slow_is_not_started(engine):
    slow = SlowScorer(engine._scorer, 4.0)
    engine._scorer = slow
    engine.warm_up()
    slow.asked.clear()
    answer, deadline = ask(engine, budget_ms=40.0)
    assert slow.asked == []
    assert deadline.elapsed_ms() < 40.0
    assert [each.reason for each in deadline.dropped if each.stage == "rank"] == ["late"]
    assert len(answer.items) == 5


def test_a_model_that_fails_is_replaced_by_retrieval(engine):
    class Broken:
        def window(self, before):
            return min(before, 10)

        def begin(self, batch):
            raise RuntimeError("no")

    engine._scorer = Broken()
    answer, deadline = ask(engine)
    assert [(each.stage, each.reason) for each in deadline.dropped] == [("rank", "failed")]
    assert len(answer.items) == 5


def test_a_source_that_fails_is_left_out(engine):
    class Broken:
        name = "embedding"

        def retrieve(self, *_):
            raise RuntimeError("no")

    engine._sources[2] = Broken()
    answer, deadline = ask(engine)
    assert [(each.stage, each.reason) for each in deadline.dropped] == [("retrieve.embedding", "failed")]
    assert "embedding" not in answer.candidates
    assert len(answer.items) == 5


def test_a_slow_source_is_skipped_and_tried_again(engine):
    class Slow:
        name = "embedding"
        calls = 0

        def retrieve(self, *_):
            self.calls += 1
            time.sleep(0.1)
            return Retrieved(np.array([1]), np.array([1.0], np.float32))

    slow = engine._sources[2] = Slow()
    for _ in range(10):
        ask(engine, budget_ms=100.0)
    assert 1 <= slow.calls < 10


def test_a_model_of_other_data_is_refused(world, tmp_path):
    with pytest.raises(ArtifactError):
        load_engine(
            world.registry.resolve("dnn"), ServedData(tmp_path, tmp_path), world.made.workspace, candidates=5, log=False
        )
    other = world.made.workspace.model_copy(update={"objectives": world.made.workspace.objectives[:1]})
    with pytest.raises(ArtifactError, match="objectives"):
        load_engine(world.registry.resolve("dnn"), world.cut_data, other, candidates=5, log=False)
