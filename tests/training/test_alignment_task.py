"""Alignment: gradient caching, what the task learns, and that the ranker it leaves behind knows nothing of texts."""

import numpy as np
import pytest
import torch
from torch import nn

from plait.embedding.token_states import StoredStates
from plait.models.builder import build_model
from plait.models.config import parse_model
from plait.models.ctrl import AlignedTower
from plait.testing.encoders import LayeredWords
from plait.testing.training_data import SmallDataset
from plait.training import AlignmentTask, TrainingConfig, train_task
from plait.training.gradient_cache import cached_loss
from plait.training.warm_start import start_from_weights, starting_weights

SIZES = {
    "ctrl": {"embedding_dim": 4, "hidden": [8], "attention_layers": 1, "attention_width": 4},
    "ctrl-dnn": {"embedding_dim": 4, "hidden": [8], "dropout": 0.0, "unknown_rate": 0.0},
}
TABLES = {"ctrl": "ranker.embedded.codes.table.weight", "ctrl-dnn": "ranker.trunk.fields.table.weight"}
ALIGN = {"width": 8, "subspaces": 2}


class ItemTexts:
    """The text of an exposure is its item's: a random vector each, by the item's field code."""

    width = 6

    def __init__(self, dataset: SmallDataset) -> None:
        column = dataset.spec.item_columns[0]
        self._item_E = dataset._whole.categorical_BF[:, column].astype(np.int64)
        self._vectors_VW = np.random.default_rng(0).normal(size=(100, self.width)).astype(np.float32)

    def batch(self, rows_B):
        return [torch.from_numpy(self._vectors_VW[self._item_E[rows_B]])]

    def keys(self, rows_B):
        return self._item_E[rows_B]


def task(family: str = "ctrl", *, chunk: int = 1024, **training) -> AlignmentTask:
    dataset = SmallDataset()
    torch.manual_seed(2)
    config = parse_model({"family": family, **SIZES[family], "align": {**ALIGN, "chunk": chunk}}, "test")
    model = AlignedTower(config, dataset.spec, dataset.item_fields_VI, ItemTexts.width)
    settings = {"batch_size": 100, "embedding_learning_rate": 0.02, "learning_rate": 0.01, "metric": "alignment"}
    return AlignmentTask(dataset, ItemTexts(dataset), model, TrainingConfig(**settings | training))


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return {name: grad.to_dense() if grad.is_sparse else grad for name, grad in found.items()}


class ItemWords(ItemTexts):
    """The same in three to five words an item, read by a layer that learns; the first item has no text."""

    width = 8

    def __init__(self, dataset: SmallDataset) -> None:
        super().__init__(dataset)
        texts = [" ".join(f"w{item * (place + 1) % 13}" for place in range(3 + item % 3)) for item in range(100)]
        states = LayeredWords(self.width).states(texts, 1)
        offset_M1 = np.cumsum([0, *map(len, states)])
        self._states = StoredStates([(np.concatenate(states), offset_M1)])

    def batch(self, rows_B):
        return [self._states.of(self._item_E[rows_B])]


def tuned_task(*, chunk: int = 1024, **training) -> AlignmentTask:
    dataset = SmallDataset()
    texts = ItemWords(dataset)
    torch.manual_seed(2)
    align = {**ALIGN, "chunk": chunk, "tuned_layers": 1, "tuned_rank": 2}
    config = parse_model({"family": "ctrl", **SIZES["ctrl"], "align": align}, "test")
    top = LayeredWords(ItemWords.width).top(1)
    model = AlignedTower(config, dataset.spec, dataset.item_fields_VI, ItemWords.width, top)
    settings = {"batch_size": 100, "embedding_learning_rate": 0.02, "learning_rate": 0.01, "metric": "alignment"}
    return AlignmentTask(dataset, texts, model, TrainingConfig(**settings | training))


