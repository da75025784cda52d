"""The hybrid experts against the formula, expert by expert."""

import pytest
import torch

from plait.nn.hybrid_experts import HybridExperts


def test_each_vector_mixes_its_own_experts_and_the_shared_ones():
    torch.manual_seed(0)
    experts, vectors = HybridExperts([3, 3], 5, own=2, shared=1, hidden=4), [torch.randn(6, 3), torch.randn(6, 3)]
    found_BGD = experts(vectors)
    assert found_BGD.shape == (6, 2, 5)
    for group, vector_BW in enumerate(vectors):
        weight_BE = torch.softmax(vector_BW @ experts.gates[group].weight.T + experts.gates[group].bias, dim=1)
        chosen = [experts.own[group][0], experts.own[group][1], experts.shared[0]]
        expected_BD = sum(weight_BE[:, [place]] * expert(vector_BW) for place, expert in enumerate(chosen))
        torch.testing.assert_close(found_BGD[:, group], expected_BD)


def test_without_experts_a_vector_is_projected():
    experts = HybridExperts([2, 3], 4)
    assert [tuple(weight.shape) for weight in experts.parameters()] == [(4, 2), (4,), (4, 3), (4,)]
    vector_BW = torch.tensor([[1.0, 2.0, 3.0]])
    expected_BD = vector_BW @ experts.own[1][0].weight.T + experts.own[1][0].bias
    torch.testing.assert_close(experts([torch.zeros(1, 2), vector_BW])[:, 1], expected_BD)


def test_shared_experts_need_one_width():
    with pytest.raises(ValueError, match="one width"):
        HybridExperts([2, 3], 4, shared=1)
