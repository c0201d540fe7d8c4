"""Turns raw SimCC scores into sigma and score: they are no probabilities, and each training has its own range.

Where the tables come from. Training minimises the divergence between softmax(b * output) and softmax(10 * target), the
target being a Gaussian of height 1 and 6.93 bins (of 768) about the annotated place; b is 10 for DWPose and RTMPose,
1 for RTMW. A network that knows the place only up to sigma therefore answers, over a background of 0,
1/b * log of the expected softmax: a lower and wider hill. Its height as a function of sigma is the table, for b = 10:
1.00 at 0.1 % of the crop's height, 0.91 at 0.65 %, 0.78 at 2.6 %, 0.65 at 10 %. Below, a network still knows that a
point is near the person: sigma stops at 15 %.

Assumed, since the published weights were not at hand: that the background is 0 (a softmax does not fix it) for DWPose
and -4 for RTMW (so that its clear points reach 6, as users report), and that errors on new photos follow the training.
A table fitted on annotated photos replaces these by the options ``raw`` and ``sigma_share``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from datasets_manifest.settings import read_settings
from model.estimators.base import Array


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreCalibration:
    """How a raw score is read; the defaults are those of DWPose and RTMPose."""

    raw: tuple[float, ...] = (0.3, 0.65, 0.72, 0.78, 0.85, 0.91, 0.97)
    """Knots: raw scores, rising."""
    sigma_share: tuple[float, ...] = (0.15, 0.10, 0.05, 0.026, 0.013, 0.0065, 0.0026)
    """Knots: sigma an axis as a share of the crop's height, falling; its logarithm is linear between the knots."""
    seen: float = 0.3
    """Raw score that a point needs to count as seen, as in DWPose's own program."""
    implausible: float = 3.0
    """Median raw score of a person above which the weights must be of another kind."""
    trusted_body: float = 0.5
    """Calibrated score that a point of body or feet needs to support its limb."""
    trusted_hands: float = 0.7
    """The same for a point of a hand."""
    trusted_face: float = 0.7
    """The same for a point of the face."""

    def __post_init__(self) -> None:
        raw, share = np.array(self.raw, dtype=float), np.array(self.sigma_share, dtype=float)
        if len(raw) < 2 or len(raw) != len(share) or (np.diff(raw) <= 0).any() or (np.diff(share) >= 0).any():
            raise ValueError(
                f"calibration: expected as many raw scores (rising) as sigma_share (falling), two or more, got "
                f"{self.raw} and {self.sigma_share}"
            )
        if share[-1] <= 0:
            raise ValueError(f"calibration sigma_share must be positive, got {self.sigma_share}")
        if self.seen < 0:
            raise ValueError(f"calibration seen must not be negative, got {self.seen}: such points have no place")
        for name in ("trusted_body", "trusted_hands", "trusted_face"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"calibration {name} must lie in 0..1, got {getattr(self, name)}")

    def share_of(self, raw_score: Array) -> Array:
        """Sigma an axis (...,) as a share of the crop's height, of raw scores (...,)."""
        return np.exp(np.interp(raw_score, self.raw, np.log(self.sigma_share)))


SIMCC = ScoreCalibration()
"""DWPose and RTMPose: beta 10 on both sides of the loss."""
RTMW = ScoreCalibration(
    raw=tuple(round(10 * value - 4, 6) for value in SIMCC.raw[1:]),
    sigma_share=SIMCC.sigma_share[1:],
    seen=1.0,
    implausible=30.0,
)
"""RTMW: beta 1 on the output, so one unit of raw score is a tenth of one of DWPose's."""
CALIBRATIONS = {"dwpose": SIMCC, "rtmpose": SIMCC, "rtmw": RTMW}
"""By kind of weights."""


def calibration_of(kind: str, options: Mapping[str, Any] | None = None) -> ScoreCalibration:
    """Returns the calibration of a kind of weights, with fields replaced by those of a mapping.

    Raises:
        ValueError: Unknown kind or field.
    """
    if kind not in CALIBRATIONS:
        raise ValueError(f"dwpose kind: expected one of {', '.join(CALIBRATIONS)}, got {kind!r}")
    values = dataclasses.asdict(CALIBRATIONS[kind]) | dict(options or {})
    return read_settings(ScoreCalibration, values, "dwpose calibration")
