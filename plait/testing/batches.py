"""Random but consistent feature specifications and batches, the same for the same seed."""

import numpy as np
from numpy.typing import NDArray

from plait import seeding
from plait.features.batch import FeatureBatch
from plait.features.spec import Action, FeatureSpec, Field, MultiField, Number

_SECOND_MS = 1_000
_START_MS = 1_700_000_000_000


def small_spec(*, items: int = 30, objectives: int = 3, scenarios: int = 2) -> FeatureSpec:
    """A specification with every source of fields and numbers, small enough to read a batch by eye."""
    fields = (
        Field("user_id", "user", 11),
        Field("age", "user", 5),
        Field("item_id", "item", items + 1),
        Field("category_1", "item", 5),
        Field("category_2", "item", 9),
        Field("creative_id", "creative", 21),
        Field("advertiser", "creative", 6),
        Field("scenario", "context", scenarios + 1),
        Field("position", "context", 6),
        Field("hour", "context", 25),
        Field("weekday", "context", 8),
    )
    numbers = (
        Number("activity", "user", mean=2.0, std=0.5, log=True),
        Number("price", "item", mean=3.0, std=1.5),
        Number("history.events.1h", "history", mean=0.4, std=0.7),
        Number("history.item", "history", mean=0.1, std=0.3),
    )
    return FeatureSpec(
        objectives=tuple(f"objective_{index}" for index in range(objectives)),
        scenarios=tuple(f"scenario_{index}" for index in range(scenarios)),
        actions=(Action("click"), Action("rate", (2.0, 4.0)), Action("install")),
        fields=fields,
        numbers=numbers,
        multi_fields=(
            MultiField("interests", "user", "list", 6, 2),
            MultiField("tags", "item", "list", 7, 3),
            MultiField("styles", "creative", "list", 4, 2),
            MultiField("query", "context", "text", 12, 5),
        ),
        parents=tuple(range(-1, objectives - 1)),
    )


def random_item_fields(spec: FeatureSpec, *, seed: int = 0) -> NDArray[np.int32]:
    """`item_fields_VI` for `spec`: row v holds the codes of the item fields of item code v; row 0 is all unknown.

    Behind them stand the codes of the multi-valued item fields, none to as many as fit, and zeros.
    """
    rng = seeding.generator(seed, "item_fields")
    columns = [spec.fields[index] for index in spec.item_columns]
    size = columns[0].size
    fields_VI = np.stack([rng.integers(0, field.size, size) for field in columns], axis=1).astype(np.int32)
    fields_VI[:, 0] = np.arange(size)
    rng = seeding.generator(seed, "item_lists")
    lists = [fields_VI]
    for index in spec.multi_columns("item"):
        field = spec.multi_fields[index]
        codes_VC = spec.first_tokens[index] + rng.integers(0, field.size, (size, field.most))
        lists.append(np.where(np.arange(field.most) < rng.integers(0, field.most + 1, size)[:, None], codes_VC, 0))
    joined_VI = np.concatenate(lists, axis=1).astype(np.int32)
    joined_VI[0] = 0
    return joined_VI


