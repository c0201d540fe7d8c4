"""What is said of the cameras of a rig."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fitting.inputs import is_rotation


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
