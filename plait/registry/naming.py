"""Names of models, aliases and files, and references such as `ranker@production`."""

import re
from pathlib import PurePosixPath

from plait.errors import ArtifactError

LATEST = "latest"
"""The alias that every model has: its highest version."""
PRODUCTION = "production"
"""The alias of the version to serve; the first version of a name gets it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".ckpt", ".bin")


def checked_name(name: str) -> str:
    """`name`, if a model may be called that.

    Raises:
        ArtifactError: it is empty, too long, or could mean another folder.
    """
    if not _NAME.fullmatch(name):
        raise ArtifactError(
            f"'{name}' cannot name a model: expected 1 to 64 letters, digits, '-', '_' and '.', "
            "the first a letter or digit"
        )
    return name


def checked_alias(alias: str) -> str:
    """`alias`, if it may be given to a version.

    Raises:
        ArtifactError: it is `latest`, reads like a version number, or has characters that no name has.
    """
    if alias == LATEST:
        raise ArtifactError("'latest' is always the highest version and cannot be set; choose another alias")
    if alias.isdecimal() or not _NAME.fullmatch(alias):
        raise ArtifactError(
            f"'{alias}' cannot be an alias: expected a name such as 'production', not a number or a path"
        )
    return alias


def checked_file(name: str) -> str:
    """`name`, if a model may hold a file of that name: a relative path that stays inside, and no pickle.

    Raises:
        ArtifactError: it leaves the model's folder, or is a kind of file that runs code when it is loaded.
    """
    parts = PurePosixPath(name).parts
    if not parts or "/".join(parts) != name or any(not _NAME.fullmatch(part) for part in parts):
        raise ArtifactError(f"'{name}' cannot be a model's file: expected a relative path such as 'model.safetensors'")
    if name.endswith(_PICKLES):
        raise ArtifactError(
            f"'{name}' may hold a pickle, which runs code when it is loaded; "
            "save weights as safetensors, the rest as JSON"
        )
    return name


def split_reference(reference: str) -> tuple[str, str]:
    """`name@alias`, `name@version` or `name` (the latest) as name and selector.

    Raises:
        ArtifactError: it has no such form.
    """
    name, at, selector = reference.partition("@")
    if at and not _NAME.fullmatch(selector):
        raise ArtifactError(f"'{reference}' names no model: expected 'name', 'name@3' or 'name@production'")
    return checked_name(name), selector or LATEST
