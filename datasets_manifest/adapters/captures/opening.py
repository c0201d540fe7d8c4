"""Captures by the name that a manifest calls their format, and what of a scene they calibrate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from datasets_manifest.adapters.camera_files import CameraFile
from datasets_manifest.adapters.captures.base import Capture
from datasets_manifest.adapters.captures.egoexo4d import EgoExo4DCapture
from datasets_manifest.adapters.captures.egohumans import EgoHumansCapture
from datasets_manifest.adapters.captures.human36m import Human36mCapture
from datasets_manifest.adapters.captures.mpi_inf_3dhp import MpiInf3dhpCapture
from datasets_manifest.adapters.scene_layout import SceneLayout
from datasets_manifest.sources.image_source import ImageSource

V = TypeVar("V")


def open_capture(images: ImageSource, layout: SceneLayout) -> Capture:
    """Return the reader of a layout's kind, which is not own."""
    if layout.kind == "egoexo4d":
        return EgoExo4DCapture(images, layout.people, layout.ego_cameras)
    if layout.kind == "human36m":
        return Human36mCapture(images, layout.people)
    if layout.kind == "mpi_inf_3dhp":
        return MpiInf3dhpCapture(images, layout.cameras, layout.people[0] if layout.people else None)
    people = layout.people[0] if layout.people else None
    return EgoHumansCapture(images, people, layout.leave_out, layout.ego_cameras)


def calibrated(taken: Mapping[str, V], file: CameraFile, only: Sequence[str] | None) -> dict[str, V]:
    """What cameras took, of those alone that are calibrated, and wanted.

    Raises:
        ValueError: A camera that is named is not calibrated.
    """
    if lacking := [name for name in only or () if name in taken and name not in file.cameras]:
        raise ValueError(f"the camera {lacking[0]} of layout.only has no calibration that counts")
    return {name: own for name, own in taken.items() if name in file.cameras}
