"""Losses by hand, their best point, and gradients that do not go against each other."""

import math

import numpy as np
import pytest
import torch

from plait.errors import ConfigError
from plait.models.builder import build_model
from plait.models.config import parse_model
from plait.nn.experts import ExpertLayers, Gate
from plait.schema import Split
from plait.testing.training_data import SmallDataset
from plait.training import TrainingConfig, predict, train
from plait.training.conflict import conflicts, cosines, objective_gradients, project, shared_weights, surgery
from plait.training.objective import ObjectiveLosses, combined, objective_losses
from plait.training.ranking import RankingTask, objective_weights
from plait.training.routing import LevelLoad, RoutingWatch, alarms

ONES = torch.ones(2)


def test_weighted_positives_leave_the_chance_where_it_is():
    """1 positive of 4, weight 9: the loss is least at the logit of 1/4, where its derivative by hand is 0."""
    labels_BT = torch.tensor([[1.0], [0.0], [0.0], [0.0]])
    logit = torch.tensor(math.log(1 / 3), requires_grad=True)
    losses = objective_losses(logit.expand(4, 1), labels_BT, torch.ones(4, 1, dtype=torch.bool), torch.tensor([9.0]))
    # z = log(9 / 3): odds 3, chance 3/4. (9 * log(1 + 1/3) + 3 * log(1 + 3)) / 4
    assert losses.mean_T.item() == pytest.approx((9 * math.log(4 / 3) + 3 * math.log(4)) / 4)
    losses.mean_T.sum().backward()
    assert logit.grad.item() == pytest.approx(0.0, abs=1e-6)


def test_uncertainty_weights_are_one_over_the_loss():
    mean_T = torch.tensor([0.5, 0.02], requires_grad=True)
    loss = combined(ObjectiveLosses(mean_T, ONES), ONES, "uncertainty")
    assert loss.item() == pytest.approx((math.log(0.5) + math.log(0.02)) / 2)
    loss.backward()
    assert mean_T.grad.tolist() == pytest.approx([0.5 / 0.5, 0.5 / 0.02])


def test_conflicting_gradients_by_hand():
    """(1, 0) and (-1, 1): each loses its part along the other, (1/2, 1/2) and (0, 1)."""
    gradient_TP = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
    torch.testing.assert_close(project(gradient_TP, [0, 1]), torch.tensor([[0.5, 0.5], [0.0, 1.0]]))
    assert project(torch.eye(2), [1, 0]).tolist() == torch.eye(2).tolist()
    assert cosines(gradient_TP)[0, 1].item() == pytest.approx(-1.0)  # by the weight that both move
    assert cosines(gradient_TP)[1, 1].item() == pytest.approx(1.0)
    assert torch.isnan(cosines(torch.eye(2))[0, 1])


def test_conflicts_by_hand():
    """Of three pairs one is known to agree, one to disagree, one is not known."""
    nan = math.nan
    cosine_TT = torch.tensor([[1.0, 0.3, -0.4], [0.3, 1.0, nan], [-0.4, nan, 1.0]])
    numbers, words = conflicts(cosine_TT, ["click", "pay", "dislike"])
    assert numbers == {"conflicting_pairs": 0.5, "least_cosine": pytest.approx(-0.4)}
    assert words == ["gradients against each other: click x dislike (-0.40)"]
    assert conflicts(torch.full((2, 2), nan), ["click", "pay"]) == ({}, [])


def test_the_log_says_how_gradients_get_on():
    dataset = SmallDataset()
    task = RankingTask(dataset, experts_model(dataset), TrainingConfig(conflict_batches=2, batch_size=128))
    task.model.train()
    metrics = task.validate()
    assert -1 <= metrics["least_cosine"] <= 1
    assert metrics["conflicting_pairs"] == float(metrics["least_cosine"] < 0)  # two objectives: one pair
    assert task.model.training
    assert all(weight.grad is None for weight in task.model.parameters())


def test_weighted_positives_leave_a_trained_model_calibrated(tmp_path):
    """PCOC of a model that learned with weight 20 is that of one without, where uncorrected odds would be 20-fold."""
    dataset = SmallDataset(users=200)
    ratios = []
    for weights in ({}, {"objective_0": 20.0, "objective_1": 20.0}):
        model = experts_model(dataset)
        config = TrainingConfig(epochs=4, batch_size=128, positive_weights=weights, tensorboard=False)
        train(dataset, model, config, tmp_path / str(len(weights)))
        one = predict(dataset, model, Split.TRAIN)
        ratios.append((one.probabilities_BT * one.mask_BT).sum() / (one.labels_BT * one.mask_BT).sum())
    assert ratios == pytest.approx([1.0, 1.0], abs=0.05)


def test_a_share_of_users_is_trained_on():
    dataset = SmallDataset()
    task = RankingTask(dataset, experts_model(dataset), TrainingConfig(share=0.3, share_of="users"))
    rows_B = np.concatenate([batch.user_B.numpy() for batch, _ in task.batches(0, 0)])
    whole = len(dataset.rows(Split.TRAIN))
    assert 0.3 * whole <= len(rows_B) < 0.4 * whole


