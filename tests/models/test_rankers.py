"""What must hold for every ranker, whatever its family."""

import dataclasses

import numpy as np
import pytest
import torch

from plait.errors import ConfigError
from plait.features.batch import FeatureBatch
from plait.models.batch import Batch
from plait.models.builder import build_model
from plait.models.config import parse_model
from plait.models.ranker import Ranker
from plait.testing.batches import random_batch, random_item_fields, small_spec

SPEC = small_spec()
ITEM_FIELDS = random_item_fields(SPEC)
SIZES = {
    "popularity": {},
    "lr": {},
    "tabular": {"wide": True, "fm": True, "cross_layers": 2, "attention_layers": 2, "hidden": [16]},
    "dnn": {"attention": {"events": 5, "hidden": 8}, "hidden": [16], "cross_rank": 4},
    "hstu": {
        "attention": {"events": 5, "hidden": 8},
        "hidden": [16],
        "cross_rank": 4,
        "sequence": {"width": 8, "heads": 2, "max_events": 16, "hidden": [16]},
        "memory": {"events": 16, "channels": 2},
    },
}
SIZES["dnn with experts"] = SIZES["dnn"] | {
    "family": "dnn",
    "experts": {"hidden": [8], "own": 1, "routing": "topk", "top_k": 2, "scenario": "star"},
}
SIZES["hstu with experts"] = SIZES["hstu"] | {
    "family": "hstu",
    "entire_space": True,
    "experts": {"hidden": [8], "routing": "softmax", "scenario": "pepnet", "normalise": True},
}


def ranker(family: str, **sizes) -> torch.nn.Module:
    """A model in evaluation mode whose weights are large enough for every input to matter."""
    torch.manual_seed(1)
    model = build_model(parse_model({"family": family, **SIZES[family], **sizes}, "test"), SPEC, ITEM_FIELDS)
    for name, weight in [*model.named_parameters(), *model.named_buffers()]:
        if weight.is_floating_point():
            weight.data.normal_(std=0.3 if "bias" not in name else 0.1)
    return model.eval()


def logits(model: torch.nn.Module, features: FeatureBatch) -> np.ndarray:
    with torch.inference_mode():
        return model(Batch.from_features(features)).numpy()


def impressions(features: FeatureBatch, length: int) -> FeatureBatch:
    """The same exposures, each with its own copy of its last `length` events."""
    stop_B = features.history_offsets_U1[features.user_B] + features.before_B
    kept_B = np.minimum(features.before_B, length)
    events_N = np.concatenate([np.arange(stop - kept, stop) for stop, kept in zip(stop_B, kept_B, strict=True)])
    events_N = events_N.astype(np.int64)
    return dataclasses.replace(
        features,
        user_B=np.arange(len(features)),
        before_B=kept_B,
        history_offsets_U1=np.concatenate([[0], np.cumsum(kept_B)]),
        history_item_N=features.history_item_N[events_N],
        history_action_N=features.history_action_N[events_N],
        history_scenario_N=features.history_scenario_N[events_N],
        history_time_N=features.history_time_N[events_N],
    )


def only(features: FeatureBatch, chosen_B: np.ndarray) -> FeatureBatch:
    """Some of the exposures; the histories stay."""
    per_exposure = [name for name in FeatureBatch.__dataclass_fields__ if "_B" in name]
    return dataclasses.replace(features, **{name: getattr(features, name)[chosen_B] for name in per_exposure})


def altered_future(features: FeatureBatch, exposure: int, rng: np.random.Generator) -> FeatureBatch:
    """The batch with everything at or after one exposure changed: events, their times, and other users' pasts."""
    first = features.history_offsets_U1[features.user_B[exposure]]
    later_N = np.ones(len(features.history_item_N), bool)
    later_N[first : first + features.before_B[exposure]] = False
    size = int(later_N.sum())
    changed = {
        "history_item_N": rng.integers(0, len(ITEM_FIELDS), size),
        "history_action_N": rng.integers(0, SPEC.action_size, size),
        "history_scenario_N": rng.integers(0, len(SPEC.scenarios) + 1, size),
        "history_time_N": features.history_time_N[later_N] + rng.integers(0, 10**9, size),
    }
    arrays = {}
    for name, values in changed.items():
        arrays[name] = getattr(features, name).copy()
        arrays[name][later_N] = values
    return dataclasses.replace(features, **arrays)


class LooksAhead(torch.nn.Module):
    """A ranker that breaks the law: its attention may see one event too many."""

    def __init__(self, honest: torch.nn.Module) -> None:
        super().__init__()
        self.honest = honest

    def forward(self, batch: Batch) -> torch.Tensor:
        lengths_U = batch.history_offsets_U1.diff()
        return self.honest(
            dataclasses.replace(batch, before_B=torch.minimum(batch.before_B + 1, lengths_U[batch.user_B]))
        )


