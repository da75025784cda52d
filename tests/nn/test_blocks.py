import math

import pytest
import torch

from plait.nn.cross import CrossNetwork
from plait.nn.embedding import FieldTable, TokenTable, compact, hide_codes
from plait.nn.jagged import last_events, share_passes
from plait.nn.products import product
from plait.nn.target_attention import TargetAttention, weighted_sum
from plait.nn.time_buckets import time_bucket


def test_fields_have_their_own_rows():
    table = FieldTable([2, 3], dim=1)
    table.table.weight.data = torch.tensor([[0.0], [1.0], [10.0], [11.0], [12.0]])
    assert table(torch.tensor([[1, 0], [0, 2]])).squeeze(2).tolist() == [[1.0, 10.0], [0.0, 12.0]]
    assert table.lookup(torch.tensor([[2], [1]]), [1]).flatten().tolist() == [12.0, 11.0]


def test_bags_are_the_means_of_their_codes():
    """Two fields of 2 and 3 codes: 1 and 2 are the first one's, 3 to 5 the second's."""
    table = TokenTable([2, 3], dim=1)
    table.table.weight.data = torch.tensor([[99.0], [1.0], [2.0], [10.0], [20.0], [30.0]])
    codes_N, offsets_J1 = torch.tensor([2, 1, 5, 5, 3], dtype=torch.int32), torch.tensor([0, 2, 2, 5])
    assert table(codes_N, offsets_J1).flatten().tolist() == [1.5, 0.0, pytest.approx(70 / 3)]
    padded_JC = torch.tensor([[2, 1, 0], [0, 0, 0], [5, 5, 3]], dtype=torch.int32)
    assert table.padded(padded_JC).flatten().tolist() == [1.5, 0.0, pytest.approx(70 / 3)]
    assert table(codes_N[:0], offsets_J1[:1]).shape == (0, 1)


def test_tokens_are_hidden_as_their_fields_unknown_one():
    table, codes_N = TokenTable([2, 3], dim=1), torch.tensor([2, 5] * 5_000, dtype=torch.int32)
    assert table.hide(codes_N, 0.3, training=False) is codes_N
    torch.manual_seed(0)
    hidden_N = table.hide(codes_N, 0.3, training=True)
    assert set(hidden_N[::2].tolist()) == {1, 2}
    assert set(hidden_N[1::2].tolist()) == {3, 5}
    assert 0.27 < (hidden_N != codes_N).float().mean() < 0.33


def test_compact():
    distinct_M, slot_N = compact(torch.tensor([7, 2, 7, 0]), 9)
    assert distinct_M.tolist() == [0, 2, 7]
    assert slot_N.tolist() == [2, 1, 2, 0]


def test_codes_are_hidden_in_training_only():
    codes_BF = torch.ones(200, 50, dtype=torch.int32)
    assert hide_codes(codes_BF, 0.3, training=False).sum() == 10_000
    torch.manual_seed(0)
    assert 0.67 < hide_codes(codes_BF, 0.3, training=True).float().mean() < 0.73


@pytest.mark.parametrize(
    ("milliseconds", "bucket"),
    [(0, 0), (1_000, 0), (-2_000, 2), (2_000, 2), (3_600_000, 27), (10**18, 114)],
)
def test_time_buckets(milliseconds, bucket):
    """floor(ln(seconds) / 0.301): ln 2 = 0.693, ln 3600 = 8.189, ln 10^15 = 34.54."""
    assert bucket == math.floor(math.log(max(1, abs(milliseconds) / 1000)) / 0.301)
    assert time_bucket(torch.tensor([milliseconds])).item() == bucket


def test_last_events():
    windows = last_events(torch.tensor([0, 4, 6]), torch.tensor([0, 1, 0]), torch.tensor([3, 0, 1]), 2)
    assert windows.rows_WL.tolist() == [[1, 2], [0, 0], [0, 0]]
    assert windows.valid_WL.tolist() == [[True, True], [False, False], [True, False]]


def test_exposures_share_passes():
    """Limit 4, stride 2: b = 4 starts at 0, b = 5 and 6 at 2, b = 7 at 4."""
    offsets_U1 = torch.tensor([0, 10, 13])
    passes = share_passes(offsets_U1, torch.tensor([0, 0, 0, 0, 1]), torch.tensor([4, 5, 6, 7, 2]), 4)
    first = [row[0] for row in passes.windows.rows_WL.tolist()]
    assert [first[index] for index in passes.pass_B] == [0, 2, 2, 4, 10]
    assert passes.seen_B.tolist() == [4, 3, 4, 3, 2]
    assert passes.windows.valid_WL.sum(1).tolist() == [4, 4, 3, 2]


