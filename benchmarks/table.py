"""The tables of the benchmark as Markdown."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]
NONE = "–"


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column."""

    title: str
    """Head of the column."""
    text: Callable[[Row], str]
    """Cell of a row."""


def number(name: str, form: str = "{:.1f}", factor: float = 1.0) -> Callable[[Row], str]:
    """A value of the row, or a dash where it has none."""

    def text(row: Row) -> str:
        value = row.get(name)
        return NONE if value is None else form.format(value * factor)

    return text


def pair(first: str, second: str, form: str = "{:.2f} / {:.1f}", factor: float = 1.0) -> Callable[[Row], str]:
    """Two values of the row in one cell."""

    def text(row: Row) -> str:
        values = (row.get(first), row.get(second))
        return NONE if None in values else form.format(*(factor * value for value in values if value is not None))

    return text


METHOD = Column(title="method", text=lambda row: str(row["method"]))
SPEED = (
    METHOD,
    Column(title="people", text=number("people", "{:d}", 1)),
    Column(title="batch", text=number("batch", "{:d}", 1)),
    Column(title="ms a person", text=number("seconds_per_person", "{:.1f}", 1e3)),
    Column(title="people/s", text=number("people_per_second", "{:.3g}")),
    Column(title="x (a)", text=number("speedup_tracker", "{:.3g}")),
    Column(title="x (b)", text=number("speedup_tuned", "{:.3g}")),
    Column(title="memory MB a person", text=number("memory_bytes_per_person", "{:.2f}", 1e-6)),
    Column(title="timed", text=lambda row: str(row.get("timed", NONE))),
)
ERRORS = (
    METHOD,
    Column(title="people", text=number("people", "{:d}", 1)),
    Column(title="body px", text=pair("body_px_median", "body_px_p95")),
    Column(title="hand px", text=pair("hand_px_median", "hand_px_p95")),
    Column(title="face px", text=pair("face_px_median", "face_px_p95")),
    Column(title="MPJPE mm", text=number("mpjpe")),
    Column(title="PA-MPJPE mm", text=number("pa_mpjpe")),
    Column(title="hand PA mm", text=pair("hand_pa", "hand_joints_pa", "{:.2f} / {:.2f}")),
    Column(title="face PA mm", text=number("face_pa", "{:.2f}")),
    Column(title="head scale", text=number("head_scale", "{:.3f}")),
    Column(title="depth %", text=number("depth_rel", "{:.1f}", 100)),
    Column(title="worse % px / PA", text=pair("worse_px", "worse_pa", "{:.1f} / {:.1f}", 100)),
    Column(title="converged %", text=number("converged", "{:.1f}", 100)),
    Column(title="cost", text=number("cost")),
    Column(title="ours, same people", text=number("cost_of_ours")),
    Column(title="ours lower %", text=number("ours_lower", "{:.0f}", 100)),
)


def markdown(rows: list[Row], columns: tuple[Column, ...]) -> str:
    """A table; rows without any value of their own are left out."""
    lines = ["| " + " | ".join(column.title for column in columns) + " |", "|---" * len(columns) + "|"]
    for row in rows:
        cells = [column.text(row) for column in columns]
        if any(cell != NONE for cell in cells[3:]):
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
