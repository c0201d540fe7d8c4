"""AGORA's figures as tables: a row a group of people and kind of error, and the body's by occlusion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_KINDS = {"mve": "MVE, vertices", "mpjpe": "MPJPE, joints"}
_COLUMNS = ("body", "left_hand", "right_hand", "face", "all", "normalised_body", "normalised_all")
_TITLES = ("body", "left hand", "right hand", "face", "full body", "body over F1", "full body over F1")
MISSING = "missing"


def agora_markdown(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Tables of some subjects, each with what ``AgoraErrors.figures`` gives; mm."""
    rows = [row for subject, own in figures.items() for row in _rows(subject, own)]
    head = ["method", "people", "counted", "found", "false", "F1", "precision", "recall", "mm", *_TITLES]
    text = _table([head, *rows])
    bins = [row for subject, own in figures.items() for row in _bins(subject, own)]
    if bins:
        text += "\n" + _table([["method", "covered, %", "people", "missed, %", "body MVE", "body MPJPE"], *bins])
    notes = dict.fromkeys(note for own in figures.values() for note in _notes(own))
    return text + "\n" + "".join(f"- {note}\n" for note in notes)


def _rows(subject: str, figures: Mapping[str, Any]) -> Iterator[list[str]]:
    for group, own in figures["groups"].items():
        for kind, title in _KINDS.items():
            values = own.get(kind, {})
            counts = [own["found"] + own["missed"], own["found"], own["false"]]
            shares = [_number(own["mpjpe"].get(name), ".2f") for name in ("f1", "precision", "recall")]
            cells = [_number(values.get(f"{column}_mm"), ".1f") for column in _COLUMNS]
            yield [subject, group, *map(str, counts), *shares, title, *cells]


def _bins(subject: str, figures: Mapping[str, Any]) -> Iterator[list[str]]:
    for own in figures["occlusion"]:
        low, high = own["percent"]
        values = [_number(own.get(f"{kind}_body_mm"), ".1f") for kind in _KINDS]
        yield [subject, f"{low} to {high}", str(own["people"]), _number(own["missed_percent"], ".1f"), *values]


def _notes(figures: Mapping[str, Any]) -> Iterator[str]:
    if figures["vertices"]:
        yield f"Vertices: {figures['vertices']}. Joints: 22 of the body, 15 of a hand, 51 points of the face."
    for reason, count in figures["without_vertices"].items():
        yield f"MVE is missing in {count} photo{'s' * (count != 1)}: {reason}."


def _number(value: float | None, form: str) -> str:
    return MISSING if value is None else f"{value:{form}}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"
