"""The one vocabulary of column names. Code says `Columns.USER_ID`, never `"user_id"`."""

from typing import Final


class Columns:
    """Names of the columns that cross packages."""

    USER_ID: Final = "user_id"
    ITEM_ID: Final = "item_id"
    CREATIVE_ID: Final = "creative_id"
    EXPOSURE_ID: Final = "exposure_id"
    REQUEST_ID: Final = "request_id"

    TIME: Final = "time"
    """When it happened: Int64, epoch milliseconds, in every canonical table."""
    RECEIVED_TIME: Final = "received_time"
    """When the platform learned of it (>= time): Int64, epoch milliseconds."""
    AVAILABLE_TIME: Final = "available_time"
    """max(time, received_time): from then on an event may be used."""

    SCENARIO: Final = "scenario"
    POSITION: Final = "position"
    PROPENSITY: Final = "propensity"
    """Probability with which the logging policy showed this item at this position."""
    ACTION: Final = "action"
    VALUE: Final = "value"

    NAME: Final = "name"
    DESCRIPTION: Final = "description"
    CATEGORY_1: Final = "category_1"
    CATEGORY_2: Final = "category_2"
    CATEGORY_3: Final = "category_3"
    MEDIA: Final = "media"
    TEXT: Final = "text"
    ADVERTISER: Final = "advertiser"
    BID: Final = "bid"
    """What the advertiser pays for one conversion, in currency units."""
    QUERY: Final = "query"

    BEFORE: Final = "behaviours_before"
    """How many of the user's behaviours were available strictly before the exposure."""
    SPLIT: Final = "split"
    REASON: Final = "reason"
    """Why a row stands in quarantine."""

    LABEL_PREFIX: Final = "label_"
    MATURE_PREFIX: Final = "mature_"


def label_column(objective: str) -> str:
    """The column that holds the 0/1 label of `objective`."""
    return Columns.LABEL_PREFIX + objective


def mature_column(objective: str) -> str:
    """The column that says whether the attribution window of `objective` was over at the as-of time."""
    return Columns.MATURE_PREFIX + objective
