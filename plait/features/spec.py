"""What a model's input consists of: its fields, numbers, objectives, scenarios and actions, as one JSON-able value."""

import bisect
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal

from plait.errors import ArtifactError
from plait.features.tokens import MultiKind

FieldSource = Literal["user", "item", "creative", "context"]
EntitySource = Literal["user", "item", "creative"]
VectorSource = Literal["user_vector", "item_vector", "creative_vector"]
NumberSource = Literal[FieldSource, "history", "match", VectorSource, "preference"]

ENTITY_SOURCES: tuple[EntitySource, ...] = ("user", "item", "creative")
FIELD_SOURCES: tuple[FieldSource, ...] = (*ENTITY_SOURCES, "context")
VECTOR_SOURCES: dict[EntitySource, VectorSource] = {
    "user": "user_vector",
    "item": "item_vector",
    "creative": "creative_vector",
}
"""Where the numbers of dated vectors come from, by whose vectors they are."""
NUMBER_SOURCES: tuple[NumberSource, ...] = (*FIELD_SOURCES, "history", "match", *VECTOR_SOURCES.values(), "preference")


@dataclass(frozen=True, slots=True)
class Field:
    """One categorical column of a batch."""

    name: str
    source: FieldSource
    size: int
    """Number of codes, 0 (unknown, rare or null) included: codes run from 0 to size - 1."""
    group: str = ""
    """The derived feature group that it belongs to; empty for what the samples hold themselves."""


@dataclass(frozen=True, slots=True)
class MultiField:
    """One multi-valued column of a batch: any number of codes per row, such as the words of a query."""

    name: str
    source: FieldSource
    kind: MultiKind
    """How the values of a row are found: in a list, or in a text that is cut into tokens."""
    size: int
    """Number of codes, 0 (unknown or rare) included: codes run from 0 to size - 1."""
    most: int
    """The most values of one row; those behind are cut."""
    group: str = ""
    """As for `Field`."""


@dataclass(frozen=True, slots=True)
class Number:
    """One numeric column of a batch: `(x - mean) / std`, where x is `log1p(value)` if `log`, else the value.

    A null value becomes 0 after standardisation, that is, the mean.
    """

    name: str
    source: NumberSource
    mean: float = 0.0
    std: float = 1.0
    log: bool = False
    group: str = ""
    """As for `Field`."""


@dataclass(frozen=True, slots=True)
class Action:
    """One action of a behaviour sequence, cut into buckets of its value where it has edges."""

    name: str
    value_edges: tuple[float, ...] = ()
    """Ascending. Bucket b holds `edges[b - 1] <= value < edges[b]`."""

    @property
    def size(self) -> int:
        """How many codes the action takes: one, or one per bucket and one for a value that is not given."""
        return len(self.value_edges) + 2 if self.value_edges else 1


@dataclass(frozen=True)
class FeatureSpec:
    """The columns of every `FeatureBatch` of one workspace, in order.

    Fields come as user, item, creative and context fields, and so do multi-valued fields and numbers; the numbers of
    the history and of the match come last. The first field of users, items and creatives is the id; context fields
    start with scenario, position, hour and weekday. Columns of derived groups stand behind all of these, group by
    group: without them the specification is the one that the samples were encoded with.
    """

    objectives: tuple[str, ...]
    scenarios: tuple[str, ...]
    actions: tuple[Action, ...]
    fields: tuple[Field, ...]
    numbers: tuple[Number, ...]
    multi_fields: tuple[MultiField, ...] = ()
    parents: tuple[int, ...] = ()
    """Of every objective the index of the one before it in the funnel, -1 for none."""

    def columns(self, source: FieldSource) -> tuple[int, ...]:
        """Indices into `fields` of the fields that come from `source`."""
        return tuple(index for index, field in enumerate(self.fields) if field.source == source)

    def number_columns(self, source: NumberSource) -> tuple[int, ...]:
        """Indices into `numbers` of the numbers that come from `source`."""
        return tuple(index for index, number in enumerate(self.numbers) if number.source == source)

    def multi_columns(self, source: FieldSource) -> tuple[int, ...]:
        """Indices into `multi_fields` of the fields that come from `source`."""
        return tuple(index for index, field in enumerate(self.multi_fields) if field.source == source)

    @property
    def groups(self) -> tuple[str, ...]:
        """The derived feature groups, in order."""
        columns: tuple[Field | Number | MultiField, ...] = (*self.fields, *self.numbers, *self.multi_fields)
        return tuple(dict.fromkeys(column.group for column in columns if column.group))

    def extended(
        self, fields: Sequence[Field] = (), numbers: Sequence[Number] = (), multi_fields: Sequence[MultiField] = ()
    ) -> "FeatureSpec":
        """This specification with further columns behind its own."""
        return replace(
            self,
            fields=(*self.fields, *fields),
            numbers=(*self.numbers, *numbers),
            multi_fields=(*self.multi_fields, *multi_fields),
        )

    @cached_property
    def first_tokens(self) -> tuple[int, ...]:
        """Where the codes of each multi-valued field begin among those of all; 0 is no code of any."""
        return tuple(accumulate((field.size for field in self.multi_fields), initial=1))[:-1]

    @property
    def item_columns(self) -> tuple[int, ...]:
        """Indices into `fields` of the item fields; the first is `item_id`."""
        return self.columns("item")

    def field_index(self, name: str) -> int:
        """Where the field called `name` stands in `fields`.

        Raises:
            KeyError: there is no such field.
        """
        for index, field in enumerate(self.fields):
            if field.name == name:
                return index
        raise KeyError(name)

    @property
    def action_size(self) -> int:
        """Number of action codes, 0 (unknown) included."""
        return 1 + sum(action.size for action in self.actions)

    @cached_property
    def first_action_codes(self) -> dict[str, int]:
        """The first code of each action: the code itself, or that of a value that is not given."""
        codes, code = {}, 1
        for action in self.actions:
            codes[action.name] = code
            code += action.size
        return codes

    def action_code(self, action: str, value: float | None) -> int:
        """The code of one behaviour; 0 for an action that training never saw.

        An action with edges takes `1 + bucket` codes from its first one on: first for a value that is not given (or
        is not a number), then one per bucket in ascending order.
        """
        first = self.first_action_codes.get(action)
        if first is None:
            return 0
        edges = self._edges[action]
        if not edges or value is None or value != value:  # noqa: PLR0124 (a NaN differs from itself)
            return first
        return first + 1 + bisect.bisect_right(edges, value)

    @cached_property
    def _edges(self) -> dict[str, tuple[float, ...]]:
        return {action.name: action.value_edges for action in self.actions}

    def to_json(self) -> str:
        """The specification as JSON text; `from_json` gives an equal one back."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "FeatureSpec":
        """The specification that `to_json` wrote.

        Raises:
            ArtifactError: the text is something else.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            return cls(
                objectives=tuple(content["objectives"]),
                scenarios=tuple(content["scenarios"]),
                actions=tuple(Action(each["name"], tuple(each["value_edges"])) for each in content["actions"]),
                fields=tuple(Field(**each) for each in content["fields"]),
                numbers=tuple(Number(**each) for each in content["numbers"]),
                multi_fields=tuple(MultiField(**each) for each in content["multi_fields"]),
                parents=tuple(content.get("parents", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"not a feature specification: {error!r}; encode the samples again") from error


def as_slice(columns: Sequence[int]) -> slice | list[int]:
    """Columns beside each other as a slice: indexing by it copies nothing."""
    if columns and list(columns) == list(range(columns[0], columns[-1] + 1)):
        return slice(columns[0], columns[-1] + 1)
    return list(columns)
