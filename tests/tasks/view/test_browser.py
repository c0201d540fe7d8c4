"""The viewer in headless Chromium: filters, order, pages, Back; nothing is asked of other hosts, nothing goes wrong."""

import pytest
from chromium import needs_browser

pytest.importorskip("nicegui", reason="the extra view is not installed")
pytest.importorskip("playwright", reason="the extra dev is not installed")

from benchmarks.view import measure
from benchmarks.view_people import write_people

pytestmark = [*needs_browser, pytest.mark.timeout(600)]


def test_what_a_browser_sees_of_a_few_thousand_people(tmp_path):
    write_people(tmp_path / "labels", 20_000)
    found = measure(tmp_path, tmp_path / "labels", tmp_path)
    assert found.errors == []
    assert found.foreign == []
    assert not found.has_torch
    assert found.megabytes["peak memory"] < 1000
    assert found.megabytes["a further open page"] < 20
    assert len(found.seconds["filter or sort"]) == 14
    assert (tmp_path / "view_table.png").stat().st_size > 50_000
