"""The graph index against the exact one, and the source of items with near texts by hand."""

import numpy as np
import pytest

from plait.errors import ArtifactError
from plait.retrieval.protocol import RetrievalQuery
from plait.retrieval.vector_index import ExactIndex, GraphIndex, TextNeighbours, unit_vectors

RANDOM = np.random.default_rng(2)
CLUSTERED = unit_vectors(
    np.repeat(RANDOM.standard_normal((50, 24)), 40, axis=0).astype(np.float32)
    + 0.3 * RANDOM.standard_normal((2000, 24)).astype(np.float32)
)


def asked(items, weights):
    return RetrievalQuery(0, np.array(items, np.int64), np.array(weights, np.float32))


def test_exact_against_brute_force():
    query_D = CLUSTERED[7]
    rows, scores = ExactIndex(CLUSTERED).search(query_D, 10)
    cosine_V = CLUSTERED.astype(np.float64) @ query_D
    assert rows.tolist() == np.argsort(-cosine_V)[:10].tolist()
    np.testing.assert_allclose(scores, cosine_V[rows], atol=1e-6)


def test_graph_finds_nearly_all(tmp_path):
    pytest.importorskip("usearch")
    exact, graph = ExactIndex(CLUSTERED), GraphIndex.of(CLUSTERED)
    queries_QD = unit_vectors(RANDOM.standard_normal((100, 24)).astype(np.float32))
    shares = [len({*exact.search(q, 20)[0]} & {*graph.search(q, 20)[0]}) / 20 for q in queries_QD]
    assert np.mean(shares) > 0.95
    graph.save(tmp_path / "x.usearch")
    rows, scores = GraphIndex.load(tmp_path / "x.usearch").search(queries_QD[0], 5)
    assert rows.tolist() == graph.search(queries_QD[0], 5)[0].tolist()
    np.testing.assert_allclose(scores, CLUSTERED[rows] @ queries_QD[0], atol=1e-5)


def test_no_graph(tmp_path):
    pytest.importorskip("usearch")
    (tmp_path / "x.usearch").write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match="no index"):
        GraphIndex.load(tmp_path / "x.usearch")


@pytest.mark.parametrize("graph", [False, True])
def test_near_texts_by_hand(tmp_path, graph):
    if graph:
        pytest.importorskip("usearch")
    vectors = np.array([[0, 0], [1, 0], [0, 1], [0.6, 0.8], [-1, 0]], np.float32)
    source = TextNeighbours(vectors, GraphIndex.of(vectors) if graph else None)
    source.save(tmp_path)
    for each in (source, TextNeighbours.load(tmp_path)):
        found = each.retrieve(asked([1, 2], [3.0, 4.0]), 9)
        # The wanted direction is (3, 4) / 5; item 0 has no text, items 1 and 2 are the recent ones.
        assert found.items_K.tolist() == [3, 4]
        assert found.scores_K.tolist() == pytest.approx([0.6 * 0.6 + 0.8 * 0.8, -0.6])
        assert len(each.retrieve(asked([], []), 5)) == 0
        assert len(each.retrieve(asked([0], [1.0]), 5)) == 0
