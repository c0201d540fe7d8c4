"""Fixtures that tests of several folders share."""

from pathlib import Path

import pytest
from annotated_project import annotate, write_project


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings file of a project folder whose data set is rendered and annotated once."""
    params = write_project(tmp_path_factory.mktemp("annotated"))
    result = annotate(params)
    assert not result.failed_parts, result.sentence
    return params
