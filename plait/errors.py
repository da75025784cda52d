"""Every error that Plait raises on purpose.

    PlaitError                      something a user can act on; the CLI prints it without a traceback
    ├── ConfigError                 a setting is wrong: which file, which key, what was expected
    ├── DataError                   a table is wrong: which table, column and rows
    │   └── ImportLayoutError       a download does not have the layout its importer reads
    ├── ArtifactError               derived data or a registered model is missing, stale or damaged
    ├── ContentError                a creative cannot be read or understood; the reason stands in its profile
    │   └── PassingError            it could not be understood just now: trying again may help
    ├── TrainingError               a run cannot start, resume or go on
    └── ServingError                a request cannot be answered as asked

A message says what was found, what was expected, where, and what to do about it.
"""


class PlaitError(Exception):
    """Base of all errors that a user can act on."""


class ConfigError(PlaitError):
    """A setting is wrong."""


class DataError(PlaitError):
    """A table does not hold what its specification asks for."""


class ImportLayoutError(DataError):
    """A download does not have the layout that its importer reads."""


class ArtifactError(PlaitError):
    """Derived data or a registered model is missing, stale or damaged."""


class ContentError(PlaitError):
    """A creative cannot be read or understood; the reason stands in its profile."""


class PassingError(ContentError):
    """A creative could not be understood just now: trying again may help."""


class TrainingError(PlaitError):
    """A training run cannot start, resume or go on."""


class ServingError(PlaitError):
    """A request cannot be answered as asked."""
