"""One figure an error over many people: the mean under the error's own name, as in the literature, and the median."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def median_name(name: str) -> str:
    """`pa_mpjpe_mm` -> `pa_mpjpe_median_mm`: the unit stays last."""
    stem, _, unit = name.rpartition("_")
    return f"{stem}_median_{unit}"


def rounded(value: float) -> float:
    """Four digits behind the point, of a value below one four digits in all: an error in m2 is some 1e-5."""
    return round(value, 4) if abs(value) >= 1 else float(f"{value:.4g}")


def means_and_medians(errors: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    """Mean and median of every error over the people who have it; None where nobody has.

    Args:
        errors: Name to (N,), or (N, 2) for what there are two of; NaN where a person has no such error.
    """
    figures: dict[str, float | None] = {}
    for name, values in errors.items():
        known = values[np.isfinite(values)]
        figures[name] = float(known.mean()) if known.size else None
        figures[median_name(name)] = float(np.median(known)) if known.size else None
    return figures
