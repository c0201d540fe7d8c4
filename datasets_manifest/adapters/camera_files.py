"""Camera files: one YAML or JSON file that says where the cameras of a scene stand, and what they are.

Units, the direction of the extrinsics and whether the cameras run together are never guessed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import cv2
import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from datasets_manifest.adapters.base import CalibratedLens
from datasets_manifest.adapters.easymocap import easymocap_cameras
from datasets_manifest.paths import inside
from datasets_manifest.schema.lens_models import NUM_COEFFICIENTS, LensModel
from datasets_manifest.settings import Text, read_settings
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.yaml_values import parse_yaml

Row = tuple[float, float, float]

_METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_MOST_OFF: Final = 0.005
"""That a rotation, times itself transposed, may differ from 1: files are rounded."""
_LEAST_BASELINE_M: Final = 0.01
_MOST_BASELINE_M: Final = 200.0
_LEAST_FOCAL: Final = 0.1
"""Focal length over the longer side: below it, it is hardly stated in px."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraEntry:
    """One camera, as a camera file states it."""

    size_px: tuple[PositiveInt, PositiveInt]
    """Width and height of its upright photos."""
    focal_px: tuple[PositiveFloat, PositiveFloat]
    """Along x and y."""
    principal_px: tuple[float, float]
    """From the corner of the photo: half a pixel more than in OpenCV, which counts from the middle of a pixel."""
    lens: Literal["none"] | LensModel
    """What bends straight lines: none (of undistorted photos), brown or fisheye, or fisheye624 of Aria glasses."""
    coefficients: tuple[float, ...] = ()
    """k1, k2, p1, p2 and k3 (or 0) of brown, k1..k4 of fisheye, as OpenCV has them; k1..k6, p1, p2 and s1..s4 of
    fisheye624, as Project Aria has them."""
    rotation: tuple[Row, Row, Row] | None = None
    """Rows of a rotation matrix."""
    rotation_vector: Row | None = None
    """In its place: axis times angle, rad."""
    translation: Row
    """In the unit and direction of the file."""
    time_offset_s: float | None = None
    """When its first frame was taken, by the clock of the scene; where the cameras are not synchronised."""

    def __post_init__(self) -> None:
        """Check what no camera is; the error names the field."""
        counts = (0,) if self.lens == "none" else NUM_COEFFICIENTS[self.lens]
        if len(self.coefficients) not in counts:
            raise ValueError(
                f"coefficients: a lens {self.lens} has {' or '.join(map(str, counts))}, got {len(self.coefficients)}"
            )
        if min(self.focal_px) < _LEAST_FOCAL * max(self.size_px):
            raise ValueError(
                f"focal_px: {self.focal_px[0]:g}, {self.focal_px[1]:g} px is too short for photos {self.size_px[0]} px "
                "wide; state it in px, not in mm or in widths"
            )
        if not all(1 <= own <= side - 1 for own, side in zip(self.principal_px, self.size_px, strict=True)):
            raise ValueError(
                f"principal_px: {self.principal_px[0]:g}, {self.principal_px[1]:g} is not within photos of "
                f"{self.size_px[0]} x {self.size_px[1]} px"
            )
        if (self.rotation is None) == (self.rotation_vector is None):
            raise ValueError("rotation: expected either rotation or rotation_vector, not both and not neither")
        matrix = self.matrix
        if (off := float(np.abs(matrix @ matrix.T - np.eye(3)).max())) > _MOST_OFF:
            raise ValueError(
                f"rotation: its rows are no unit vectors at right angles (off by {off:.3g}); a scale does not belong "
                "into it"
            )
        if np.linalg.det(matrix) < 0:
            raise ValueError(
                "rotation: it is mirrored (its determinant is -1); x points right, y down and z away from the camera"
            )

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) as it is stated."""
        if self.rotation is not None:
            return np.array(self.rotation, np.float64)
        return cv2.Rodrigues(np.array(self.rotation_vector, np.float64))[0]

    @property
    def distorting(self) -> CalibratedLens | None:
        """What makes it no pinhole, if anything does."""
        # Without coefficients a fisheye is no pinhole: it is equidistant.
        is_straight = self.lens in ("none", "brown") and not any(self.coefficients)
        if is_straight and self.focal_px[0] == self.focal_px[1]:
            return None
        model: LensModel = "brown" if self.lens == "none" else self.lens
        return CalibratedLens(model=model, coefficients=self.coefficients or (0.0,) * 4, focal_xy_px=self.focal_px)


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraFile:
    """The cameras of a scene, as one file states them."""

    unit: Literal["m", "cm", "mm"]
    """Of translations."""
    direction: Literal["world_to_camera", "camera_to_world"]
    """What rotation and translation do: x_camera = rotation x_world + translation, or the other way round."""
    synchronised: bool
    """Whether all cameras take their photos at once: those of one number, or frames of one time of their videos. If
    not, each states its ``time_offset_s``."""
    cameras: Annotated[dict[Text, CameraEntry], Field(min_length=1)]
    """By their names, which are those of folders or videos."""

    def __post_init__(self) -> None:
        """Check the cameras against each other; the error names them."""
        for name, camera in self.cameras.items():
            if self.synchronised and camera.time_offset_s is not None:
                raise ValueError(f"cameras.{name}.time_offset_s: is stated, but synchronised is true; keep one of both")
            if not self.synchronised and camera.time_offset_s is None:
                raise ValueError(
                    f"cameras.{name}.time_offset_s: is missing, which cameras need that are not synchronised: views of "
                    "different moments do not fit one body"
                )
        centres = {name: _centre(self.world_to_camera(name)) for name in self.cameras if self.wearer(name) is None}
        for (a, at), (b, other) in itertools.combinations(centres.items(), 2):
            apart = float(np.linalg.norm(at - other))
            if not _LEAST_BASELINE_M <= apart <= _MOST_BASELINE_M:
                raise ValueError(
                    f"cameras: {a} and {b} stand {apart:.3g} m apart, expected {_LEAST_BASELINE_M} to "
                    f"{_MOST_BASELINE_M:g} m; check unit ({self.unit}), direction and their translations"
                )

    def world_to_camera(self, name: str, number: int | None = None) -> np.ndarray:
        """(3, 4) rotation and translation of a camera that stands, metres, at the time of a photo."""
        camera = self.cameras[name]
        left, _, right = np.linalg.svd(camera.matrix)
        rotation, translation = left @ right, np.array(camera.translation) * _METRES[self.unit]
        if self.direction == "camera_to_world":
            rotation = rotation.T
            translation = -rotation @ translation
        return np.concatenate([rotation, translation[:, None]], axis=1)

    def place(self, name: str, number: int) -> np.ndarray | None:
        """(3, 4) as ``world_to_camera``, of any camera; None where nobody knows where it was."""
        return self.world_to_camera(name, number)

    def wearer(self, name: str) -> int | None:
        """Number of the person who wears a camera; None for one that stands."""
        return None


def read_cameras(images: ImageSource, file: str) -> CameraFile:
    """Reads a camera file; ``easymocap: <folder>`` in it stands for the cameras of EasyMocap's files in that folder.

    Args:
        images: The data set.
        file: Path below its root.

    Raises:
        ValueError: It is not there, or something is missing or wrong; the sentence names file and camera.
    """
    path = inside(images.root, file, links="follow")  # The manifest names it, not the data.
    where = f"Camera file {path}"
    try:
        values: Any = parse_yaml(path.read_text(encoding="utf-8-sig"), where)
    except OSError as error:
        raise ValueError(f"{where} cannot be read ({error.strerror}); put it there or correct the manifest") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} is not UTF-8: {error}") from error
    if isinstance(values, dict) and "easymocap" in values:
        values = easymocap_cameras(path, values)
    return read_settings(CameraFile, values, where)


def _centre(world_to_camera: np.ndarray) -> np.ndarray:
    """Where a camera stands, (3,) m."""
    return -world_to_camera[:, :3].T @ world_to_camera[:, 3]
