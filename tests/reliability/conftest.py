"""What tests of promises share."""

from collections.abc import Iterator

import pytest
from small_pages import small_pages


@pytest.fixture(scope="module", autouse=True)
def small_pictures() -> Iterator[None]:
    """Pages of runs have few and small pictures."""
    with small_pages():
        yield
