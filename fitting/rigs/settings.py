"""How far the cameras of a rig are trusted."""

import math
from dataclasses import dataclass

_DEG = math.pi / 180


@dataclass(frozen=True, kw_only=True, slots=True)
class RigConfig:
    """How far a rig is trusted."""

    rotation_sigma_deg: float = 0.25
    """Standard deviation of an axis of the stated rotation of a camera."""
    position_sigma_m: float = 0.01
    """Standard deviation of an axis of the stated place of a camera."""
    refine_extrinsics: bool = False
    """Whether the extrinsics are refined from the people, within the sigmas above."""
    max_time_offset_s: float = 0.005
    """A row taken further from the others of its moment is fitted alone: hands move at some 3 m/s."""
    consensus_sigma: float = 6.0
    """Median distance, in sigmas of keypoints, up to which a view agrees with where two others see the body."""
    min_common_points: int = 6
    """Body points, of 23, that two views and one judged by them have in common at least."""
    min_parallax_deg: float = 3.0
    """Views that see a person along lines closer than this say nothing of depth to each other."""
    max_limb_factor: float = 2.5
    """Limbs that two views make this many times as long, or as short, as people's are no person's: units are wrong."""
    max_limb_spread: float = 0.3
    """Median departure of a limb's length from the proportions of people, as a logarithm: views of two people, or
    extrinsics that are not what they are said to be, make limbs of any length."""
    estimate_correlation: float = 0.5
    """Correlation of the errors of estimates of the same part in two views: networks err alike."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not isinstance(value, bool) and not value > 0:
                raise ValueError(f"{name}: expected a number above 0, got {value!r}")
        if self.estimate_correlation > 1:
            raise ValueError(f"estimate_correlation: expected at most 1, got {self.estimate_correlation!r}")

    @property
    def rotation_sigma_rad(self) -> float:
        """`rotation_sigma_deg` in radians."""
        return self.rotation_sigma_deg * _DEG
