"""Lenses that are no pinholes, by the names that camera files, plans and labels give them."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np

LensModel = Literal["brown", "fisheye", "fisheye624"]
NUM_COEFFICIENTS: dict[LensModel, tuple[int, ...]] = {"brown": (4, 5), "fisheye": (4,), "fisheye624": (12,)}
"""How many a lens has; where it may have fewer, the others are 0."""
RADIAL: dict[LensModel, tuple[int, ...]] = {
    "brown": (0, 1, 4),
    "fisheye": (0, 1, 2, 3),
    "fisheye624": (0, 1, 2, 3, 4, 5),
}
"""Which of them are of the polynomial, brown's of the length of the ray, the fisheyes' of its angle from the axis."""


@lru_cache(maxsize=256)
def edge_of(model: LensModel, coefficients: tuple[float, ...]) -> float:
    """Length, or angle (rad, 90 degrees at most), up to which a longer ray is shown further out. Behind it the
    polynomial comes back and shows what is beyond the edge of the lens among what is not, perhaps to rise once more."""
    radial = [coefficients[index] for index in RADIAL[model] if index < len(coefficients)]
    growth = [(2 * order + 1) * coefficient for order, coefficient in enumerate(radial, 1)]
    roots = np.roots([*growth[::-1], 1.0])
    turns = np.sqrt(roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)])
    return float(turns.min(initial=math.inf if model == "brown" else math.pi / 2))
