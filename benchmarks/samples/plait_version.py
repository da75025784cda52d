"""The samples by Plait."""

from pathlib import Path
from typing import Any

from measured import main

from plait.config import Workspace
from plait.data.samples import build_samples


def build(tables: Path, specification: dict[str, Any], out: Path) -> None:
    build_samples(tables, Workspace.model_validate(specification["workspace"]), out)


if __name__ == "__main__":
    main(build)
