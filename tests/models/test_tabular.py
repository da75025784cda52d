"""The tabular family: each named model is the published sum of its parts, and sees the sources it was told to see."""

import dataclasses
from itertools import combinations

import numpy as np
import pytest
import torch

from plait.errors import ConfigError
from plait.features.spec import Number
from plait.models.batch import Batch
from plait.models.builder import build_model
from plait.models.config import parse_model
from plait.testing.batches import random_batch, random_item_fields, small_spec
from plait.training import load_recipe_by_name

SPEC = small_spec()
ITEM_FIELDS = random_item_fields(SPEC)
FEATURES = random_batch(SPEC, ITEM_FIELDS, users=4, exposures_per_user=3, seed=1)


def model(**sizes):
    torch.manual_seed(0)
    return build_model(
        parse_model({"family": "tabular", "embedding_dim": 4, "hidden": [8], **sizes}, "test"), SPEC, ITEM_FIELDS
    ).eval()


def moved(ranker, **arrays) -> bool:
    """Whether any logit changes with these arrays of the batch."""
    with torch.inference_mode():
        before, after = (
            ranker(Batch.from_features(each)) for each in (FEATURES, dataclasses.replace(FEATURES, **arrays))
        )
    return not torch.equal(before, after)


def test_deepfm_is_the_sum_of_its_three_parts():
    """Every logit: the first-order weights, the products of all pairs, and the MLP."""
    deepfm, batch = model(wide=True, fm=True), Batch.from_features(FEATURES)
    deepfm.wide.codes.table.weight.data.normal_()
    with torch.inference_mode():
        field_BFD = deepfm.embedded(batch)
        pairs = [(field_BFD[:, i] * field_BFD[:, j]).sum(1) for i, j in combinations(range(field_BFD.shape[1]), 2)]
        last = deepfm.objectives.weight[:, 4:]
        deep_BT = deepfm.deep(field_BFD.flatten(1)) @ last.T + deepfm.objectives.bias
        expected_BT = deepfm.wide(batch).sum(1) + torch.stack(pairs).sum(0)[:, None] + deep_BT
        torch.testing.assert_close(deepfm(batch), expected_BT)


def test_a_group_of_vectors_is_one_field():
    """Of 2 + 2 further numbers: as fields of their own, as a projection each, and through two experts each."""
    names = [("user_embedding", "user_vector"), ("item_embedding", "item")]
    spec = SPEC.extended(
        numbers=[Number(f"{group}.{at}", source, group=group) for group, source in names for at in (0, 1)]
    )
    numbers_BG = np.random.default_rng(0).standard_normal((len(FEATURES.labels_BT), 4)).astype(np.float32)
    batch = Batch.from_features(
        dataclasses.replace(FEATURES, numeric_BG=np.concatenate([FEATURES.numeric_BG, numbers_BG], axis=1))
    )
    groups = [group for group, _ in names]
    plain, linear, mixed = (
        parse_model({"family": "tabular", "embedding_dim": 4, "hidden": [8], **more}, "test")
        for more in (
            {},
            {"knowledge": {"groups": groups}},
            {"knowledge": {"groups": groups, "experts": 2, "shared_experts": 1}},
        )
    )
    plain, linear, mixed = (build_model(config, spec, ITEM_FIELDS).eval() for config in (plain, linear, mixed))
    assert linear.embedded.fields == mixed.embedded.fields == plain.embedded.fields - 2
    with torch.inference_mode():
        project = linear.embedded.knowledge.own[1][0]
        expected_BD = torch.from_numpy(numbers_BG[:, 2:]) @ project.weight.T + project.bias
        torch.testing.assert_close(linear.embedded(batch)[:, -1], expected_BD)
        assert mixed(batch).shape == linear(batch).shape
    alone = parse_model({"family": "tabular", "inputs": [], "knowledge": {"groups": groups}}, "test")
    assert build_model(alone, spec, ITEM_FIELDS).embedded.fields == 2
    with pytest.raises(ConfigError, match="item_embedding"):
        build_model(linear_config(groups), SPEC, ITEM_FIELDS)


def linear_config(groups):
    return parse_model({"family": "tabular", "knowledge": {"groups": groups[1:]}}, "test")


def test_only_the_named_sources_are_seen():
    user_columns, context_columns = list(SPEC.columns("user")), list(SPEC.columns("context"))
    codes = {source: FEATURES.categorical_BF.copy() for source in ("user", "context")}
    codes["user"][:, user_columns] = 0
    codes["context"][:, context_columns] = 0
    narrow, whole = model(inputs=["user", "item"], wide=True), model(wide=True)
    for ranker in (narrow, whole):
        for weight in ranker.parameters():
            weight.data.normal_(std=0.3)
    assert moved(narrow, categorical_BF=codes["user"])
    assert not moved(narrow, categorical_BF=codes["context"])
    assert moved(whole, categorical_BF=codes["context"])
    history = list(SPEC.number_columns("history"))
    numbers = FEATURES.numeric_BG.copy()
    numbers[:, history] += 1
    assert not moved(narrow, numeric_BG=numbers)
    assert moved(whole, numeric_BG=numbers)


@pytest.mark.parametrize(
    ("recipe", "parts"),
    [
        ("wide-deep", {"wide"}),
        ("deepfm", {"wide", "fm"}),
        ("dcnv2", {"cross"}),
        ("autoint", {"attention"}),
    ],
)
def test_recipes_switch_on_what_their_names_say(recipe, parts, tmp_path):
    built = build_model(load_recipe_by_name(recipe, tmp_path).model, SPEC, ITEM_FIELDS)
    assert {name for name in ("wide", "cross", "attention") if getattr(built, name) is not None} == parts - {"fm"}
    assert built.fm == ("fm" in parts)


def test_heads_share_the_width():
    with pytest.raises(ConfigError, match="attention_width is 9, expected a multiple of attention_heads = 2"):
        parse_model({"family": "tabular", "attention_width": 9}, "here")
    assert np.isfinite(model(attention_layers=2, attention_width=6).width)
