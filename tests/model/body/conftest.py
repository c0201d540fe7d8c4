"""Fixtures of the body model tests."""

from pathlib import Path

import pytest
from body_files import write_smplx_package_files


@pytest.fixture(scope="session")
def package_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The open body as the files that the package `smplx` reads, written once: copy before you change them."""
    return write_smplx_package_files(tmp_path_factory.mktemp("open_body_files"))
