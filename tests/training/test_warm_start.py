"""Starting from another model's weights: what is taken, what stays frozen, and that HSTU + DNN then is the DNN."""

import pytest
import torch
from torch import nn

from plait.errors import TrainingError
from plait.models.batch import Batch
from plait.models.builder import build_model
from plait.models.config import DnnConfig, HstuConfig, SequenceConfig
from plait.testing.batches import random_batch, random_item_fields, small_spec
from plait.training.warm_start import set_training_mode, start_from_weights


def models() -> tuple[nn.Module, nn.Module, Batch]:
    spec = small_spec()
    items = random_item_fields(spec, seed=1)
    torch.manual_seed(5)
    dnn = build_model(DnnConfig(embedding_dim=4, hidden=[8], cross_rank=2), spec, items)
    sequence = SequenceConfig(width=8, heads=1, blocks=1, max_events=16)
    hstu = build_model(HstuConfig(embedding_dim=4, hidden=[8], cross_rank=2, sequence=sequence), spec, items)
    return dnn, hstu, Batch.from_features(random_batch(spec, items, seed=2))


def test_hstu_begins_as_the_dnn_it_starts_from():
    dnn, hstu, batch = models()
    dnn.eval(), hstu.eval()
    assert not torch.allclose(hstu(batch), dnn(batch))
    taken = start_from_weights(hstu, dnn.state_dict(), freeze=True)
    assert set(taken) == set(dnn.state_dict())
    torch.testing.assert_close(hstu(batch), dnn(batch), rtol=0, atol=1e-6)


def test_what_was_taken_is_frozen_and_out_of_training_mode():
    dnn, hstu, batch = models()
    start_from_weights(hstu, dnn.state_dict(), freeze=True)
    set_training_mode(hstu)
    assert not hstu.trunk.training
    assert not hstu.head.training
    assert hstu.user_state.training
    assert hstu.sequence_head.training
    hstu(batch).sum().backward()
    assert all(parameter.grad is None for parameter in hstu.head.parameters())
    assert hstu.sequence_head.out.weight.grad.abs().sum() > 0


def test_without_freezing_everything_goes_on_training():
    dnn, hstu, batch = models()
    start_from_weights(hstu, dnn.state_dict(), freeze=False)
    set_training_mode(hstu)
    assert hstu.trunk.training
    hstu(batch).sum().backward()
    assert hstu.head.objectives.weight.grad.abs().sum() > 0


def test_models_with_nothing_in_common_are_refused():
    with pytest.raises(TrainingError, match="share no weight"):
        start_from_weights(nn.Linear(2, 3), {"other": torch.zeros(1)}, freeze=True)
    with pytest.raises(TrainingError, match="share no weight"):
        start_from_weights(nn.Linear(2, 3), {"weight": torch.zeros(5, 5)}, freeze=True)