def test_cross_network_by_hand():
    """x0 = (2, 3), W = identity, b = 1: x1 = x0 * (x0 + 1) + x0 = (8, 15)."""
    cross = CrossNetwork(2, 1, None)
    torch.nn.init.eye_(cross.layers[0].weight)
    torch.nn.init.ones_(cross.layers[0].bias)
    assert cross(torch.tensor([[2.0, 3.0]])).tolist() == [[8.0, 15.0]]


def attention_of_the_paper(unit: TargetAttention, candidate_D, key_LD, offset_LH):
    """The published unit: an MLP over `[q, k, q - k, q * k]`, with zero weights on `q - k`."""
    hidden = unit.from_product_DH.shape[1]
    weight = torch.cat(
        [unit.from_candidate.weight, unit.from_key_DH.T, torch.zeros(hidden, len(candidate_D)), unit.from_product_DH.T],
        dim=1,
    )
    q_LD = candidate_D.expand_as(key_LD)
    parts = torch.cat([q_LD, key_LD, q_LD - key_LD, q_LD * key_LD], dim=1)
    score_L = unit.score(torch.relu(parts @ weight.T + unit.from_candidate.bias + offset_LH)).squeeze(1)
    return torch.softmax(torch.cat([score_L, torch.zeros(1)]), 0)[:-1]


@pytest.mark.parametrize("shared", [True, False])
def test_target_attention_is_the_factorised_published_unit(shared):
    torch.manual_seed(0)
    unit = TargetAttention(6, 5)
    candidate_BD, key_LD, offset_LH = torch.randn(4, 6), torch.randn(7, 6), torch.randn(7, 5)
    if shared:
        weight_BL = unit.over_shared(candidate_BD, unit.shared_matrix(key_LD[:5], offset_LH[:5]))
        torch.testing.assert_close(weight_BL.sum(1), torch.ones(4))  # the null event is the last one
    else:
        valid_L = torch.tensor([True] * 5 + [False] * 2)
        key_BLD = key_LD.expand(4, 7, 6)
        weight_BL = unit(candidate_BD, key_BLD, offset_LH.expand(4, 7, 5), valid_L.expand(4, 7))
        assert (weight_BL[:, 5:] == 0.0).all()
        torch.testing.assert_close(weighted_sum(weight_BL, key_BLD), weight_BL @ key_LD)
    for index in range(4):
        expected_L = attention_of_the_paper(unit, candidate_BD[index], key_LD[:5], offset_LH[:5])
        torch.testing.assert_close(weight_BL[index, :5], expected_L)


@pytest.mark.parametrize("rows", [3, 200])
def test_products_add_and_cut_as_they_should(rows):
    """Few rows, and many (through oneDNN where PyTorch has it), also as a slice of longer rows; as if written out."""
    torch.manual_seed(0)
    whole_BI, matrix_OI, bias_O, added_BO = (torch.randn(shape) for shape in ((rows, 9), (5, 7), (5,), (rows, 5)))
    input_BI, kept_BO = whole_BI[:, 2:], added_BO.clone()
    expected_BO = (input_BI.double() @ matrix_OI.double().T).float()
    with torch.inference_mode():
        for bias, added in ((None, None), (bias_O, None), (None, added_BO), (bias_O, added_BO)):
            wanted_BO = expected_BO + (0 if bias is None else bias) + (0 if added is None else added)
            for relu in (False, True):
                found_BO = product(input_BI, matrix_OI.T, bias, added, relu=relu)
                torch.testing.assert_close(found_BO, wanted_BO.relu() if relu else wanted_BO, rtol=1e-5, atol=1e-5)
    assert torch.equal(added_BO, kept_BO)


def test_products_have_gradients():
    """2 x 3 + 1 = 7: the gradient of x is 3."""
    input_BI = torch.full((300, 1), 2.0, requires_grad=True)
    output_BO = product(input_BI, torch.tensor([[3.0]]), torch.tensor([1.0]), relu=True)
    assert output_BO[0].item() == 7.0
    output_BO.sum().backward()
    assert input_BI.grad[0].item() == 3.0
