"""Fixtures that tests of several folders share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings file of a project folder whose data set is rendered and annotated once."""
    # Here, for tests that need no more than torch and numpy are run on machines that have no more.
    from annotated_project import annotate, write_project

    params = write_project(tmp_path_factory.mktemp("annotated"))
    result = annotate(params)
    assert not result.failed_parts, result.sentence
    return params
