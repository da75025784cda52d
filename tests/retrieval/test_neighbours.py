import numpy as np
import pytest

from plait.retrieval.neighbours import EmbeddingNeighbours
from plait.retrieval.protocol import RetrievalQuery


def asked(items, weights):
    return RetrievalQuery(0, np.array(items, np.int64), np.array(weights, np.float32))


def test_cosine_to_the_weighted_mean_by_hand():
    vectors = np.array([[0, 0], [1, 0], [0, 1], [0.6, 0.8], [-1, 0]], np.float32)
    found = EmbeddingNeighbours(vectors).retrieve(asked([1, 2], [3.0, 4.0]), 9)
    # The wanted direction is (3, 4) / 5; item 0 has no vector, items 1 and 2 are the recent ones.
    assert found.items_K.tolist() == [3, 4]
    assert found.scores_K.tolist() == pytest.approx([0.6 * 0.6 + 0.8 * 0.8, -0.6])


def test_equals_brute_force_on_embeddings():
    random = np.random.default_rng(5)
    embeddings = random.normal(size=(200, 7)).astype(np.float32)
    embeddings[0] = 0
    source = EmbeddingNeighbours.from_embeddings(embeddings)
    found = source.retrieve(asked([3, 50, 7], [1.0, 0.5, 0.25]), 20)
    centred = embeddings[1:].astype(np.float64) - embeddings[1:].mean(axis=0, dtype=np.float64)
    unit = np.vstack([np.zeros(7), centred / np.linalg.norm(centred, axis=1, keepdims=True)])
    wanted = unit[3] + 0.5 * unit[50] + 0.25 * unit[7]
    cosine = unit @ wanted / np.linalg.norm(wanted)
    expected = [item for item in np.argsort(-cosine) if item not in (0, 3, 50, 7)][:20]
    assert found.items_K.tolist() == expected
    assert found.scores_K == pytest.approx(cosine[expected], abs=1e-5)


def test_no_recent_items_or_no_direction(tmp_path):
    source = EmbeddingNeighbours(np.array([[0, 0], [1, 0], [-1, 0]], np.float32))
    assert len(source.retrieve(asked([], []), 5)) == 0
    assert len(source.retrieve(asked([1, 2], [1.0, 1.0]), 5)) == 0
    source.save(tmp_path)
    assert EmbeddingNeighbours.load(tmp_path).retrieve(asked([1], [1.0]), 5).items_K.tolist() == [2]
