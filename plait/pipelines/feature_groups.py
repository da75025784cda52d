"""Derived feature groups of a workspace: which there are, and the folders that hold them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from plait.config import nearest
from plait.errors import ArtifactError, ConfigError
from plait.features.creative_fields import CREATIVE_FIELDS
from plait.features.dataset import EncodedDataset
from plait.features.preference import CREATIVE_PREFERENCE
from plait.pipelines.creative_groups import creative_fields_group, creative_preference_group
from plait.pipelines.embedding_groups import (
    ITEM_EMBEDDING,
    USER_EMBEDDING,
    item_embedding_group,
    user_embedding_group,
)
from plait.pipelines.encode import encoded_dataset
from plait.pipelines.project import Project
from plait.registry import RegisteredModel

MakeGroup = Callable[[Project, Path], Path]
"""Makes one group for the encoded samples in a folder, unless it is there, and says where it is.

Raises `ArtifactError` where what the group is made of is not there; the message says which command makes that.
"""

GROUPS: dict[str, MakeGroup] = {
    CREATIVE_FIELDS: creative_fields_group,
    CREATIVE_PREFERENCE: creative_preference_group,
    USER_EMBEDDING: user_embedding_group,
    ITEM_EMBEDDING: item_embedding_group,
}
"""Every group by the name that a recipe's `[features] use` calls it."""


def group_folders(project: Project, encoded: Path, names: Sequence[str]) -> dict[str, Path]:
    """The folders of these groups for the encoded samples in `encoded`, made now unless they are there.

    Raises:
        ConfigError: there is no group of that name.
        ArtifactError: what a group is made of is not there.
    """
    for name in names:
        if name not in GROUPS:
            raise ConfigError(f"[features] use: there is no feature group '{name}'{nearest(name, list(GROUPS))}")
    return {name: GROUPS[name](project, encoded) for name in names}


def missing_group(project: Project, name: str) -> str | None:
    """What the group lacks, in words; None where it is there (it is made now unless it was)."""
    try:
        group_folders(project, encoded_dataset(project), [name])
    except ArtifactError as error:
        return str(error)
    return None


def dataset_with(project: Project, names: Sequence[str]) -> EncodedDataset:
    """The workspace's encoded samples with the columns of these groups; both are made now unless they are there.

    Raises:
        ConfigError: there is no group of that name.
        ArtifactError: what a group is made of is not there.
    """
    encoded = encoded_dataset(project)
    return EncodedDataset.open(encoded, list(group_folders(project, encoded, names).values()))


def registered_groups(project: Project, registered: RegisteredModel) -> tuple[Path, ...]:
    """The folders of the groups that a registered model reads, as they were when it was trained.

    Raises:
        ArtifactError: one is not there any more.
    """
    used: Mapping[str, str] = registered.manifest.details.get("feature_groups", {})
    folders = tuple(group_folder(project, name) / fingerprint for name, fingerprint in used.items())
    for folder in folders:
        if not folder.exists():
            raise ArtifactError(f"{registered.reference}: its features ({folder}) are not there; train the model again")
    return folders


def group_folder(project: Project, name: str) -> Path:
    """Where the builds of one group lie."""
    return project.hidden / "derived" / group_stage(name)


def group_stage(name: str) -> str:
    """The group's name as a stage of the artifact store."""
    return f"features-{name}"
