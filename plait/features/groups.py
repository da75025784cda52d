"""Groups of derived features: columns that stand beside encoded samples and are read only by recipes that ask for them.

A group is a folder of its own, made from the encoded samples and from something else (creative profiles, vectors). The
samples are encoded without it and need not be encoded again when it changes; a dataset opened with it has its columns
behind all others. Three kinds of columns are in the folder: fields and numbers of users, items or creatives; dated
vectors of these; and what a user's earlier exposures say about a creative (`plait.features.preference`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.data.artifacts import write_atomically
from plait.errors import ArtifactError
from plait.features.bags import Bags
from plait.features.preference import CreativePreference
from plait.features.spec import VECTOR_SOURCES, EntitySource, FeatureSpec, Field, MultiField, Number
from plait.features.vectors import DatedVectors

_GROUP_FILE = "group.json"
_PREFERENCE_ARRAYS = ("answered_E", "preference_EG")


@dataclass(frozen=True, slots=True)
class EntityColumns:
    """Further columns of the table of users, items or creatives: R rows as the table has them, row 0 unknown."""

    codes_RF: NDArray[np.int32]
    numbers_RG: NDArray[np.float32]
    """Standardised."""
    bags_P: tuple[Bags, ...] = ()
    """Of each multi-valued field, a bag per row; codes are the field's own, from 0."""


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """One group: what its columns are called and what they hold. Fields of one source come in one stretch."""

    name: str
    fields: tuple[Field, ...] = ()
    numbers: tuple[Number, ...] = ()
    multi_fields: tuple[MultiField, ...] = ()
    columns: Mapping[EntitySource, EntityColumns] = field(default_factory=dict)
    vectors: Mapping[EntitySource, DatedVectors] = field(default_factory=dict)
    preference: CreativePreference | None = None
    answered_E: NDArray[np.int64] | None = None
    """With `preference`: when each exposure of the samples was answered; see `plait.features.preference.Shown`."""
    preference_EG: NDArray[np.float32] | None = None
    """With `preference`: its numbers of each exposure of the samples."""

    @classmethod
    def of_vectors(cls, name: str, source: EntitySource, vectors: DatedVectors) -> "FeatureGroup":
        """A group of nothing but dated vectors: its numbers are called `<name>.0`, `<name>.1` ..."""
        width = vectors.standard_RG.shape[1]
        return cls(
            name,
            numbers=tuple(Number(f"{name}.{place}", VECTOR_SOURCES[source], group=name) for place in range(width)),
            vectors={source: vectors},
        )

    def extend(self, spec: FeatureSpec) -> FeatureSpec:
        """`spec` with this group's columns behind its own."""
        return spec.extended(self.fields, self.numbers, self.multi_fields)

    def save(self, folder: Path) -> None:
        """Write the group; `group.json` comes last and says that the folder is whole."""
        folder.mkdir(parents=True, exist_ok=True)
        for source, columns in self.columns.items():
            np.save(folder / f"{source}.codes.npy", columns.codes_RF)
            np.save(folder / f"{source}.numbers.npy", columns.numbers_RG)
            for place, bags in enumerate(columns.bags_P):
                np.save(folder / f"{source}.token_offsets-{place:03d}.npy", bags.offsets_J1)
                np.save(folder / f"{source}.tokens-{place:03d}.npy", bags.codes_N)
        for source, vectors in self.vectors.items():
            vectors.save(folder, source)
        if self.preference is not None:
            self.preference.save(folder)
            for name in _PREFERENCE_ARRAYS:
                np.save(folder / f"{name}.npy", getattr(self, name))
        written = {
            "name": self.name,
            "fields": [asdict(each) for each in self.fields],
            "numbers": [asdict(each) for each in self.numbers],
            "multi_fields": [asdict(each) for each in self.multi_fields],
            "columns": {source: len(columns.bags_P) for source, columns in self.columns.items()},
            "vectors": list(self.vectors),
            "preference": self.preference is not None,
        }
        write_atomically(folder / _GROUP_FILE, json.dumps(written, ensure_ascii=False, indent=1))

    @classmethod
    def load(cls, folder: Path) -> "FeatureGroup":
        """The group that `save` wrote.

        Raises:
            ArtifactError: the folder is missing, unfinished or damaged.
        """
        try:
            written: dict[str, Any] = json.loads((folder / _GROUP_FILE).read_text(encoding="utf-8"))
            return cls(
                name=written["name"],
                fields=tuple(Field(**each) for each in written["fields"]),
                numbers=tuple(Number(**each) for each in written["numbers"]),
                multi_fields=tuple(MultiField(**each) for each in written["multi_fields"]),
                columns={source: _load_columns(folder, source, bags) for source, bags in written["columns"].items()},
                vectors={source: DatedVectors.load(folder, source) for source in written["vectors"]},
                **(_load_preference(folder) if written.get("preference") else {}),
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"{folder}: no whole feature group ({error!r}); remove the folder, train again"
            ) from error


def load_groups(folders: Sequence[Path]) -> tuple[FeatureGroup, ...]:
    """The groups in these folders, in order."""
    return tuple(FeatureGroup.load(folder) for folder in folders)


def _load_preference(folder: Path) -> dict[str, Any]:
    """The numbers of exposures are mapped, not read."""
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _PREFERENCE_ARRAYS}
    return {"preference": CreativePreference.load(folder), **arrays}


def _load_columns(folder: Path, source: str, bags: int) -> EntityColumns:
    codes_RF, numbers_RG = (
        np.load(folder / f"{source}.{kind}.npy", allow_pickle=False) for kind in ("codes", "numbers")
    )
    loaded = []
    for place in range(bags):
        kinds = ("token_offsets", "tokens")
        loaded.append(
            Bags(*(np.load(folder / f"{source}.{kind}-{place:03d}.npy", allow_pickle=False) for kind in kinds))
        )
    return EntityColumns(codes_RF, numbers_RG, tuple(loaded))
