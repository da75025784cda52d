"""Delayed feedback where the truth is known: the naive loss is low, the corrected one is not."""

import numpy as np
import pytest
import torch

from plait.errors import ConfigError
from plait.training.config import TrainingConfig
from plait.training.delayed import KnownShares, delayed_losses, importance_losses, known_shares
from plait.training.objective import objective_losses
from plait.training.ranking import objective_weights

HOUR = 3_600_000


def test_shares_by_hand():
    """Delays 1 and 3 of exposures watched for 4, and 1 of one watched for 2.

    At 3 only the two that were watched so long count, and one of them is at 3: 1 - 1/2 of delays are shorter. Of the
    naive shares, 2 of 3 would be.
    """
    delay_K, share_K = known_shares(np.array([1, 3, 1]), np.array([4, 4, 2]))
    assert delay_K.tolist() == [1, 3]
    assert share_K.tolist() == [0.5, 1.0]


def test_shares_of_nothing():
    delay_K, share_K = known_shares(np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert (delay_K.tolist(), share_K.tolist()) == ([0], [1.0])


def world(exposures=400_000, rate=0.2, seed=0):
    """Exposures over ten hours up to `as_of` = 10 h; positives become known after an exponential delay, mean 3 h."""
    rng = np.random.default_rng(seed)
    time_B = rng.integers(0, 10 * HOUR, exposures)
    happens_B = rng.random(exposures) < rate
    delay_B = np.minimum(rng.exponential(3 * HOUR, exposures), 8 * HOUR).astype(np.int64)
    after_B = np.where(happens_B, delay_B, np.iinfo(np.int64).max)
    return time_B, after_B[:, None], 10 * HOUR


def test_shares_are_those_of_the_delays():
    time_B, after_BT, as_of = world()
    shares = KnownShares.of(as_of, after_BT, time_B)
    elapsed = torch.tensor([0.5, 1.0, 3.0, 6.0, 9.0]) * HOUR
    found = shares.at((as_of - elapsed).long())[:, 0].numpy()
    expected = 1 - np.exp(-elapsed.numpy() / (3 * HOUR))
    expected[-1] = 1.0  # no delay is longer than 8 hours
    np.testing.assert_allclose(found, expected, atol=0.012)


def test_feedback_after_as_of_has_no_say():
    time_B, after_BT, as_of = world(20_000)
    known_BT = after_BT <= as_of - time_B[:, None]
    cut_BT = np.where(known_BT, after_BT, np.iinfo(np.int64).max)
    one, two = (KnownShares.of(as_of, feedback, time_B) for feedback in (after_BT, cut_BT))
    assert torch.equal(one.share_TK, two.share_TK)


def fitted_rate(shares, time_B, known_BT):
    """The one probability that makes the loss small."""
    logit = torch.zeros(1, requires_grad=True)
    share_BT, labels_BT = shares.at(torch.from_numpy(time_B)), torch.from_numpy(known_BT).float()
    optimiser = torch.optim.LBFGS([logit], max_iter=50, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = delayed_losses(logit.expand(len(labels_BT), 1), labels_BT, share_BT).mean_T.sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return torch.sigmoid(logit.detach()).item()


def test_naive_is_low_and_corrected_is_right():
    """Naive finds the mean share known, 0.2 * E[F(elapsed)]; the corrected loss finds 0.2."""
    time_B, after_BT, as_of = world()
    known_BT = after_BT <= as_of - time_B[:, None]
    naive = fitted_rate(KnownShares.complete(as_of, 1), time_B, known_BT)
    assert naive == pytest.approx(known_BT.mean(), abs=1e-4)
    assert naive < 0.15
    assert fitted_rate(KnownShares.of(as_of, after_BT, time_B), time_B, known_BT) == pytest.approx(0.2, abs=0.004)


def test_importance_weights_find_the_same_rate():
    """A loss whose weights follow the model has no value to search by, only a gradient that vanishes at the truth."""
    time_B, after_BT, as_of = world()
    known_BT = after_BT <= as_of - time_B[:, None]
    shares = KnownShares.of(as_of, after_BT, time_B)
    share_BT, labels_BT = shares.at(torch.from_numpy(time_B)), torch.from_numpy(known_BT).float()
    logit = torch.zeros(1, requires_grad=True)
    for _ in range(60):
        loss = importance_losses(logit.expand(len(labels_BT), 1), labels_BT, share_BT).mean_T.sum()
        (slope,) = torch.autograd.grad(loss, logit)
        logit = (logit - 4.0 * slope).detach().requires_grad_()
    assert torch.sigmoid(logit.detach()).item() == pytest.approx(0.2, abs=0.006)


def test_importance_weights_by_hand():
    """p = 1/2, F = 1/2: a positive counts 2, a negative (1 - p) / (1 - p F) = 2/3; where F is 0 nothing counts."""
    logits_BT = torch.zeros(3, 1, requires_grad=True)
    share_BT = torch.tensor([[0.5], [0.5], [0.0]])
    importance_losses(logits_BT, torch.tensor([[1.0], [0.0], [0.0]]), share_BT).mean_T.sum().backward()
    np.testing.assert_allclose(logits_BT.grad[:, 0].numpy(), [-0.5 * 2 / 2, 0.5 * 2 / 3 / 2, 0.0], atol=1e-6)


def test_final_labels_have_no_weights():
    rng = torch.Generator().manual_seed(1)
    logits_BT, labels_BT = torch.randn(50, 2, generator=rng), (torch.rand(50, 2, generator=rng) < 0.3).float()
    found = importance_losses(logits_BT, labels_BT, torch.ones(50, 2))
    expected = objective_losses(logits_BT, labels_BT, torch.ones(50, 2, dtype=torch.bool))
    torch.testing.assert_close(found.mean_T, expected.mean_T)


def test_shares_of_none_and_all_are_waiting():
    rng = torch.Generator().manual_seed(0)
    logits_BT = torch.randn(50, 3, generator=rng) * 4
    labels_BT = (torch.rand(50, 3, generator=rng) < 0.3).float()
    mask_BT = torch.rand(50, 3, generator=rng) < 0.7
    mask_BT[:, 2] = False
    found = delayed_losses(logits_BT, labels_BT, mask_BT.float())
    expected = objective_losses(logits_BT, labels_BT, mask_BT)
    torch.testing.assert_close(found.mean_T, expected.mean_T)
    torch.testing.assert_close(found.known_T, expected.known_T)


def test_the_gradient_by_hand():
    """d/dz of -log(1 - p F) is F p (1 - p) / (1 - p F); of -log p it is p - 1."""
    logits_BT = torch.tensor([[0.0], [0.0], [0.0]], requires_grad=True)
    share_BT = torch.tensor([[0.5], [0.5], [0.0]])
    delayed_losses(logits_BT, torch.tensor([[0.0], [1.0], [0.0]]), share_BT).mean_T.sum().backward()
    expected = [0.5 * 0.25 / 0.75 / 2, -0.5 / 2, 0.0]
    np.testing.assert_allclose(logits_BT.grad[:, 0].numpy(), expected, atol=1e-6)


def test_positive_weights_have_no_place_in_it():
    config = TrainingConfig(delayed_feedback="dfm", positive_weights={"pay": 2.0})
    with pytest.raises(ConfigError, match=r"delayed_feedback = 'dfm'.*leave one of the two out"):
        objective_weights(config, ("pay",))