def test_surgery_makes_the_gradient_pcgrads():
    weight = torch.nn.Parameter(torch.zeros(2))
    mean_T = torch.stack([weight[0], weight[1] - weight[0]]) + 1.0
    losses = ObjectiveLosses(mean_T, ONES)
    term = surgery(losses, ONES, [weight])
    assert term.item() == 0.0
    (combined(losses, ONES) + term).backward()
    torch.testing.assert_close(weight.grad, torch.tensor([0.25, 0.75]))  # halves of (1/2, 1/2) + (0, 1)


def experts_model(dataset, **experts):
    torch.manual_seed(0)
    sizes = {"embedding_dim": 4, "hidden": [8], "cross_rank": 2, "attention": {"events": 5, "hidden": 4}}
    config = {"family": "dnn", **sizes, "experts": {"shared": 3, "hidden": [8], **experts}}
    return build_model(parse_model(config, "test"), dataset.spec, dataset.item_fields_VI)


def test_gradients_of_objectives_add_up_to_the_gradient_of_the_mean():
    dataset = SmallDataset()
    model = experts_model(dataset, routing="softmax").eval()
    task = RankingTask(dataset, model, TrainingConfig(batch_size=64))
    batch, _ = next(iter(task.batches(0, 0)))
    losses = objective_losses(model(batch), batch.labels_BT, batch.mask_BT)
    weights = shared_weights(model)
    each_TP = objective_gradients(losses.mean_T, weights)
    whole = torch.autograd.grad(losses.mean_T.mean(), weights, allow_unused=True)
    whole_P = torch.cat(
        [torch.zeros(w.numel()) if part is None else part.flatten() for part, w in zip(whole, weights, strict=True)]
    )
    torch.testing.assert_close(each_TP.mean(0), whole_P)


@pytest.mark.parametrize("balancing", ["none", "uncertainty", "pcgrad"])
@pytest.mark.parametrize("entire_space", [False, True])
def test_every_way_of_balancing_learns(tmp_path, balancing, entire_space):
    dataset = SmallDataset()
    model = experts_model(dataset, routing="topk")
    if entire_space:
        config = parse_model({"family": "dnn", "hidden": [8], "cross_rank": 2, "entire_space": True}, "test")
        model = build_model(config, dataset.spec, dataset.item_fields_VI)
    config = TrainingConfig(
        epochs=12, patience=12, batch_size=64, learning_rate=0.02, balancing=balancing, tensorboard=False
    )
    result = train(dataset, model, config, tmp_path / "run")
    assert max(point.auc for point in result.curve) > 0.58


def test_one_objective_alone_leaves_the_others_outputs_as_they_were():
    dataset = SmallDataset()
    model = experts_model(dataset)
    task = RankingTask(dataset, model, TrainingConfig(objectives=["objective_1"]))
    batch, _ = next(iter(task.batches(0, 0)))
    task.loss(batch).backward()
    gradient_TX = model.head.objectives.weight.grad
    assert (gradient_TX[0] == 0).all()
    assert (gradient_TX[1] != 0).any()


def test_unknown_objectives_are_refused():
    with pytest.raises(ConfigError, match="positive_weights: no objective 'clik'; did you mean 'click'"):
        objective_weights(TrainingConfig(positive_weights={"clik": 3.0}), ["click", "pay"])
    with pytest.raises(ConfigError, match="objectives: no objective"):
        objective_weights(TrainingConfig(objectives=["buy"]), ["click", "pay"])


def test_balance_by_hand():
    """Three of four rows go to expert 0, mean probability .7 and .3: 2 (3/4 * .7 + 1/4 * .3) = 1.2."""
    model = torch.nn.ModuleList([Gate(torch.ones(1, 2, dtype=torch.bool), "topk", capacity=4.0), ExpertLayers(2, [1])])
    watch = RoutingWatch(model)
    chance_B = torch.tensor([0.9, 0.9, 0.9, 0.1])
    logits_BGE = torch.log(torch.stack([chance_B, 1 - chance_B], dim=1))[:, None].requires_grad_()
    model[0](logits_BGE)
    assert watch.balance().item() == pytest.approx(1.2)
    assert watch.balance() is None


def test_alarms_by_hand():
    reads_GE = torch.tensor([[True, True, True, False], [True, True, False, True]])
    weight_GE = torch.tensor([[0.95, 0.01, 0.04, 0.0], [0.5, 0.01, 0.0, 0.49]])
    load = LevelLoad(weight_GE, reads_GE, silent_E=torch.tensor([0.1, 0.2, 0.2, 1.0]))
    assert load.dead() == [1, 3]  # ignored by both; silent
    assert load.polarised() == [0]
    numbers, words = alarms([load])
    assert numbers["dead_experts"] == 2
    assert words == ["dead experts: 1, 3", "gates that read one expert only: 0"]
    assert alarms([]) == ({}, [])


def test_a_collapsed_gate_is_said_in_log_and_console(tmp_path, capsys):
    dataset = SmallDataset()
    model = experts_model(dataset, routing="softmax", gates="global")
    start = model.head._parts[0]
    model.head.first.bias.data[start : start + 3] = torch.tensor([20.0, -20.0, -20.0])
    metrics = RankingTask(dataset, model, TrainingConfig()).validate()
    assert (metrics["dead_experts"], metrics["polarised_gates"]) == (2, 1)
    assert metrics["largest_share"] == pytest.approx(1.0)
    assert np.isfinite(metrics["logloss"])
    output = capsys.readouterr()
    assert "dead experts: 1, 2; gates that read one expert only: 0" in (output.out + output.err).replace("\n", " ")
