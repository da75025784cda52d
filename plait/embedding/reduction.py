"""Vectors of some hundred dimensions to d: `y = (x - mean) W`, fitted on what training sees."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from plait.config.embedding import Reduction
from plait.errors import ArtifactError, DataError
from plait.seeding import generator

_MOST_FITTED = 50_000
"""Rows that principal components are fitted on, evenly spaced."""
_FLOOR = 1e-6
"""Of the largest variance: directions below it are noise that whitening must not blow up."""


@dataclass(frozen=True)
class Projection:
    """A linear map from D to d dimensions."""

    mean_D: NDArray[np.float32]
    weight_DX: NDArray[np.float32]

    def __call__(self, vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
        """`[N, d]`."""
        return np.asarray((vectors_ND - self.mean_D) @ self.weight_DX, np.float32)

    @property
    def width(self) -> int:
        """How many dimensions are left: d."""
        return int(self.weight_DX.shape[1])

    def then(self, further: "Projection") -> "Projection":
        """This map and `further` after it, as one."""
        shift_D = np.linalg.pinv(self.weight_DX.T) @ further.mean_D
        return Projection(
            (self.mean_D + shift_D).astype(np.float32), (self.weight_DX @ further.weight_DX).astype(np.float32)
        )

    def save(self, path: Path) -> None:
        """Write it as safetensors."""
        save_file({"mean": np.ascontiguousarray(self.mean_D), "weight": np.ascontiguousarray(self.weight_DX)}, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote.

        Raises:
            ArtifactError: the file is missing or is something else.
        """
        try:
            tensors = load_file(path)
            return cls(tensors["mean"], tensors["weight"])
        except (OSError, KeyError, SafetensorError) as error:
            raise ArtifactError(f"{path}: no projection ({error!r}); delete its folder and build it again") from error


def fit_projection(
    vectors_ND: NDArray[np.float32], width: int, kind: Reduction = "pca", *, seed: int = 0
) -> Projection:
    """The projection of one kind to `width` dimensions.

    - `pca`: `W` = the eigenvectors of the covariance with the largest eigenvalues (each with its largest entry
      positive, so that the signs are one).
    - `whiten`: these, divided by the square roots of the eigenvalues.
    - `random`: `W ~ N(0, 1 / d)`, of the seed; needs no fit but for the mean (Johnson and Lindenstrauss).
    - `truncate`: the first `width` numbers as they are, for models trained so that these suffice (Kusupati et al. 2022,
      "Matryoshka Representation Learning").

    Raises:
        DataError: the vectors are narrower than `width`, or there are fewer than two.
    """
    rows, full = vectors_ND.shape
    if width > full or rows < 2:
        raise DataError(f"cannot reduce {rows} vectors of {full} numbers to {width}: expected two or more, and wider")
    if kind == "truncate":
        return Projection(np.zeros(full, np.float32), np.eye(full, width, dtype=np.float32))
    sample_ND = vectors_ND[:: max(rows // _MOST_FITTED, 1)].astype(np.float64)
    mean_D = sample_ND.mean(axis=0)
    if kind == "random":
        weight_DX = generator(seed, "random projection").standard_normal((full, width)) / np.sqrt(width)
        return Projection(mean_D.astype(np.float32), weight_DX.astype(np.float32))
    values_D, vectors_DD = np.linalg.eigh(np.cov(sample_ND - mean_D, rowvar=False, bias=True))
    weight_DX = vectors_DD[:, ::-1][:, :width]
    weight_DX = weight_DX * np.sign(weight_DX[np.abs(weight_DX).argmax(axis=0), np.arange(width)])
    if kind == "whiten":
        variance_X = values_D[::-1][:width]
        weight_DX = weight_DX / np.sqrt(np.maximum(variance_X, _FLOOR * max(float(variance_X[0]), 1e-12)))
    return Projection(mean_D.astype(np.float32), weight_DX.astype(np.float32))
