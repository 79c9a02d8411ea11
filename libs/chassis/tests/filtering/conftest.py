import pytest
from testkit.filter_samples import BERLIN, TABLE


@pytest.fixture
def berlin():
    return BERLIN


@pytest.fixture
def table():
    return TABLE
