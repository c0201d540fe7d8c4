"""Our figures beside the published ones: the paper's tables as Markdown and CSV, what is missing named with its reason.

A figure of ours that cannot be compared has a mark and its reason below the tables; one that there is none of says
missing. Nothing is blank, and nothing is zero that was not measured.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.evaluate.published import BENCHMARKS, TABLES, Column, PaperTable

MISSING = "missing"
_MARK = "*"


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was measured of the benchmarks of the paper."""

    figures: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """Subject -> key of ``BENCHMARKS`` -> figures with ``people`` and ``found``: a number (``pck_0_05``), or ``mean``,
    ``median`` and ``people`` (``hand_pa_pve_mm``)."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Key of ``BENCHMARKS`` -> what is to be done to have its data, or the files that measuring needs."""


def markdown(measured: Measured) -> str:
    """All tables, then what is missing and what may not be compared."""
    parts = [f"## Table {table.number}: {table.title}\n\n{_table(table, measured)}" for table in TABLES]
    used = [key for key in BENCHMARKS if any(column.benchmark == key for table in TABLES for column in table.columns)]
    here = [key for key in used if any(key in own for own in measured.figures.values())]
    reasons = [
        f"- {BENCHMARKS[key].title} ({_where(key)}): {_reason(key, measured)}" for key in used if key not in here
    ]
    parts.append("## Missing\n\n" + ("\n".join(reasons) or "Nothing.") + "\n")
    if here:
        notes = [f"- {BENCHMARKS[key].title}: {BENCHMARKS[key].protocol} {_counts(key, measured)}" for key in here]
        parts.append(f"## {_MARK} Not to be compared with the published numbers\n\n" + "\n".join(notes) + "\n")
    return "\n".join(parts)


def csv_text(measured: Measured) -> str:
    """One line a table, method and column: ``table,method,column,value,source,comparable,note``."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["table", "method", "column", "value", "source", "comparable", "note"])
    for table in TABLES:
        for method, numbers in table.rows.items():
            for column, number in zip(table.columns, numbers, strict=True):
                writer.writerow([table.number, method, column.title, number, "paper", "yes", ""])
        for subject, found in measured.figures.items():
            for column in table.columns:
                value = _value(column, found)
                note = BENCHMARKS[column.benchmark].protocol if value else _reason(column.benchmark, measured)
                source = [value or MISSING, "measured" if value else MISSING, "no" if value else ""]
                writer.writerow([table.number, subject, column.title, *source, note])
    return file.getvalue()


def _table(table: PaperTable, measured: Measured) -> str:
    rows: list[Sequence[str]] = [["method", *(column.title for column in table.columns)]]
    rows += [[f"{method} (published)", *numbers] for method, numbers in table.rows.items()]
    for subject, found in measured.figures.items():
        values = [_value(column, found) for column in table.columns]
        rows.append([subject, *(f"{value}{_MARK}" if value else MISSING for value in values)])
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "".join(f"| {line} |\n" for line in lines)


def _value(column: Column, found: Mapping[str, Mapping[str, Any]]) -> str:
    """As the paper prints it; empty where there is none."""
    value = found.get(column.benchmark, {}).get(column.figure)
    if value is None:
        return ""
    return f"{value:.2f}".removeprefix("0") if isinstance(value, float) else f"{value['mean']:.1f}"


def _where(key: str) -> str:
    """Tables of a benchmark."""
    numbers = [str(table.number) for table in TABLES if any(column.benchmark == key for column in table.columns)]
    return f"Table{'s' * (len(numbers) > 1)} {', '.join(numbers)}"


def _reason(key: str, measured: Measured) -> str:
    """Why there is no figure: what nobody distributes comes before what is merely not here."""
    unsaid = "was not asked for, or nobody of it was measured"
    return BENCHMARKS[key].lacks or measured.missing.get(key) or unsaid


def _counts(key: str, measured: Measured) -> str:
    return "; ".join(
        f"{subject}: {own[key]['found']} of {own[key]['people']} people found"
        for subject, own in measured.figures.items()
        if key in own
    )
