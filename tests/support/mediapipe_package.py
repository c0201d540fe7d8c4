"""Tests that read networks of the package mediapipe."""

from importlib.util import find_spec

import pytest


def need_mediapipe() -> None:
    """Skips the test or the file without the package; it is only looked for, since to import it takes a second."""
    if find_spec("mediapipe") is None:
        pytest.skip("the package mediapipe is not installed", allow_module_level=True)
