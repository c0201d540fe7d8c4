"""One figure an error over many people: the mean under the error's own name, as in the literature, and the median;
and what an error of one network is beside that of another, paired by person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

SURE = 2.0
"""Standard errors beyond which a difference is told."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """The error of one network less that of another on the same people; below 0 where it is the smaller one."""

    mean: float
    """Over all errors that both have: the difference of their means."""
    se: float | None
    """Its standard error over people; None of one person."""
    people: int
    """How many have that error."""

    @property
    def is_sure(self) -> bool:
        """Whether it is more than chance among these people."""
        return self.se is not None and abs(self.mean) > SURE * self.se


def paired_difference(error: np.ndarray, other: np.ndarray) -> PairedDifference | None:
    """The first error less the other one; None where nobody has both.

    Args:
        error: (N,), or (N, 2) for what there are two of; NaN where a person has no such error.
        other: Likewise, of the same people.
    """
    gap = (error.astype(np.float64) - other).reshape(len(error), -1)
    known = np.isfinite(gap).sum(1)
    gap, known = np.where(np.isfinite(gap), gap, 0.0).sum(1)[known > 0], known[known > 0]
    if not len(gap):
        return None
    mean, people, se = float(gap.sum() / known.sum()), len(gap), None
    if people > 1:  # both hands of a person are no two people
        se = float(np.sqrt(((gap - mean * known) ** 2).sum() * people / (people - 1)) / known.sum())
    return PairedDifference(mean=mean, se=se, people=people)
