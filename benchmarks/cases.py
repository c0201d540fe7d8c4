"""What the cases of `benchmarks.views` have in common: what they are given, and measures over people or frames."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.table import METHOD, Column, Row
from fitting.sparse_body import SparseBody

MEASURES = {
    "abs": "absolute mm",
    "mpjpe": "MPJPE mm",
    "pa": "PA mm",
    "hand_pa": "hand PA mm",
    "head_scale": "head scale",
    "stature": "stature mm",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What every case needs."""

    body: SparseBody
    """The open body."""
    people: int
    """In each case of moments, of a seed."""
    clips: int
    """In each case of clips, of a seed; half as many as scenes of tracks."""
    seed: int


def spread(name: str) -> Callable[[Row], str]:
    """Mean and standard deviation of a measure."""

    def text(row: Row) -> str:
        form = "{:.3f} ± {:.3f}" if name in ("head_scale", "idf1") else "{:.3g} ± {:.2g}"
        return form.format(float(np.mean(row[name])), float(np.std(row[name])))

    return text


def mean(name: str, form: str) -> Callable[[Row], str]:
    """Mean of a measure; nothing where a row has none."""
    return lambda row: form.format(np.mean(row[name])) if name in row else ""


ERRORS = (METHOD, *(Column(title=title, text=spread(name)) for name, title in MEASURES.items()))


def merged(rows: list[Row]) -> Row:
    """Rows of the same method of several seeds as one."""
    measures = {name: np.concatenate([row[name] for row in rows]) for name in rows[0] if name != "method"}
    return {"method": rows[0]["method"], **measures}
