"""A public download into a workspace."""

from pathlib import Path
from typing import Any

from plait.data.importers import IMPORTERS, Importer, ImportReport, import_source, importer_named
from plait.errors import ConfigError


def import_dataset(
    name: str, source: Path, out: Path, options: dict[str, Any], *, replace: bool = False
) -> ImportReport:
    """Read the download at `source` with the importer called `name` into the workspace folder `out`.

    Raises:
        ConfigError: there is no such importer, or an option is wrong.
        ImportLayoutError: the download has another layout.
        DataError: `out` holds something already and `replace` is off.
    """
    return import_source(importer_named(name), source, out, options, replace=replace)


def importers() -> list[Importer]:
    """Every importer, in the order in which they are listed."""
    return list(IMPORTERS.values())


def parse_options(texts: list[str]) -> dict[str, str]:
    """`["negatives=4", "seed=1"]` as a mapping; values keep the type that the importer's settings give them.

    Raises:
        ConfigError: a text is not of the form key=value.
    """
    options = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"--option {text}: expected key=value, such as negatives=2")
        options[key.strip()] = value.strip()
    return options