def leak(model: torch.nn.Module, *, seeds: range, users: int, exposures: int) -> float:
    """The largest change of any exposure's logits when everything at or after it is altered."""
    largest = 0.0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        features = random_batch(SPEC, ITEM_FIELDS, users=users, exposures_per_user=exposures, seed=seed, max_history=40)
        before_BT = logits(model, features)
        for exposure in rng.choice(len(features), 4, replace=False):
            after_BT = logits(model, altered_future(features, exposure, rng))
            largest = max(largest, float(np.abs(after_BT - before_BT)[exposure].max()))
    return largest


@pytest.mark.parametrize("layout", ["user", "impression"])
@pytest.mark.parametrize("family", list(SIZES))
def test_the_future_changes_no_logit(family, layout):
    users, exposures = (5, 6) if layout == "user" else (20, 1)
    assert leak(ranker(family), seeds=range(8), users=users, exposures=exposures) <= 1e-5


@pytest.mark.parametrize("family", ["dnn", "hstu"])
def test_that_test_can_fail(family):
    assert leak(LooksAhead(ranker(family)), seeds=range(8), users=5, exposures=6) > 1e-3


@pytest.mark.parametrize("family", ["dnn", "hstu"])
def test_the_past_does_change_logits(family):
    features = random_batch(SPEC, ITEM_FIELDS, users=6, exposures_per_user=2, seed=3)
    model = ranker(family)
    items_N = np.random.default_rng(0).integers(0, len(ITEM_FIELDS), len(features.history_item_N)).astype(np.int32)
    moved_B = np.abs(logits(model, dataclasses.replace(features, history_item_N=items_N)) - logits(model, features))
    assert (moved_B[features.before_B > 0].max(1) > 1e-4).all()
    assert (moved_B[features.before_B == 0] == 0).all()


@pytest.mark.parametrize("family", list(SIZES))
@pytest.mark.parametrize("seed", range(5))
def test_layouts_agree(family, seed):
    """Histories within one pass: whole users and single exposures give the same logits."""
    features = random_batch(SPEC, ITEM_FIELDS, users=6, exposures_per_user=4, seed=seed, max_history=16)
    model = ranker(family)
    whole_BT = logits(model, features)
    np.testing.assert_allclose(logits(model, impressions(features, 16)), whole_BT, atol=1e-5)


@pytest.mark.parametrize("family", list(SIZES))
def test_company_and_padding_change_nothing(family):
    """A user alone and beside users with longer histories."""
    features = random_batch(SPEC, ITEM_FIELDS, users=8, exposures_per_user=3, seed=2, max_history=40)
    model = ranker(family)
    together_BT = logits(model, features)
    for user in range(8):
        chosen_B = np.flatnonzero(features.user_B == user)
        np.testing.assert_allclose(logits(model, only(features, chosen_B)), together_BT[chosen_B], atol=1e-5)


@pytest.mark.parametrize("family", list(SIZES))
def test_candidates_of_a_request_are_independent(family):
    """K candidates share one window: each has the logits that it has alone."""
    features = random_batch(SPEC, ITEM_FIELDS, users=1, exposures_per_user=12, seed=5, max_history=30)
    request = dataclasses.replace(
        features,
        before_B=np.full(12, len(features.history_time_N)),
        time_B=np.full(12, features.history_time_N.max() + 60_000),
    )
    assert len(request.history_time_N) > 5
    model = ranker(family)
    together_BT = logits(model, request)
    for index in range(12):
        alone_BT = logits(model, only(request, np.array([index])))
        np.testing.assert_allclose(alone_BT[0], together_BT[index], atol=1e-5)


@pytest.mark.parametrize("family", list(SIZES))
def test_no_history_at_all(family):
    features = random_batch(SPEC, ITEM_FIELDS, users=3, exposures_per_user=2, seed=1, max_history=0)
    assert len(features.history_time_N) == 0
    model = ranker(family)
    assert isinstance(model, Ranker)
    assert logits(model, features).shape == (6, 3)
    assert np.isfinite(logits(model, features)).all()


@pytest.mark.parametrize("family", ["lr", "dnn", "hstu"])
@pytest.mark.parametrize("column", range(len(SPEC.multi_fields)))
def test_every_list_changes_logits(family, column):
    """Rows whose bag is not empty answer to its codes; the others, and all of popularity, do not."""
    features = random_batch(SPEC, ITEM_FIELDS, users=6, exposures_per_user=2, seed=3, max_history=0)
    bag_BP = features.bag_BP.copy()
    lengths_B = features.token_offsets_J1[bag_BP[:, column] + 1] - features.token_offsets_J1[bag_BP[:, column]]
    assert 0 < (lengths_B == 0).sum() < 12
    bag_BP[:, column] = bag_BP[np.argmin(lengths_B), column]
    emptied = dataclasses.replace(features, bag_BP=bag_BP)
    moved_B = np.abs(logits(ranker(family), emptied) - logits(ranker(family), features)).max(1)
    np.testing.assert_array_equal(moved_B > 1e-4, lengths_B > 0)
    popularity = ranker("popularity")
    np.testing.assert_array_equal(logits(popularity, emptied), logits(popularity, features))


