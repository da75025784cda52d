"""An opened workspace: its folder, its settings and its store of derived data."""

from dataclasses import dataclass
from pathlib import Path

from plait.config import Workspace, load_workspace
from plait.data.artifacts import ArtifactStore


@dataclass(frozen=True, slots=True)
class Project:
    """What every pipeline stage starts from."""

    root: Path
    workspace: Workspace
    store: ArtifactStore

    @property
    def hidden(self) -> Path:
        """`.plait/`: everything that Plait writes in this workspace."""
        return self.root / ".plait"


def open_project(root: Path) -> Project:
    """The workspace in folder `root`.

    Raises:
        ConfigError: there is no workspace file, or it is wrong.
    """
    root = root.resolve()
    return Project(root, load_workspace(root), ArtifactStore(root / ".plait" / "derived"))
