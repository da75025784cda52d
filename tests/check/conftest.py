import pytest
from check_desk import Desk


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)
