"""The declared graph: which steps there are, in an order in which every step comes after what it reads."""

from collections.abc import Sequence

from plait.content.workflow.step import BatchStep, FileStep, Step
from plait.errors import ConfigError

SOURCES = ("media", "copy", "item")
"""What a creative brings: its media file, its text, and what is known of the item it advertises."""


class Workflow:
    """Steps, checked.

    Raises:
        ConfigError: a name stands twice, an input is neither a source nor an earlier step, or a step that looks at
            files reads something else than the file and other such steps.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.files: tuple[FileStep, ...] = tuple(step for step in steps if isinstance(step, FileStep))
        self.batches: tuple[BatchStep, ...] = tuple(step for step in steps if isinstance(step, BatchStep))
        known = set(SOURCES)
        for step in self.steps:
            if step.name in known:
                raise ConfigError(f"step '{step.name}' is declared twice, or is called like a source")
            readable = known - {"copy", "item"} if isinstance(step, FileStep) else known
            for name, _ in step.needs:
                if name not in readable:
                    raise ConfigError(
                        f"step '{step.name}' reads '{name}', expected one of {', '.join(sorted(readable))}"
                    )
            known.add(step.name)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in the order in which they run: those on files first."""
        return (*self.files, *self.batches)

    def describe(self) -> list[dict[str, object]]:
        """What the answers depend on, for a fingerprint."""
        return [
            {"name": step.name, "version": step.version, "model": step.model, "settings": dict(step.settings)}
            for step in self.steps
        ]
