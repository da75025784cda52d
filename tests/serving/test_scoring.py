"""A model as a function from features to probabilities."""

import numpy as np
import pytest
import torch

from plait.features.batch import FeatureBatch
from plait.features.history import History
from plait.features.online import OnlineFeatures
from plait.models.batch import Batch
from plait.models.loading import load_model
from plait.serving.scoring import TorchScorer, item_vectors
from plait.serving.split_scoring import SplitScorer

BAGS = ("bag_BP", "token_offsets_J1", "token_codes_N")


def listed(batch):
    """The codes of every row's bags, wherever these stand."""
    ends = batch.token_offsets_J1
    return [[batch.token_codes_N[ends[bag] : ends[bag + 1]].tolist() for bag in row] for row in batch.bag_BP]


def request(online, dataset, user, events, candidates=4):
    history = dataset.history(user).last(events) if events else History.empty()
    rows = np.arange(1, candidates + 1)
    context = online.encode_context("search", 1_701_000_000_000, {"query": "下棋"})
    return online.batch(user, rows, rows, history, context, length=40)


@pytest.mark.parametrize("family", ["dnn", "hstu", "lr"])
def test_further_creatives_score_as_a_batch_of_their_own(world, family):
    """Rows 3, 0 and 3 again in other creatives: the features and probabilities of the batch made of them anew."""
    dataset, online = world.cut, OnlineFeatures.open(world.cut_data.encoded)
    plain, scorer = (load_model(world.registry.resolve(family)) for _ in range(2))
    scorer = SplitScorer(scorer) if family == "hstu" else TorchScorer(scorer)
    first = request(online, dataset, 1, 30)
    rows, creatives = np.array([3, 0, 3]), np.array([5, 2, 0])
    further = online.with_creatives(first, rows, creatives)
    context = online.encode_context("search", 1_701_000_000_000, {"query": "下棋"})
    anew = online.batch(1, rows + 1, creatives, dataset.history(1).last(30), context, length=40)
    for name in FeatureBatch.__dataclass_fields__:
        if name not in BAGS:
            np.testing.assert_array_equal(getattr(further, name), getattr(anew, name), err_msg=name)
    assert listed(further) == listed(anew)
    assert any(codes for row in listed(anew) for codes in row)
    with torch.inference_mode():
        expected = torch.sigmoid(plain(Batch.from_features(anew))).numpy()
    np.testing.assert_allclose(scorer.begin(first)(further), expected, atol=1e-6, rtol=0)


def test_only_rankers_are_served():
    with pytest.raises(TypeError, match="Linear"):
        TorchScorer(torch.nn.Linear(2, 2))


def test_item_vectors_are_those_that_the_model_compares(world):
    """The id's embedding beside the mean of the categories' and of the tags' mean, from the tables themselves."""
    model, spec, items = load_model(world.registry.resolve("dnn")), world.cut.spec, world.cut.tables.items
    vectors = item_vectors(model, world.cut.tables.item_rows_RI)
    starts = np.concatenate([[0], np.cumsum([field.size for field in spec.fields])[:-1]])
    weight = model.trunk.fields.table.weight.detach().numpy()
    first, *others = (
        weight[starts[column] + items.codes_RF[7, place]] for place, column in enumerate(spec.item_columns)
    )
    tags = items.bags_of(np.array([7])).codes_N  # item 6 of the table has two
    assert len(tags) == 2
    others.append(model.trunk.tokens.table.weight.detach().numpy()[tags].mean(axis=0))
    np.testing.assert_allclose(vectors[7], np.concatenate([first, np.mean(others, axis=0)]), rtol=1e-6)
    assert not vectors[0].any()
    linear = load_model(world.registry.resolve("lr"))
    assert item_vectors(linear, world.cut.tables.item_rows_RI) is None
