"""Taxonomies: the labels that a creative may get, as a tree of up to three levels, read from a file."""

import csv
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from plait.errors import ConfigError

LEVELS = 3
"""Levels of a label path, at most."""
PACKAGED = Path(__file__).with_name("taxonomies")
"""Folder of the taxonomies that come with Plait."""

Path3 = tuple[str, ...]
"""Names from the first level down: one to three of them."""
_SEPARATOR = " > "
_COLUMNS = ("l1", "l2", "l3", "zh1", "zh2", "zh3", "description", "words")


@dataclass(frozen=True, slots=True)
class Label:
    """A leaf or inner node of the tree."""

    path: Path3
    """Names in the file's first language."""
    zh: Path3 = ()
    """The same names in Chinese; empty where the file gives none."""
    description: str = ""
    """What falls under it, in a sentence."""
    words: tuple[str, ...] = ()
    """Other names by which a text gives it away."""

    @property
    def text(self) -> str:
        """The path as people and models read it: 动作射击 > MOBA."""
        return _SEPARATOR.join(self.path)

    def names(self, language: str) -> Path3:
        """The path in "zh" or "en"; the file's own names where it lacks the language."""
        return self.zh if language == "zh" and self.zh else self.path


@dataclass(frozen=True)
class Taxonomy:
    """Every label path that an answer may be, in the file's order."""

    name: str
    leaves: tuple[Label, ...]

    @cached_property
    def place(self) -> Mapping[Path3, int]:
        """Index of every leaf by its path."""
        return {leaf.path: place for place, leaf in enumerate(self.leaves)}

    @cached_property
    def depth(self) -> int:
        """Levels of the longest path."""
        return max(len(leaf.path) for leaf in self.leaves)

    def children(self, path: Path3) -> tuple[str, ...]:
        """Names directly below a path, in the file's order; of the first level for the empty path."""
        below = (leaf.path[len(path)] for leaf in self.leaves if leaf.path[: len(path)] == path != leaf.path)
        return tuple(dict.fromkeys(below))

    def names_below(self, path: Path3, language: str) -> tuple[str, ...]:
        """The names of `children(path)` in "zh" or "en", in the same order."""
        level = len(path)
        named = {
            leaf.path[: level + 1]: leaf.names(language)[level] for leaf in reversed(self.leaves) if leaf.path[level:]
        }
        return tuple(named[*path, child] for child in self.children(path))

    def search(self, part: str) -> list[Path3]:
        """Paths of leaves that have `part` in a name, in any language; only those of that very name where there are."""
        wanted = part.strip().casefold()
        named = [(leaf.path, [name.casefold() for name in (leaf.text, *leaf.path, *leaf.zh)]) for leaf in self.leaves]
        exact = [path for path, names in named if wanted in (names[0], names[len(path)], names[-1])]
        return exact or [path for path, names in named if any(wanted in name for name in names)]

    def nodes(self, level: int) -> tuple[Path3, ...]:
        """Distinct paths cut to `level` names, in the file's order."""
        return tuple(dict.fromkeys(leaf.path[:level] for leaf in self.leaves))

    def node_of_leaf(self, level: int) -> list[int]:
        """For every leaf its index in `nodes(level)`."""
        place = {node: index for index, node in enumerate(self.nodes(level))}
        return [place[leaf.path[:level]] for leaf in self.leaves]


def load_taxonomy(name_or_file: str | Path) -> Taxonomy:
    """A packaged taxonomy by its name, or a user's CSV, TSV or TOML file.

    Raises:
        ConfigError: there is no such taxonomy, or the file does not hold one.
    """
    path = Path(name_or_file)
    packaged = {file.stem: file for file in PACKAGED.iterdir() if file.suffix in _READERS}
    path = packaged.get(str(name_or_file), path)
    if path.suffix not in _READERS or not path.is_file():
        raise ConfigError(
            f"taxonomy {name_or_file}: found no such file (CSV, TSV or TOML), and those that come with Plait are "
            f"{', '.join(sorted(packaged))}"
        )
    return make_taxonomy(path.stem, _READERS[path.suffix](path))


def make_taxonomy(name: str, leaves: Iterable[Label]) -> Taxonomy:
    """A checked taxonomy.

    Raises:
        ConfigError: it is empty, a path stands twice, is too long or has an empty name, or is the beginning of another.
    """
    found = tuple(leaves)
    paths = [leaf.path for leaf in found]
    if not paths:
        raise ConfigError(f"taxonomy {name}: found no labels, expected at least one")
    for path in paths:
        if not 1 <= len(path) <= LEVELS or not all(part.strip() for part in path):
            raise ConfigError(f"taxonomy {name}: found the path {path}, expected one to {LEVELS} names, none empty")
    if twice := sorted({path for path in paths if paths.count(path) > 1}):
        raise ConfigError(f"taxonomy {name}: the path {_SEPARATOR.join(twice[0])} stands twice; keep one")
    return Taxonomy(name, found)


def normalised(text: str) -> str:
    """Lower case, spaces for everything but letters and digits: how texts and label words are compared."""
    return " ".join(re.findall(r"\w+", text.lower().replace("t-shirt", "tshirt").replace("'s", "")))


def _from_csv(path: Path) -> list[Label]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or "l1" not in rows[0]:
        raise ConfigError(f"{path}: expected a CSV with a header of l1 and, as needed, {', '.join(_COLUMNS[1:])}")
    if unknown := sorted(str(column) for column in set(rows[0]) - set(_COLUMNS)):
        raise ConfigError(f"{path}: found columns {unknown}, expected some of {', '.join(_COLUMNS)}")
    return [_label(row) for row in rows]


def _label(row: Mapping[str, str | None]) -> Label:
    def names(*columns: str) -> Path3:
        return tuple(name for column in columns if (name := (row.get(column) or "").strip()))

    words = tuple(word for part in (row.get("words") or "").split("|") if (word := part.strip()))
    return Label(names("l1", "l2", "l3"), names("zh1", "zh2", "zh3"), (row.get("description") or "").strip(), words)


def _from_iab(path: Path) -> list[Label]:
    """IAB Tech Lab's own layout: a row per node of any tier. Labels are the nodes that have none below them."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    if not rows or "Tier 1" not in rows[0]:
        raise ConfigError(f"{path}: expected a TSV in IAB Tech Lab's layout, with a column 'Tier 1'")
    tiers = [f"Tier {level}" for level in range(1, LEVELS + 1)]
    paths = dict.fromkeys(tuple(part for tier in tiers if (part := (row.get(tier) or "").strip())) for row in rows)
    inner = {path[:level] for path in paths for level in range(1, len(path))}
    return [Label(path) for path in paths if path and path not in inner]


def _from_toml(path: Path) -> list[Label]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return [
            Label(
                tuple(row["path"]),
                tuple(row.get("zh", ())),
                str(row.get("description", "")),
                tuple(row.get("words", ())),
            )
            for row in content["label"]
        ]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: expected [[label]] tables with a path each ({error})") from error


_READERS = {".csv": _from_csv, ".tsv": _from_iab, ".toml": _from_toml}
