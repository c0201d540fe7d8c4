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


REPORT = """<testsuites><testsuite>
<testcase file="{file}" name="{name}[a]"><properties><property name="promise" value="{number}"/>
<property name="measured" value="5 of 5"/></properties></testcase>
<testcase file="{file}" name="{name}[b]"><properties><property name="promise" value="{number}"/></properties>
<failure message="assert 3 | 4&#10;more">trace</failure></testcase><testcase time="0.0"/></testsuite></testsuites>"""


def test_the_table_says_what_was_measured_what_did_not_hold_and_what_did_not_end(tmp_path):
    page = runpy.run_path(str(ROOT / "docs/reliability.py"))
    first, second = sorted(page["stated"](), key=lambda promise: promise.number)[:2]
    file, _, name = first.tests[0].partition("::")
    (tmp_path / "a.xml").write_text(REPORT.format(file=file, name=name, number=1))
    rows = page["table"](page["measured"]([tmp_path / "a.xml", tmp_path / "absent.xml"])).splitlines()[2:]
    assert f"| 5 of 5; **not held**: assert 3 / 4 | `{first.tests[0]}` |" in rows[0]
    assert f"| **not held**: it did not end in time | `{second.tests[0]}` |" in rows[1]
    assert len(rows) == 24
