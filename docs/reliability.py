"""Writes the table of docs/reliability.md: what tests say they promise, and what they measured, as pytest reports it in
JUnit's XML. `make reliability` does so.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/reliability.md"


@dataclass(slots=True)
class Promise:
    """A row of the table."""

    number: int
    what: str
    figure: str
    tests: list[str]
    measured: list[str] = field(default_factory=list)


def stated() -> Iterator[Promise]:
    """What is promised, as the one test of each states it with the figure to reach."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if "mark.promise(" in (text := path.read_text(encoding="utf-8")):
            for test in ast.parse(text).body:
                for mark in getattr(test, "decorator_list", ()):
                    if ast.unparse(mark).startswith("pytest.mark.promise(") and len(mark.args) == 3:
                        number, what, figure = map(ast.literal_eval, mark.args)
                        name = f"{path.relative_to(ROOT).as_posix()}::{test.name}"  # type: ignore[attr-defined]
                        yield Promise(number, what, figure, [name])


def measured(reports: Iterable[Path]) -> list[Promise]:
    """What is promised, with the outcome of each test in some reports; of a test that is in several the last counts."""
    found = {promise.number: promise for promise in stated()}
    cases: dict[str, ElementTree.Element[Any]] = {}
    for report in filter(Path.is_file, reports):
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            if "file" in case.attrib:  # Not of the one that was interrupted.
                cases[f"{case.attrib['file']}::{case.attrib['name']}"] = case
    for name, case in cases.items():
        said = [(own.attrib["name"], own.attrib["value"]) for own in case.iter("property")]
        for number in (int(value) for key, value in said if key == "promise"):
            promise, test = found[number], name.partition("[")[0]
            promise.tests += [] if test in promise.tests else [test]
            promise.measured += _outcome(case) or [value for key, value in said if key == "measured"]
    over = {name.partition("[")[0] for name in cases}
    for promise in found.values():
        if not over.issuperset(promise.tests):
            promise.measured.append("**not held**: it did not end in time")
    return [found[number] for number in sorted(found)]


def _outcome(case: ElementTree.Element[Any]) -> list[str]:
    """Why a test measured nothing."""
    for kind, told in (("failure", "**not held**"), ("error", "**not held**"), ("skipped", "not measured here")):
        if (found := case.find(kind)) is not None:
            return [f"{told}: {found.attrib.get('message', '').splitlines()[0][:200]}"]
    return []


def table(promises: Iterable[Promise]) -> str:
    """The promises as Markdown."""
    lines = ["| | promise | figure to reach | measured | test |", "|--:|:--|:--|:--|:--|"]
    for promise in promises:
        said = "; ".join(dict.fromkeys(promise.measured)) or "not measured here"
        cells = [promise.what, promise.figure, said, "<br>".join(f"`{test}`" for test in promise.tests)]
        lines.append(f"| {promise.number} | {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines)


def main(reports: list[str]) -> None:
    """Writes the table of these reports in the place of the one that is there."""
    text, made = PAGE.read_text(encoding="utf-8"), table(measured(map(Path, reports)))
    text = re.sub(r"(?s)(<!-- promises -->\n\n).*?(\n*<!-- end -->)", lambda at: f"{at[1]}{made}\n\n<!-- end -->", text)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
