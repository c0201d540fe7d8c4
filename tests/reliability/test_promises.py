"""Every promise has its test, and the page has every promise."""

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_of_24_promises_is_stated_by_one_test_and_is_on_the_page_in_its_words():
    promises = sorted(runpy.run_path(str(ROOT / "docs/reliability.py"))["stated"](), key=lambda promise: promise.number)
    assert [promise.number for promise in promises] == list(range(1, 25))
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \|", page, re.MULTILINE)
    assert rows == [(str(promise.number), promise.what, promise.figure) for promise in promises]
