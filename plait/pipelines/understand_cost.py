"""`plait understand estimate`: what the language model will take for all creatives, before they are asked about."""

from dataclasses import dataclass

from plait.errors import ConfigError
from plait.llm.generate import Usage
from plait.pipelines.project import Project
from plait.pipelines.understand import ask_for, price_of


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What a run will take, by a sample."""

    creatives: int
    sampled: int
    whole: Usage
    """For all creatives, from nothing."""
    left: Usage
    """For those that no answer is kept of."""
    price: float
    """Of what is left, by the settings' prices."""


def estimate_cost(project: Project, sample: int) -> CostEstimate:
    """Ask about `sample` creatives, whose answers are kept, and extrapolate.

    It says rather too much: creatives that say the same, and lists of options without a text, are asked about once.

    Raises:
        ConfigError: the workspace names no language model, or a package is missing.
        DataError: it has no creatives.
        PassingError: the language model does not answer.
    """
    if not project.workspace.content.llm.configured:
        raise ConfigError(f"{project.root}: found no [content.llm] in plait.toml, so that nothing is asked or paid")
    count, sampled, asked, paid = ask_for(project, sample)
    scale = count / max(1, sampled)
    left = paid.times(scale - 1)
    return CostEstimate(count, sampled, asked.times(scale), left, price_of(project, left))
