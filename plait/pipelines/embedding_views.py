"""What `plait embed sweep` and `plait embed map` found last, kept in the workspace for its report."""

from pathlib import Path

from pydantic import BaseModel, ValidationError

from plait.data.artifacts import write_atomically
from plait.pipelines.alignment_map import AlignmentMap
from plait.pipelines.check import checked_tables
from plait.pipelines.embed_sweep import Sweep
from plait.pipelines.project import Project


class EmbeddingViews(BaseModel):
    """Both, each None until it has been made."""

    tables: str
    """The clean tables that they are of: a workspace whose tables have changed has made neither."""
    sweep: Sweep | None = None
    alignment: AlignmentMap | None = None


def keep_sweep(project: Project, sweep: Sweep) -> None:
    """Keep it instead of an earlier one."""
    _write(project, kept_views(project).model_copy(update={"sweep": sweep}))


def keep_alignment(project: Project, alignment: AlignmentMap) -> None:
    """Keep it instead of an earlier one."""
    _write(project, kept_views(project).model_copy(update={"alignment": alignment}))


def kept_views(project: Project) -> EmbeddingViews:
    """What has been kept of the tables as they are now; a file that cannot be read is one that is not there."""
    nothing = EmbeddingViews(tables=checked_tables(project).name)
    try:
        views = EmbeddingViews.model_validate_json(_path(project).read_bytes())
    except (OSError, ValidationError):
        return nothing
    return views if views.tables == nothing.tables else nothing


def _write(project: Project, views: EmbeddingViews) -> None:
    write_atomically(_path(project), views.model_dump_json(indent=1))


def _path(project: Project) -> Path:
    return project.hidden / "embedding-views.json"
