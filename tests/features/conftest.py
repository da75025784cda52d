"""One small encoded dataset for the tests that only read it."""

from pathlib import Path

import pytest

from plait.features.dataset import EncodedDataset
from plait.testing.datasets import small_dataset


@pytest.fixture(scope="session")
def encoded_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small")
    small_dataset(root, users=30, exposures=20, behaviours=180)
    return root / "encoded"


@pytest.fixture(scope="session")
def dataset(encoded_folder: Path) -> EncodedDataset:
    return EncodedDataset.open(encoded_folder)
