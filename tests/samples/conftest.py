import pytest
from samples_worlds import read_samples, write_tables

from plait.data.samples import build_samples


@pytest.fixture
def sampled(tmp_path):
    """A function from rows to samples, as rows."""
    runs = iter(range(10_000))

    def run(exposures, behaviours, space, as_of=None, files=1, **sizes):
        folder = tmp_path / str(next(runs))
        write_tables(folder / "tables", exposures, behaviours, files)
        build_samples(folder / "tables", space, folder / "out", as_of=as_of, **sizes)
        assert not (folder / "out/_work").exists()
        return read_samples(folder / "out")

    return run