def random_batch(
    spec: FeatureSpec,
    item_fields_VI: NDArray[np.int32],
    *,
    users: int = 4,
    exposures_per_user: int = 3,
    max_history: int = 12,
    seed: int = 0,
) -> FeatureBatch:
    """A batch of `users * exposures_per_user` exposures whose every part fits every other.

    Histories have 0 to `max_history` events in time order; each exposure lies strictly after the events it may see,
    and not after the others; `before_B` grows along a user's exposures; item fields agree with `item_fields_VI`. One
    exposure per user gives the `impression` layout, one user the layout of a request.
    """
    rng = seeding.generator(seed, "batch", users, exposures_per_user)
    lengths_U = rng.integers(0, max_history + 1, users)
    offsets_U1 = np.concatenate([[0], np.cumsum(lengths_U)])
    total = int(offsets_U1[-1])
    # Events of one user are at least two seconds apart, so that an exposure fits strictly between any two of them.
    position_N = np.arange(total) - np.repeat(offsets_U1[:-1], lengths_U)
    time_N = _START_MS + position_N * 10 * _SECOND_MS + rng.integers(0, 5 * _SECOND_MS, total)
    user_B = np.repeat(np.arange(users), exposures_per_user)
    before_UE = np.sort(rng.integers(0, lengths_U[:, None] + 1, (users, exposures_per_user)), axis=1)
    before_B = before_UE.reshape(-1)
    time_B = _START_MS + (before_B - 1) * 10 * _SECOND_MS + 6 * _SECOND_MS
    scenario_B = rng.integers(0, len(spec.scenarios), len(user_B)).astype(np.int32)
    shape_BT = (len(user_B), len(spec.objectives))
    categorical_BF = _categorical(spec, item_fields_VI, user_B, scenario_B, rng)
    item_B = categorical_BF[:, spec.item_columns[0]]
    bag_BP, bags = _bags(spec, item_fields_VI, user_B, item_B, seeding.generator(seed, "bags", len(user_B)))
    return FeatureBatch(
        categorical_BF=categorical_BF,
        numeric_BG=rng.standard_normal((len(user_B), len(spec.numbers))).astype(np.float32),
        bag_BP=bag_BP,
        token_offsets_J1=np.cumsum([0, *map(len, bags)]),
        token_codes_N=np.concatenate([*bags, np.empty(0)]).astype(np.int32),
        scenario_B=scenario_B,
        time_B=time_B,
        user_B=user_B,
        before_B=before_B,
        history_offsets_U1=offsets_U1,
        history_item_N=rng.integers(0, len(item_fields_VI), total).astype(np.int32),
        history_action_N=rng.integers(0, spec.action_size, total).astype(np.int32),
        history_scenario_N=rng.integers(0, len(spec.scenarios) + 1, total).astype(np.int32),
        history_time_N=time_N,
        labels_BT=(rng.random(shape_BT) < 0.3).astype(np.float32),
        mask_BT=rng.random(shape_BT) < 0.8,
    )


def _categorical(
    spec: FeatureSpec,
    item_fields_VI: NDArray[np.int32],
    user_B: NDArray[np.int64],
    scenario_B: NDArray[np.int32],
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Random codes, except that a user's fields are the same in all their exposures and an item's as in the table."""
    categorical_BF = np.stack([rng.integers(0, field.size, len(user_B)) for field in spec.fields], axis=1)
    for column in spec.columns("user"):
        categorical_BF[:, column] = categorical_BF[np.searchsorted(user_B, user_B), column]
    items = list(spec.item_columns)
    categorical_BF[:, items] = item_fields_VI[categorical_BF[:, items[0]], : len(items)]
    categorical_BF[:, spec.field_index("scenario")] = scenario_B + 1
    return categorical_BF.astype(np.int32)


def _bags(
    spec: FeatureSpec,
    item_fields_VI: NDArray[np.int32],
    user_B: NDArray[np.int64],
    item_B: NDArray[np.int32],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], list[NDArray[np.integer]]]:
    """`bag_BP` and the bags: one per user, per item (as in the table), and per exposure for creatives and contexts."""
    bag_BP = np.zeros((len(user_B), len(spec.multi_fields)), np.int64)
    bags: list[NDArray[np.integer]] = []
    start = len(spec.item_columns)
    for column, (field, first) in enumerate(zip(spec.multi_fields, spec.first_tokens, strict=True)):
        owners_of: dict[str, NDArray[np.integer]] = {"user": user_B, "item": item_B}
        owner_B = owners_of.get(field.source, np.arange(len(user_B)))
        owners, place_B = np.unique(owner_B, return_inverse=True)
        bag_BP[:, column] = len(bags) + place_B
        for owner in owners:
            if field.source == "item":
                codes = item_fields_VI[owner, start : start + field.most]
                bags.append(codes[codes > 0])
            else:
                bags.append(first + rng.integers(0, field.size, rng.integers(0, field.most + 1)))
        start += field.most if field.source == "item" else 0
    return bag_BP, bags
