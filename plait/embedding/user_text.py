"""A user's behaviour up to a moment as one text, within its budgets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plait.config import EmbeddingSettings
from plait.embedding.catalogue import Catalogue, Key
from plait.embedding.events import TextEvents
from plait.embedding.templates import ActionList, ItemWords, NamedApp, TextTemplates, UserWords


@dataclass(frozen=True, slots=True)
class _Counted:
    """The apps of one action, latest first, by row of the catalogue, with how often each came."""

    label: str
    counts: Mapping[int, int]


class UserTexts:
    """Composes texts of users.

    Args:
        settings: budgets.
        templates: of the language.
        catalogue: items in words.
        profiles: of users, by id.
        labels: what the text calls each action, in the order of the events' actions.
    """

    def __init__(
        self,
        settings: EmbeddingSettings,
        templates: TextTemplates,
        catalogue: Catalogue,
        profiles: Mapping[Key, Mapping[str, str]],
        labels: Sequence[str],
    ) -> None:
        self._settings = settings
        self._templates = templates
        self._catalogue = catalogue
        self._profiles = profiles
        self._labels = labels

    def at(self, events: TextEvents, user: int, known: int, time: int) -> str:
        """The text of one user at a moment.

        The budget of characters is met by naming fewer apps per action, oldest first; what is still too long with one
        app each is cut.

        Args:
            events: of all users.
            user: which one.
            known: how many of the user's events were available then; no further one is looked at.
            time: the moment, epoch milliseconds.
        """
        counted = self._counted(events, user, known, time)
        profile = self._profiles.get(events.users[user], {})
        most, text = self._settings.items, ""
        while most:
            text = self._templates.user(self._words(profile, counted, most))
            if len(text) <= self._settings.max_characters:
                break
            most -= 1
        return text[: self._settings.max_characters]

    def _counted(self, events: TextEvents, user: int, known: int, time: int) -> list[_Counted]:
        first = int(events.offsets_U1[user])
        rows = np.arange(first + known - 1, first - 1, -1)
        rows = rows[events.time_N[rows] >= time - self._settings.recency]
        actions, items = events.action_N[rows], events.item_N[rows]
        per_action = (Counter(items[actions == place].tolist()) for place in range(len(self._labels)))
        return [_Counted(label, counts) for label, counts in zip(self._labels, per_action, strict=True) if counts]

    def _words(self, profile: Mapping[str, str], counted: Sequence[_Counted], most: int) -> UserWords:
        words = self._catalogue.words
        lists: list[ActionList] = []
        named: dict[int, ItemWords] = {}
        for one in counted:
            latest = list(one.counts.items())[:most]
            lists.append(ActionList(one.label, [NamedApp(words[row].name, count) for row, count in latest]))
            named |= {row: words[row] for row, _ in latest}
        return UserWords(profile, lists, [app for app in named.values() if app.path])
