"""How strongly each ingredient of the simulated world moves its probabilities. Fixed per version; 0 is the null."""

from typing import Literal, Self

from plait.config import Settings, nearest
from plait.errors import ConfigError


class Strengths(Settings):
    """Factors of the parts of the true logit: 1 is the world as it is, 0 the null (`docs/simulation.md`).

    A strength of 0 removes its part from every probability, and its traces from the organic behaviours.
    """

    version: Literal[1] = 1
    """Version of the values below. They may not change within a version: results are built on them."""
    quality: float = 1.0
    """Item quality, which popularity shows to everybody."""
    activity: float = 1.0
    """How readily a user clicks, installs or pays at all."""
    interest: float = 1.0
    """The user's static interests in leaf categories, visible in what they do."""
    profile: float = 1.0
    """Profile x category: age, gender, city tier and device against the item's branch."""
    drift: float = 1.0
    """The user's present focus, a leaf category that changes every few days."""
    session_intent: float = 1.0
    """What the user is after in the running session."""
    habit: float = 1.0
    """Weekday- and hour-periodic routines, far older than the last fifty events."""
    loyalty: float = 1.0
    """A few developers the user returns to rarely but always."""
    creative_taste: float = 1.0
    """User x creative attributes."""
    creative_appeal: float = 1.0
    """What everybody likes about a creative's look."""
    text: float = 1.0
    """User taste x the item's themes, which only its name and description tell of a new item."""
    scenario_contrast: float = 1.0
    """How differently scenarios and objectives weigh the other parts (a factor of log weights)."""
    position_bias: float = 1.0
    """Attention falling with position."""
    query_match: float = 1.0
    """How well the item fits the query, in search."""

    def without(self, *names: str) -> Self:
        """These strengths with `names` set to 0.

        Raises:
            ConfigError: a name is no strength.
        """
        known = [name for name in type(self).model_fields if name != "version"]
        for name in names:
            if name not in known:
                raise ConfigError(f"found '{name}', expected the name of a strength{nearest(name, known)}")
        return self.model_copy(update=dict.fromkeys(names, 0.0))
