"""Reductions against scikit-learn and by hand."""

import numpy as np
import pytest

from plait.embedding.reduction import Projection, fit_projection
from plait.errors import ArtifactError, DataError

RANDOM = np.random.default_rng(3)
VECTORS = (RANDOM.standard_normal((400, 12)) * np.linspace(3, 0.3, 12) + 5).astype(np.float32)


def test_pca_agrees_with_scikit_learn():
    sklearn = pytest.importorskip("sklearn.decomposition")
    expected_NX = sklearn.PCA(4, svd_solver="full").fit_transform(VECTORS)
    found_NX = fit_projection(VECTORS, 4, "pca")(VECTORS)
    signs_X = np.sign((expected_NX * found_NX).sum(axis=0))
    np.testing.assert_allclose(found_NX, expected_NX * signs_X, atol=1e-3)


def test_whitened_components_have_unit_covariance():
    reduced_NX = fit_projection(VECTORS, 5, "whiten")(VECTORS)
    np.testing.assert_allclose(np.cov(reduced_NX, rowvar=False, bias=True), np.eye(5), atol=1e-3)


def test_whitening_leaves_noise_alone():
    flat = VECTORS.copy()
    flat[:, 6:] = 1.0
    assert np.abs(fit_projection(flat, 12, "whiten")(flat)).max() < 1e3


def test_random_projection_keeps_distances():
    wide = RANDOM.standard_normal((50, 600)).astype(np.float32)
    reduced = fit_projection(wide, 256, "random", seed=1)(wide)
    before = np.linalg.norm(wide[:25] - wide[25:], axis=1)
    ratio = np.linalg.norm(reduced[:25] - reduced[25:], axis=1) / before
    assert np.abs(ratio - 1).max() < 0.25
    np.testing.assert_array_equal(reduced, fit_projection(wide, 256, "random", seed=1)(wide))


def test_truncation():
    np.testing.assert_array_equal(fit_projection(VECTORS, 3, "truncate")(VECTORS), VECTORS[:, :3])


def test_two_maps_as_one():
    first = fit_projection(VECTORS, 6, "pca")
    second = fit_projection(first(VECTORS) + 2, 3, "whiten")
    np.testing.assert_allclose(first.then(second)(VECTORS), second(first(VECTORS)), atol=1e-4)


def test_file(tmp_path):
    projection = fit_projection(VECTORS, 3)
    projection.save(tmp_path / "p.safetensors")
    np.testing.assert_array_equal(Projection.load(tmp_path / "p.safetensors")(VECTORS), projection(VECTORS))
    (tmp_path / "p.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(ArtifactError, match="no projection"):
        Projection.load(tmp_path / "p.safetensors")


@pytest.mark.parametrize(("rows", "width"), [(400, 13), (1, 2)])
def test_what_cannot_be_reduced(rows, width):
    with pytest.raises(DataError, match="cannot reduce"):
        fit_projection(VECTORS[:rows], width)
