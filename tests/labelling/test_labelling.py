"""Parts of the light classifier, against values that can be checked by hand."""

import math

import numpy as np
import pytest

from plait.content.labelling.calibration import temperature_of
from plait.content.labelling.classifier import ClassifierSettings, Seen, teach
from plait.content.labelling.coverage import draw_examples
from plait.content.labelling.evidence import LabelWords, likeness
from plait.content.labelling.features import Block, TermWeights, Topics, suggested_texts, terms
from plait.content.labelling.hierarchy import decide
from plait.content.labelling.linear import fit_softmax, shares_without_labels, softmax
from plait.content.labelling.measures import calibration_error, confusions, coverage_at, macro_f1
from plait.content.labelling.strategy import cut
from plait.content.taxonomy import Label, make_taxonomy

TREE = make_taxonomy(
    "t", [Label(("wear", "dress")), Label(("wear", "night dress")), Label(("shoe", "heels"), words=("stiletto",))]
)


def test_label_words_prefer_the_longer_and_the_last() -> None:
    words = LabelWords(TREE)
    assert words(["Red night dresses"]).tolist() == [[0, 1, 0]]
    assert words(["Stilettos for a dress"]).tolist() == [[1, 0, 0.5]]
    assert words(["addressed"]).tolist() == [[0, 0, 0]]
    assert words.without("A red Dress, heels") == "a red"
    assert words(["一款dress之选"]).tolist() == [[1, 0, 0]], "Chinese may touch a word"


def test_chinese_label_words_need_no_boundaries() -> None:
    words = LabelWords(make_taxonomy("t", [Label(("赛车",)), Label(("足球",))]))
    assert words(["最好玩的足球游戏"]).tolist() == [[0, 1]]


def test_likeness_takes_off_what_a_label_shares_with_every_text() -> None:
    text = np.array([[1, 0], [0, 1]], np.float32)
    assert likeness(text, np.array([[2, 0]], np.float32)).tolist() == [[0.5], [-0.5]]


def test_decide_sums_leaves_before_it_chooses_one() -> None:
    decision = decide(np.array([[0.3, 0.3, 0.4]], np.float32), TREE)
    assert decision.node_NL.tolist() == [[0, 0]]
    assert decision.confidence_NL[0].tolist() == pytest.approx([0.6, 0.3])


def test_terms_of_both_languages() -> None:
    assert terms("Big 大熊猫") == ["big", "大", "熊", "猫", "大熊", "熊猫"]


def test_term_weights_are_tf_idf() -> None:
    weights = TermWeights.fit(["a b", "a c", "a c"], fewest=1)
    row = weights(["a b c"])[0]
    raw = {"a": 0.0, "b": math.log(3), "c": math.log(3 / 2)}
    length = math.hypot(*raw.values())
    assert {term: row[place] for term, place in weights.place.items()} == pytest.approx(
        {term: value / length for term, value in raw.items()}
    )


def test_topics_are_the_singular_vectors_of_tf_idf() -> None:
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(list("abcdefghijkl"), 3, replace=False)) for _ in range(60)]
    topics = Topics.fit(texts, width=3)
    rows = topics.terms(texts)
    exact = np.linalg.svd(rows)[2][:3]
    assert np.abs(np.abs(np.sum(topics.turn_VK.T * exact, axis=1)) - 1).max() < 1e-2
    assert np.allclose(np.linalg.norm(topics(texts), axis=1), 1, atol=1e-5)
    assert topics(["unknown"]).tolist() == [[0, 0, 0]]
    assert Topics.fit(["one", "two"])(["one"]).shape == (1, 0), "too few texts to learn from"


def test_a_block_is_centred_and_of_the_length_asked_for() -> None:
    x = np.random.default_rng(0).normal(3, 2, (200, 5)).astype(np.float32)
    turned = Block.fit(x, 4.0, width=5, whitening=0.5)(x)
    assert np.allclose(turned.mean(axis=0), 0, atol=1e-4)
    assert np.sqrt((turned**2).sum(axis=1).mean()) == pytest.approx(4.0, rel=1e-4)
    assert np.allclose(np.cov(turned.T), np.eye(5) * 16 / 5, atol=0.05)


def test_a_block_of_features_of_different_kinds_gives_each_column_a_say() -> None:
    x = np.random.default_rng(0).normal(0, 1, (400, 3)).astype(np.float32) * np.array([1, 100, 0.01], np.float32)
    turned = Block.fit(x, 1.0, width=3, whitening=0.0, standardise=True)(x)
    said = np.abs(np.corrcoef(np.concatenate([turned, x], axis=1).T)[:3, 3:]).max(axis=0)
    assert (said > 0.6).all()


