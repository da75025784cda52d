"""What a user was shown lately: the exposures of a model's data, and those that arrived since, with their answers."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from plait.features.online import OnlineFeatures
from plait.features.preference import NEVER, Answer, Shown
from plait.serving.state import EXPOSURE, Behaviour


def with_arrived(
    stored: Shown, ids: pl.Series, behaviours: Sequence[Behaviour], online: OnlineFeatures, time_ms: int
) -> Shown:
    """The stored exposures and those that arrived before `time_ms`, by time, with the answers that arrived before it.

    An exposure that arrived but is stored already (data that was built since) counts once. One in a scenario that the
    model does not know, or without a creative of its tables, is left out.

    Args:
        stored: exposures of the model's data.
        ids: their ids.
        behaviours: what arrived, in order.
        online: codes of the model.
        time_ms: of the request.
    """
    if online.preference is None:
        return stored
    known = {str(name) for name in ids.to_list()}
    news = [
        each
        for each in behaviours
        if each.action == EXPOSURE
        and each.time < time_ms
        and each.available_time < time_ms
        and str(each.exposure_id) not in known
        and online.scenario(each.scenario) is not None
    ]
    joined = _joined(stored, news, online)
    names = [*(str(name) for name in ids.to_list()), *(str(each.exposure_id) for each in news)]
    answers = [each for each in behaviours if each.available_time < time_ms]
    _note_answers(joined, names, answers, online, online.preference.answer)
    return joined.take(np.argsort(joined.time_N, kind="stable"))


def _joined(stored: Shown, news: Sequence[Behaviour], online: OnlineFeatures) -> Shown:
    items = [online.item_row(each.item_id) for each in news]
    creatives = [0 if each.creative_id is None else online.creative_row(each.creative_id) for each in news]
    scenarios = [online.scenario(each.scenario) or 0 for each in news]
    return Shown(
        np.concatenate([stored.item_N, np.array(items, np.int32)]),
        np.concatenate([stored.creative_N, np.array(creatives, np.int32)]),
        np.concatenate([stored.scenario_N, np.array(scenarios, np.int32)]),
        np.concatenate([stored.time_N, np.array([each.time for each in news], np.int64)]),
        np.concatenate([stored.answered_N, np.full(len(news), NEVER)]),
    )


def _note_answers(
    shown: Shown,
    names: Sequence[str],
    behaviours: Sequence[Behaviour],
    online: OnlineFeatures,
    answer: Answer,
) -> None:
    """Write when each exposure was answered into `shown`, whose rows have these ids."""
    place_of = {name: place for place, name in enumerate(names)}
    for each in behaviours:
        if not answer.is_given(each.action, each.value):
            continue
        place = place_of.get(str(each.exposure_id)) if each.exposure_id is not None else None
        if each.exposure_id is None and answer.last_touch:
            touched = np.flatnonzero((shown.item_N == online.item_row(each.item_id)) & (shown.time_N <= each.time))
            place = int(touched[np.lexsort((touched, shown.time_N[touched]))[-1]]) if len(touched) else None
        if place is not None and 0 <= each.time - shown.time_N[place] <= answer.window:
            shown.answered_N[place] = min(shown.answered_N[place], each.available_time)
