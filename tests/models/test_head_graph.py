"""The head as one function of tensors: the logits of the whole model, exported once for any number of candidates."""

import pytest
import torch
from test_split import CONFIG, WITH_EXPERTS, ranker, request, whole_user

from plait.models.head_graph import HeadGraph, HeadInputs, exported


@pytest.fixture(params=[CONFIG, WITH_EXPERTS], ids=["mlp", "experts"])
def config(request):
    return request.param


@pytest.fixture
def case(config):
    """A head as a graph; for 12 and for 5 candidates of one request its inputs and the whole model's logits."""
    model, features = ranker(config), whole_user(30)
    tower, head = model.split()
    steps = tower.steps()
    batch, events = request(features, 29)
    user = steps.summary(steps.follow(None, events))
    inputs = HeadInputs.of(user, batch, model.split()[1].events)
    fewer = inputs._replace(**{name: part[:5] for name, part in inputs._asdict().items() if "_K" in name})
    expected_KT = model(batch)
    return HeadGraph(head), ((inputs, expected_KT), (fewer, expected_KT[:5]))


def test_the_graph_has_the_logits_of_the_whole_model(case):
    graph, requests = case
    for inputs, expected_KT in requests:
        torch.testing.assert_close(graph(*inputs), expected_KT, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_exported_for_any_number_of_candidates(case):
    graph, requests = case
    program = exported(graph, HeadInputs(*(part.clone() for part in requests[0][0]))).module()
    for inputs, expected_KT in requests:
        torch.testing.assert_close(program(*inputs), expected_KT, rtol=1e-5, atol=1e-5)