def test_layers_that_learn_are_trained_and_kept_like_the_rest(tmp_path):
    """Texts are found, the layer's two thin matrices have moved, its own weights have not and are not kept."""
    aligned = tuned_task(epochs=8)
    top = aligned.model.of_text.top.layer
    frozen_OI = top.weight_OI.clone()
    train_task(aligned, aligned._config, tmp_path / "run")
    assert aligned.validate()["alignment"] > 0.9
    assert torch.equal(top.weight_OI, frozen_OI)
    assert float(top.up.weight.detach().abs().max()) > 0
    kept = [name for name in aligned.model.state_dict() if ".top." in name]
    assert kept == ["of_text.top.layer.down.weight", "of_text.top.layer.up.weight"]
    again = tuned_task(epochs=8)
    train_task(again, again._config, tmp_path / "run")
    for name, weight in aligned.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], weight), name


@pytest.mark.parametrize("chunk", [1, 33])
def test_gradient_caching_goes_through_layers_that_learn(chunk):
    whole, cached = tuned_task(), tuned_task(chunk=chunk)
    for one in (whole, cached):
        torch.nn.init.ones_(one.model.of_text.top.layer.up.weight)
    (batch, _), (pieces, _) = next(whole.batches(0, 0)), next(cached.batches(0, 0))
    whole.loss(batch).backward()
    cached.loss(pieces)
    expected, found = gradients(whole.model), gradients(cached.model)
    assert "of_text.top.layer.down.weight" in expected
    assert set(expected) == set(found)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize("family", list(SIZES))
@pytest.mark.parametrize("chunk", [1, 7, 33])
def test_gradient_caching_gives_the_gradients_of_the_whole_batch(family, chunk):
    whole, cached = task(family), task(family, chunk=chunk)
    (batch, _), (pieces, _) = next(whole.batches(0, 0)), next(cached.batches(0, 0))
    assert len(batch.chunks) == 1
    assert len(pieces.chunks) == -(-100 // chunk)
    loss = whole.loss(batch)
    loss.backward()
    assert float(cached.loss(pieces)) == pytest.approx(float(loss.detach()), abs=1e-5)
    expected, found = gradients(whole.model), gradients(cached.model)
    assert set(expected) == set(found)
    assert TABLES[family] in expected
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


def test_both_passes_drop_the_same_activations():
    """A dropped output has a gradient of exactly zero only if the second pass drops what the first one did."""
    torch.manual_seed(0)
    layer, drop, seen = nn.Linear(3, 50), nn.Dropout(0.5), []

    def encode(chunk):
        seen.append(drop(layer(chunk)))
        return (seen[-1],)

    cached_loss(encode, [torch.randn(4, 3), torch.randn(2, 3)], lambda out: out.square().sum())
    first, second = seen[:2], seen[2:]
    assert all(torch.equal(one, other.detach()) for one, other in zip(first, second, strict=True))
    assert (first[0] == 0).any()


def test_rows_learn_to_find_their_texts(tmp_path):
    aligned = task(epochs=8)
    before = aligned.validate()
    train_task(aligned, aligned._config, tmp_path / "run")
    after = aligned.validate()
    assert before["alignment"] < 0.4
    assert after["alignment"] > 0.9
    assert after["alignment_loss"] < before["alignment_loss"]


def test_a_killed_alignment_ends_in_the_same_weights(tmp_path):
    straight = task(epochs=2, checkpoint_steps=1)
    train_task(straight, straight._config, tmp_path / "straight")
    killed = task(epochs=2, checkpoint_steps=1)
    loss, calls = killed.loss, []

    def dies(batch):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return loss(batch)

    killed.loss = dies
    with pytest.raises(KeyboardInterrupt):
        train_task(killed, killed._config, tmp_path / "killed")
    resumed = task(epochs=2, checkpoint_steps=1)
    train_task(resumed, resumed._config, tmp_path / "killed")
    for name, weight in straight.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], weight), name


@pytest.mark.parametrize(("family", "backbone"), [("ctrl", "tabular"), ("ctrl-dnn", "dnn")])
def test_the_ranker_takes_every_weight_of_the_aligned_one_and_nothing_else(family, backbone):
    aligned, dataset = task(family).model, SmallDataset()
    config = parse_model({"family": backbone, **SIZES[family]}, "test")
    ranker = build_model(config, dataset.spec, dataset.item_fields_VI)
    taken = start_from_weights(ranker, starting_weights(aligned), freeze=False)
    assert set(taken) == set(ranker.state_dict())
    assert all(torch.equal(ranker.state_dict()[name], aligned.ranker.state_dict()[name]) for name in taken)
