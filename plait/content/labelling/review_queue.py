"""Answers that were not sure enough, and what a person said of them: one JSON file, written whole."""

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from plait.content.labelling.strategy import Described
from plait.content.taxonomy import Path3, Taxonomy
from plait.data.artifacts import write_atomically
from plait.errors import ArtifactError, DataError


class Reviewed(BaseModel):
    """A creative in the queue."""

    model_config = ConfigDict(extra="forbid")

    creative_id: str
    text: str
    media: str = ""
    """Its file, where it has one."""
    proposed: tuple[str, ...]
    """The likeliest path."""
    confidence: tuple[float, ...]
    """Of each of its levels."""
    turn: int | None = None
    """Its place in the order in which decisions teach most; None: after all that have one."""
    decided: tuple[str, ...] | None = None
    """What a person said; None while nobody has."""


class ReviewQueue:
    """The queue in a file.

    Raises:
        ArtifactError: the file is no queue.
    """

    def __init__(self, path: Path, taxonomy: Taxonomy) -> None:
        self.path, self.taxonomy = path, taxonomy
        self._rows: dict[str, Reviewed] = {}
        if path.exists():
            try:
                rows = [Reviewed.model_validate(row) for row in json.loads(path.read_text(encoding="utf-8"))]
            except (ValueError, ValidationError) as error:
                raise ArtifactError(f"{path}: no review queue ({error}); move it away") from error
            self._rows = {row.creative_id: row for row in rows}

    def refill(self, unsure: Iterable[Reviewed]) -> int:
        """What waits is now what these say and nobody has decided; decisions stay. Returns how many wait."""
        decided = {name: row for name, row in self._rows.items() if row.decided is not None}
        self._rows = {row.creative_id: row for row in unsure} | decided
        self._save()
        return len(self.waiting())

    def waiting(self) -> list[Reviewed]:
        """What nobody has decided: by turn, then least sure first."""
        rows = [row for row in self._rows.values() if row.decided is None]
        return sorted(rows, key=lambda row: (row.turn is None, row.turn, row.confidence[-1:], row.creative_id))

    def decide(self, creative_id: str, path: Path3) -> None:
        """Keep a person's decision at once.

        Raises:
            DataError: the creative does not wait, or the path is not one of the taxonomy's.
        """
        if creative_id not in self._rows:
            raise DataError(f"review: found the creative {creative_id!r}, which is not in the queue {self.path}")
        if path not in self.taxonomy.place:
            raise DataError(f"review: found the label {' > '.join(path)!r}, which {self.taxonomy.name} does not have")
        self._rows[creative_id] = self._rows[creative_id].model_copy(update={"decided": path})
        self._save()

    def examples(self) -> list[tuple[Described, Path3]]:
        """Decisions, as examples for the next run."""
        return [(Described(r.creative_id, r.text), r.decided) for r in self._rows.values() if r.decided is not None]

    def _save(self) -> None:
        rows = [row.model_dump(mode="json") for row in self._rows.values()]
        write_atomically(self.path, json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
