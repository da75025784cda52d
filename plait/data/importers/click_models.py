"""Published tables of click models on public data: the recipes that are compared, and what each of them sees."""

from typing import Any

from plait.config import ModelSettings

_ALIGNED = ("ctrl-autoint", "ctrl-dcnv2", "ctrl-dcnv2-tuned")
_NAMES = (
    "wide-deep",
    "deepfm",
    "dcnv2",
    "autoint",
    *_ALIGNED,
    *(f"{name}-align" for name in _ALIGNED),
    "dcnv2-text",
    "kar-dcnv2",
    "distil-dcnv2",
)


def click_models(**model: Any) -> dict[str, ModelSettings]:
    """The workspace's `[models]`: every recipe of such a table with the same values of `[model]`."""
    return {name: ModelSettings(recipe=name, overrides={"model": model}) for name in _NAMES}
