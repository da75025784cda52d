"""What goes over the wire, with its limits. Errors name the field, what was found and what was expected."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StrictInt, StringConstraints, WithJsonSchema

MAX_BODY_BYTES = 256 * 1024
MAX_EXCLUDED = 1_000
MAX_BEHAVIOURS = 1_000
MAX_CONTEXT = 32
MAX_CONTEXT_VALUES = 64
LAST_TIME_MS = 4_102_444_800_000
"""2100-01-01: a larger time is in the wrong unit."""

_IDENTIFIER_LENGTH = 128


def _identifier(value: object) -> int | str:
    whole = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    text = isinstance(value, str) and 0 < len(value) <= _IDENTIFIER_LENGTH and _is_unicode(value)
    if not whole and not text:
        raise ValueError(f"expected a 64-bit integer or text of 1 to {_IDENTIFIER_LENGTH} characters")
    return value  # type: ignore[return-value]


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


Identifier = Annotated[
    int | str,
    PlainValidator(_identifier),
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 1, "maxLength": _IDENTIFIER_LENGTH}]}
    ),
]
Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=128)]
Milliseconds = Annotated[StrictInt, Field(ge=0, le=LAST_TIME_MS)]
Number = Annotated[float, Field(allow_inf_nan=False)]
ContextText = Annotated[str, StringConstraints(strict=True, max_length=256)]
ContextValue = (
    StrictInt | Number | ContextText | Annotated[list[StrictInt | ContextText], Field(max_length=MAX_CONTEXT_VALUES)]
)


class Message(BaseModel):
    """Base of everything a client sends: unknown fields are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class RecommendRequest(Message):
    """For whom, where and how many."""

    user_id: Identifier
    """An unknown user is answered as a new one."""
    scenario: Text
    k: int = Field(20, strict=True, ge=1)
    """How many items; at most the server's `max_k`."""
    time: Milliseconds | None = None
    """Epoch milliseconds; the server's clock by default. Only behaviours available before it are used."""
    context: dict[Text, ContextValue] = Field({}, max_length=MAX_CONTEXT)
    """Values of the context columns that the model knows."""
    query: Annotated[str, StringConstraints(strict=True, max_length=1_024)] | None = None
    """What was searched for."""
    exclude: list[Identifier] = Field([], max_length=MAX_EXCLUDED)
    """Items that must not come."""
    objective: Text | None = None
    """Order by the probability of this objective alone; by default by the sum of probability times value."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_id": 42, "scenario": "home", "k": 10, "exclude": [7, 9]}]}
    )


class BehaviourEvent(Message):
    """Something a user did; or, with the action `exposure`, was shown, which is in no history but tells preferences."""

    user_id: Identifier
    item_id: Identifier
    action: Text
    time: Milliseconds
    """When it happened, epoch milliseconds."""
    value: Number | None = None
    scenario: Text | None = None
    exposure_id: Identifier | None = None
    """The exposure that it belongs to; of an `exposure`, its own id."""
    creative_id: Identifier | None = None
    """Of an `exposure`: the creative that was shown."""
    received_time: Milliseconds | None = None
    """When the platform learned of it; the server's clock by default. From then on it may be used."""
    event_id: Text | None = None
    """Names the event, so that sending it twice counts once; by default its own content does."""


class BehavioursRequest(Message):
    """Behaviours in the order of their arrival."""

    behaviours: list[BehaviourEvent] = Field(min_length=1, max_length=MAX_BEHAVIOURS)

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"behaviours": [{"user_id": 42, "item_id": 7, "action": "click", "time": 1_760_000_000_000}]},
            ]
        }
    )


class ReloadRequest(Message):
    """Which model to take; the one that the settings name by default."""

    model: Text | None = None


class Recommended(BaseModel):
    """One item of the answer."""

    item_id: int | str
    creative_id: int | str | None
    score: float
    probabilities: dict[str, float] | None
    """Per objective; null where ranking fell back on retrieval."""
    source: str
    price: float | None
    """What the ad pays for a conversion; null where no auction was held."""


class DroppedPart(BaseModel):
    """Something the answer does without."""

    stage: str
    reason: Literal["late", "failed", "shortened"]
    detail: str


class ModelName(BaseModel):
    """The model that answered."""

    name: str
    version: str


class RecommendResponse(BaseModel):
    """Items, best first, and how they came about."""

    request_id: str
    model: ModelName
    known_user: bool
    history: int
    """How many of the user's behaviours were used."""
    items: list[Recommended]
    candidates: dict[str, int]
    """Candidates by source, and `ranked`: how many of them the model scored."""
    degraded: list[DroppedPart]
    timings_ms: dict[str, float]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "request_id": "5f0c6d0e8a4b4c0f9f2f6f0f6a1b2c3d",
                    "model": {"name": "ranker", "version": "3"},
                    "known_user": True,
                    "history": 812,
                    "items": [
                        {
                            "item_id": 7,
                            "creative_id": 31,
                            "score": 0.42,
                            "probabilities": {"click": 0.2, "install": 0.01},
                            "source": "item_to_item",
                            "price": None,
                        }
                    ],
                    "candidates": {"popular": 100, "item_to_item": 250, "embedding": 150, "ranked": 500},
                    "degraded": [],
                    "timings_ms": {"queue": 0.1, "retrieve": 1.0, "rank": 9.0, "total": 10.3},
                }
            ]
        }
    )


class Refused(BaseModel):
    """A behaviour that was not taken."""

    index: int
    field: str
    found: Any
    expected: str


class BehavioursResponse(BaseModel):
    """What became of the behaviours."""

    accepted: int
    repeated: int
    refused: list[Refused]


class Problem(BaseModel):
    """One thing wrong with a request."""

    field: str
    found: str
    expected: str


class ErrorResponse(BaseModel):
    """Every error has this shape."""

    error: str
    problems: list[Problem] = []
