"""Looking at a folder of tables and proposing a workspace for it."""

from plait.data.inspection.draft import Inspection, inspect_folder

__all__ = ["Inspection", "inspect_folder"]