def test_suggested_texts_are_what_the_pictures_tell_of_the_texts() -> None:
    """The first text column follows the picture, the second is noise: the block's first direction is the former."""
    draw = np.random.default_rng(0)
    picture = draw.normal(size=(2_000, 4)).astype(np.float32)
    text = np.stack([picture[:, 0], draw.normal(size=2_000)], axis=1).astype(np.float32)
    block = suggested_texts(Block.fit(picture, 8.0, width=4, whitening=0.0), picture, text, 3.0, width=1)
    found = block(picture)
    assert abs(np.corrcoef(found[:, 0], picture[:, 0])[0, 1]) > 0.99
    assert np.sqrt((found**2).sum(axis=1).mean()) == pytest.approx(3.0, rel=1e-3)


def test_softmax_regression_reaches_the_gradient_zero() -> None:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(60, 3)).astype(np.float32)
    target = np.eye(2, dtype=np.float32)[(x[:, 0] + draw.normal(size=60) > 0).astype(int)]
    model = fit_softmax(x, target, np.ones(60, np.float32), penalty=0.1, iterations=200)
    gradient = x.T @ (softmax(model.logits(x)) - target) / 60 + 0.1 * model.weight_DC
    assert np.abs(gradient).max() < 1e-4


def test_shares_are_found_without_labels() -> None:
    """One informative bit: P(bit | class) = 0.8; with 90 % of class 0, the bit is 0 in .9 * .8 + .1 * .2 = 74 %."""
    rows = np.array([[0.8, 0.2]] * 74 + [[0.2, 0.8]] * 26, np.float32)
    assert shares_without_labels(rows, np.array([0.5, 0.5], np.float32), 2_000)[0] == pytest.approx(0.9, abs=0.01)


def test_temperature_undoes_overconfidence() -> None:
    """Logits of 4 say 98 %, but three of four are right: softmax(4 / T) = 3 / 4 at T = 4 / ln 3 = 3.64."""
    logits = np.tile(np.array([[4.0, 0.0]], np.float32), (400, 1))
    label = np.arange(400) % 4 // 3
    assert temperature_of(logits, label, np.ones(400, np.float32)) == pytest.approx(4 / math.log(3), rel=0.05)


def test_measures_by_hand() -> None:
    truth, said = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1])
    assert macro_f1(truth, said) == pytest.approx((2 / 3 + 2 / 4 + 0) / 3)
    right = np.array([True, True, False, True])
    sure = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    assert coverage_at(0.95, right, sure) == 0.5
    assert coverage_at(0.75, right, sure) == 1.0
    assert calibration_error(right, np.full(4, 0.55, np.float32)) == pytest.approx(0.75 - 0.55, abs=1e-6)
    assert confusions(truth, said) == [(0, 1, 1), (2, 1, 1)]


def test_cut_keeps_what_stands_above_the_first_doubt() -> None:
    assert cut(("a", "b", "c"), (0.9, 0.4, 0.8), 0.5) == ("a",)
    assert cut(("a",), (0.2,), 0.5) == ()


def test_examples_are_few_and_from_the_pool() -> None:
    label = np.array([0] * 20 + [1] * 3 + [0] * 5)
    rows = draw_examples(label, np.arange(23), 8, np.random.default_rng(0))
    assert np.bincount(label[rows]).tolist() == [8, 3]
    assert rows.max() < 23
    assert rows.tolist() != draw_examples(label, np.arange(23), 8, np.random.default_rng(1)).tolist()


def test_a_taught_classifier_beats_the_evidence_that_it_started_from() -> None:
    draw = np.random.default_rng(5)
    label = draw.integers(0, 3, 600)
    feature = (np.eye(3)[label] * 4 + draw.normal(size=(600, 3))).astype(np.float32)
    evidence = (np.eye(3)[label] + draw.normal(size=(600, 3))).astype(np.float32)
    seen = Seen(feature, evidence)
    few = draw_examples(label, np.arange(300), 6, draw)
    taught = teach(seen.rows(np.arange(300)), seen.rows(few), label[few], TREE, ClassifierSettings())
    probability = taught.probabilities(seen.rows(np.arange(300, 600)))
    accuracy = (probability.argmax(axis=1) == label[300:]).mean()
    assert (evidence[300:].argmax(axis=1) == label[300:]).mean() < 0.8 < 0.95 < accuracy
    assert calibration_error(probability.argmax(axis=1) == label[300:], probability.max(axis=1)) < 0.08
