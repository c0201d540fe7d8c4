"""The program that times the page of a person runs through, on a few people."""

import pytest
from chromium import needs_browser

from benchmarks.view_person import measure, rows

pytest.importorskip("nicegui", reason="the extra view is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")
pytestmark = needs_browser


def test_everything_is_timed(rendered):
    found = measure(rendered, 1)
    assert all(len(times) == 1 and times[0] > 0 for times in found.values())
    assert [row["limit"] for row in rows(found)] == ["0.2 s", "1 s", "2 s"]
    assert not (rendered.parent / "corrections").exists()
