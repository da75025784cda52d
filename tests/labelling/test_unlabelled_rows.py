"""What unlabelled rows tell: directions that differ within labels count less, neighbours share their answers."""

import numpy as np
import pytest

from plait.content.labelling.classifier import ClassifierSettings, Seen, teach
from plait.content.labelling.neighbours import smoothed, telling_directions
from plait.content.taxonomy import Label, make_taxonomy

TWO = make_taxonomy("two", [Label(("shirt",)), Label(("dress",))])


def rows(count: int, wide: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features [N, 6] whose first column tells the label and whose second varies `wide`ly within it; labels."""
    draw = np.random.default_rng(seed)
    label = np.arange(count) % 2
    x = draw.normal(0, 0.3, (count, 6))
    x[:, 0] += np.where(label == 0, 1, -1)
    x[:, 1] += draw.normal(0, wide, count)
    return x.astype(np.float32), label


def test_what_differs_within_a_label_shrinks_and_the_size_stays() -> None:
    x, label = rows(600, wide=4)
    turn = telling_directions(x, np.eye(2, dtype=np.float32)[label], 0.5)
    before, after = x, x @ turn
    share = [
        np.square(each[label == 0].mean(0) - each[label == 1].mean(0)).sum() / each.var(axis=0).sum()
        for each in (before, after)
    ]
    assert share[1] > 5 * share[0]
    assert np.square(after).sum() == pytest.approx(np.square(before).sum(), rel=1e-4)
    still = x @ telling_directions(x, np.eye(2, dtype=np.float32)[label], 0.0)
    assert np.allclose(still @ still.T, x @ x.T, atol=1e-2), "without power it only turns"


def test_neighbours_outvote_a_row_that_is_alone_with_its_answer() -> None:
    x = np.array([[1, 0.01], [1, 0.02], [1, 0.03], [0.01, 1], [0.02, 1], [0.03, 1]], np.float32)
    answer = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.1, 0.9], [0.1, 0.9]], np.float32)
    mixed = smoothed(x, answer, neighbours=2, share=0.5)
    assert np.allclose(mixed[2], [0.55, 0.45], atol=1e-3), "half its own, half of the two beside it"
    assert np.allclose(mixed.sum(axis=1), 1, atol=1e-5)
    assert mixed[3:].argmax(axis=1).tolist() == [1, 1, 1]
    assert smoothed(x[:1], answer[:1], 5, 0.5).tolist() == answer[:1].tolist(), "nobody to ask"


def test_blocks_of_rows_are_joined_without_a_seam() -> None:
    """More rows than are compared at once: each row's twin has its answer, and nobody is its own neighbour."""
    draw = np.random.default_rng(0)
    half = draw.normal(size=(700, 16)).astype(np.float32)
    x = np.concatenate([half, half])
    answer = np.zeros((1_400, 2), np.float32)
    answer[:700, 0] = answer[700:, 1] = 1
    assert np.allclose(smoothed(x, answer, neighbours=1, share=1.0), answer[:, ::-1])


@pytest.mark.parametrize("width", [0, 4])
def test_few_examples_are_enough_where_unlabelled_rows_show_what_tells(width: int) -> None:
    """Of two examples a label, the widely varying column misleads; answers come back in the features' own space."""
    pytest.importorskip("torch")
    x, label = rows(800, wide=3)
    seen = Seen(x, np.zeros((800, 2), np.float32))
    few, test = np.array([0, 1, 2, 3]), np.arange(400, 800)
    right = {}
    for name, power, neighbours in (("plain", 0.0, 0), ("told", 0.5, 10)):
        settings = ClassifierSettings(within_power=power, neighbours=neighbours, width=width, rounds=3)
        taught = teach(seen.rows(np.arange(4, 400)), seen.rows(few), label[few], TWO, settings)
        right[name] = float((taught.probabilities(seen.rows(test)).argmax(axis=1) == label[test]).mean())
    assert right["told"] > right["plain"] + 0.02


def test_answers_softened_by_neighbours_do_not_soften_the_confidence() -> None:
    """The temperature is found on classifiers that learn from neighbours' answers too; examples alone mislead it."""
    pytest.importorskip("torch")
    tree = make_taxonomy("eight", [Label((f"label {number}",)) for number in range(8)])
    draw, label = np.random.default_rng(0), np.arange(1_600) % 8
    x = (draw.normal(size=(8, 12))[label] + draw.normal(0, 0.75, (1_600, 12))).astype(np.float32)
    seen, few, test = Seen(x, np.zeros((1_600, 8), np.float32)), np.arange(64), np.arange(800, 1_600)
    off = {}
    for rounds in (0, 1):
        settings = ClassifierSettings(fold_rounds=rounds)
        taught = teach(seen.rows(np.arange(64, 800)), seen.rows(few), label[few], tree, settings)
        said_NC = taught.probabilities(seen.rows(test))
        off[rounds] = abs(float((said_NC.argmax(axis=1) == label[test]).mean() - said_NC.max(axis=1).mean()))
    assert off[1] < 0.05 < off[0], off
