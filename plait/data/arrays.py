"""Arrays in a folder: one `.npy` file each, written aside and renamed, read memory-mapped and never unpickled."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plait.errors import ArtifactError


def save_arrays(folder: Path, **arrays: NDArray[Any]) -> None:
    """Write each array as `<folder>/<name>.npy`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        aside = folder / f"{name}.npy.partial"
        with aside.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        aside.rename(folder / f"{name}.npy")


def load_arrays(folder: Path, *names: str) -> dict[str, NDArray[Any]]:
    """The named arrays of `folder`, memory-mapped.

    Raises:
        ArtifactError: a file is missing or is not an array.
    """
    arrays = {}
    for name in names:
        path = folder / f"{name}.npy"
        try:
            # As a plain array: NumPy is slow to slice one of the class memmap.
            arrays[name] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path}: cannot be read as an array ({error}); build it again") from error
    return arrays
