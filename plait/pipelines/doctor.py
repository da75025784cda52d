"""Whether this machine has what Plait needs, and what to do where it has not."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_GIGABYTE = 1e9
_NEEDED = ("torch", "numpy", "polars", "pyarrow", "pydantic", "fastapi", "uvicorn", "safetensors")
_SIMULATION = {
    "av": "av",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "mplfonts": "mplfonts",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    found: str
    advice: str = ""
    """What to do; empty where all is well."""

    @property
    def good(self) -> bool:
        return not self.advice


def examine(folder: Path) -> list[Finding]:
    """Everything that was looked at, for work in `folder`."""
    return [*_machine(folder), *_packages(), *_extras(), *_data()]


def _machine(folder: Path) -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("Python", version, "" if sys.version_info >= (3, 11) else "Plait needs Python 3.11 or newer")
    yield Finding("cores", str(os.cpu_count()))
    free = psutil.virtual_memory().available / _GIGABYTE
    yield Finding("free memory", f"{free:.1f} GB", "" if free >= 3 else "the demo wants 3 GB; close something")
    disk = shutil.disk_usage(folder).free / _GIGABYTE
    yield Finding("free disk", f"{disk:.1f} GB", "" if disk >= 2 else "the demo wants 2 GB")


def _packages() -> Iterator[Finding]:
    for name in _NEEDED:
        try:
            yield Finding(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "missing", "pip install -c constraints.txt -e .")


def _extras() -> Iterator[Finding]:
    missing = [package for module, package in _SIMULATION.items() if importlib.util.find_spec(module) is None]
    advice = "pip install -c constraints.txt -e '.[simulation]' (for `plait simulate` and `plait demo`)"
    yield Finding(
        "simulation extra", f"missing {', '.join(missing)}" if missing else "complete", advice if missing else ""
    )


def _data() -> Iterator[Finding]:
    folder = os.environ.get("PLAIT_DATA")
    if folder is None:
        yield Finding("PLAIT_DATA", "not set: tests on real data are skipped")
    else:
        there = Path(folder).is_dir()
        yield Finding("PLAIT_DATA", folder, "" if there else "no such folder: unset it, or point it at the data")
