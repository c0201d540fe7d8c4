"""What is said of the cameras of a rig, and how far it is trusted."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fitting.inputs import is_rotation

_DEG = math.pi / 180


@dataclass(frozen=True, kw_only=True, slots=True)
class Rig:
    """Where the camera of each of R rows stood, and which rows show one person at one moment."""

    rotation: Tensor
    """(R, 3, 3) from the world to the camera (x right, y down, z forward)."""
    translation_m: Tensor
    """(R, 3) the world's origin in the camera's frame, metres: X_camera = rotation X_world + translation."""
    moment: Tensor
    """(R,) int64; rows with the same number show one person at one moment, through different cameras."""
    time_s: Tensor
    """(R,) when each row was taken, by one clock: the same for cameras that are released together. A person moves by
    centimetres between the frames of cameras that are not."""
    camera_index: Tensor | None = None
    """(R,) int64; rows with the same number were taken by one camera that stood still. Needed to refine extrinsics."""

    def __post_init__(self) -> None:
        count = len(self.moment)
        shapes = {"rotation": (count, 3, 3), "translation_m": (count, 3), "moment": (count,), "time_s": (count,)}
        for name, shape in (shapes | {"camera_index": (count,)}).items():
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != shape:
                raise ValueError(f"a rig of {count} rows needs {name} {shape}, got {tuple(value.shape)}")
        unstated = int((~torch.isfinite(self.time_s)).sum())
        if unstated:
            raise ValueError(
                f"a rig needs the time of every row by one clock, got none for {unstated} of {count} rows: "
                "state time_s (all the same for cameras that are released together), or refine the rows one by one"
            )

    @property
    def has_rotation(self) -> Tensor:
        """(R,) bool: extrinsics that are finite and a proper rotation."""
        finite = torch.isfinite(self.translation_m).all(1) & torch.isfinite(self.rotation).all((1, 2))
        return finite & is_rotation(self.rotation.nan_to_num())


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Views:
    """Rows of a rig as M moments of up to V views each."""

    row: Tensor
    """(M, V) int64 row of each view; any where there is none."""
    present: Tensor
    """(M, V) bool."""

    @classmethod
    def of(cls, moment: Tensor) -> "Views":
        """Rows (R,) with the same number are views of one moment, in their order."""
        number = moment.unique(return_inverse=True)[1]
        order = torch.argsort(number, stable=True)
        size = torch.bincount(number)
        first = torch.cumsum(size, 0) - size
        slot = (
            torch.arange(len(size), device=moment.device)[:, None],
            torch.arange(int(size.max()), device=moment.device),
        )
        present = slot[1] < size[:, None]
        return cls(row=order[(first[:, None] + slot[1]).clamp(max=len(order) - 1)], present=present)

    def take(self, index: Tensor) -> "Views":
        """Some of the moments."""
        return Views(row=self.row[index], present=self.present[index])