def test_candidates_and_events_of_an_item_have_one_vector():
    """From the batch's codes and lists, and from the table by item code."""
    features = random_batch(SPEC, ITEM_FIELDS, users=20, exposures_per_user=2, seed=3)
    item_B = features.categorical_BF[:, SPEC.item_columns[0]]
    trunk = ranker("dnn").trunk
    with torch.inference_mode():
        candidate_BE = trunk(Batch.from_features(features)).candidate_BE
        vector_BE = trunk.item_vectors(torch.from_numpy(item_B).long())
    torch.testing.assert_close(candidate_BE, vector_BE)


def test_long_histories_are_cut_not_refused():
    """Over `max_events`: an exposure sees its last stride to limit events, whatever lies further back."""
    features = random_batch(SPEC, ITEM_FIELDS, users=2, exposures_per_user=30, seed=4, max_history=300)
    assert features.before_B.max() > 64
    model = ranker("hstu")
    whole_BT = logits(model, features)
    oldest_N = np.zeros(len(features.history_item_N), bool)
    late_B = np.flatnonzero(features.before_B > 40)
    for user in range(2):
        first = features.history_offsets_U1[user]
        oldest_N[first : first + 40 - 16] = True
    items_N = np.where(oldest_N, 0, features.history_item_N).astype(np.int32)
    changed_BT = logits(model, dataclasses.replace(features, history_item_N=items_N))
    np.testing.assert_allclose(changed_BT[late_B], whole_BT[late_B], atol=1e-5)


def test_unknown_family_and_keys_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'hstu'"):
        parse_model({"family": "hstuu"}, "here")
    with pytest.raises(ConfigError, match="did you mean 'cross_layers'"):
        parse_model({"family": "dnn", "cross_layer": 2}, "here")


def test_popularity_by_hand():
    """Prior weight 2. All: 3 of 5 (smoothed 3.5 / 6). Category 1: 3 of 4, category 2: 0 of 1."""
    spec = small_spec(items=3, objectives=1)
    fields_VI = np.array([[0, 0, 0], [1, 0, 1], [2, 0, 1], [3, 0, 2]], np.int32)
    model = build_model(parse_model({"family": "popularity", "prior_exposures": 2}, "test"), spec, fields_VI)
    features = random_batch(spec, fields_VI, users=6, exposures_per_user=1)
    categorical_BF = features.categorical_BF.copy()
    item_B = np.array([1, 1, 1, 2, 3, 1])
    categorical_BF[:, list(spec.item_columns)] = fields_VI[item_B]
    features = dataclasses.replace(
        features,
        categorical_BF=categorical_BF,
        labels_BT=np.array([[1], [1], [0], [1], [0], [1]], np.float32),
        mask_BT=np.array([[1], [1], [1], [1], [1], [0]], bool),  # the last one is not mature: it counts nowhere
    )
    model.observe(Batch.from_features(features))
    model.conclude()
    overall = 3.5 / 6
    first = (3 + 2 * overall) / (4 + 2)
    second = (0 + 2 * overall) / (1 + 2)
    expected = [(2 + 2 * first) / (3 + 2), (1 + 2 * first) / (1 + 2), (0 + 2 * second) / (1 + 2)]
    probability_BT = 1 / (1 + np.exp(-logits(model.eval(), features)))
    np.testing.assert_allclose(probability_BT[[0, 3, 4], 0], expected, rtol=1e-6)
    categorical_BF[0, spec.item_columns[0]] = 0  # an unknown item of category 1
    assert 1 / (1 + np.exp(-logits(model, features)[0, 0])) == pytest.approx(first)


def test_logistic_regression_by_hand():
    spec = small_spec(objectives=2)
    model = build_model(parse_model({"family": "lr"}, "test"), spec, random_item_fields(spec)).eval()
    features = random_batch(spec, random_item_fields(spec), users=1, exposures_per_user=1)
    weight = model.codes.table.weight.data.normal_()
    model.numbers.data.normal_()
    model.scenario_bias.data.normal_()
    token_weight = model.tokens.table.weight.data.normal_()
    offset, expected_T = 0, np.zeros(2)
    for column, field in enumerate(spec.fields):
        expected_T += weight[offset + features.categorical_BF[0, column]].numpy()
        offset += field.size
    ends = features.token_offsets_J1
    for bag in features.bag_BP[0]:
        codes = features.token_codes_N[ends[bag] : ends[bag + 1]]
        expected_T += token_weight[codes].mean(0).numpy() if len(codes) else 0.0
    assert len(features.token_codes_N) > 2
    expected_T += features.numeric_BG[0] @ model.numbers.detach().numpy()
    expected_T += model.scenario_bias[features.scenario_B[0]].detach().numpy()
    np.testing.assert_allclose(logits(model, features)[0], expected_T, rtol=1e-5)
