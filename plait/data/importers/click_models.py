"""Published tables of click models on public data: the recipes that are compared, and what each of them sees."""

from collections.abc import Sequence
from typing import Any

from plait.config import ModelSettings

_ALIGNED = ("ctrl-autoint", "ctrl-dcnv2", "ctrl-dcnv2-tuned")
_TUNED = "ctrl-dcnv2-tuned-align"
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


def click_models(*, tuned_parts: Sequence[str], **model: Any) -> dict[str, ModelSettings]:
    """The workspace's `[models]`: every recipe of such a table with the same values of `[model]`.

    Args:
        tuned_parts: the parts of samples' texts whose reading may be learnt: those with the short texts.
        **model: values of `[model]`.
    """
    models = {name: ModelSettings(recipe=name, overrides={"model": model}) for name in _NAMES}
    align = model | {"align": {"tuned_parts": list(tuned_parts)}}
    models[_TUNED] = ModelSettings(recipe=_TUNED, overrides={"model": align})
    return models
