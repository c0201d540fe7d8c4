"""Human3.6M as it is distributed: four cameras around one actor, all of them and all subjects in one file.

    metadata.xml                                  w0: angles and places of the cameras, a subject each, and their lenses
    S1/Videos/Directions 1.54138969.mp4           50 frames a second, those of one number of one moment

Its joints in 3D are CDF files, which nothing here reads: people are found by the detector and fitted in all views.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from scipy.spatial.transform import Rotation

from datasets_manifest.adapters.camera_files import CameraEntry, CameraFile, Row
from datasets_manifest.adapters.captures.base import KnownPeople, SizeOf
from datasets_manifest.paths import inside
from datasets_manifest.sources.image_source import ImageSource

CAMERAS = ("54138969", "55011271", "58860488", "60457274")
"""In the order of the file."""
_SUBJECTS = 11
_PLACE, _LENS = 6, 9
"""Numbers of a camera's place before a subject, and of its lens."""
_LENSES_FROM = _PLACE * _SUBJECTS * len(CAMERAS)
_MOST_OFF = 0.15
"""That a principal point is off the middle, in halves of the picture: those of the four are within 0.05."""
_MOST_BYTES = 1 << 24


class Human36mCapture:
    """Reads it.

    Args:
        images: The data set.
        people: Nothing.

    Raises:
        ValueError: People in 3D are asked for.
    """

    def __init__(self, images: ImageSource, people: tuple[str, ...]) -> None:
        if people:
            raise ValueError(
                f"layout.people: the 3D of Human3.6M is not read, got {people[0]!r}; leave it out and set boxes to "
                "detector, or take the data set human36m, which has fits"
            )
        self._images = images

    def cameras(self, scene: str, file: str, size_of: SizeOf) -> CameraFile:
        """See ``Capture``; those that have no video of the scene do not count."""
        path = inside(self._images.root, file, links="follow")
        subject = re.match(r"S(\d+)/", scene)
        if subject is None or not 1 <= int(subject[1]) <= _SUBJECTS:
            raise ValueError(f"{path}: expected scenes below S1 to S{_SUBJECTS}, got {scene}")
        numbers = _numbers(path)
        found = {}
        for index, name in enumerate(CAMERAS):
            if (size := size_of(name)) is not None:
                place = _PLACE * (index * _SUBJECTS + int(subject[1]) - 1)
                lens = _LENSES_FROM + _LENS * index
                found[name] = _camera(numbers[place : place + _PLACE], numbers[lens : lens + _LENS], size)
        if not found:
            raise ValueError(f"{path}: none of its cameras has a video of {scene} that can be read")
        return CameraFile(unit="mm", direction="world_to_camera", synchronised=True, cameras=found)

    def people(self, scene: str, numbers: range) -> KnownPeople:
        """Nobody."""
        return KnownPeople()


def _numbers(path: Path) -> np.ndarray:
    """(N,) of w0."""
    try:
        # Nothing that this file needs is declared in it, and what is declared may grow without end.
        text = path.read_bytes()[:_MOST_BYTES]
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            raise ValueError("it declares entities")
        found = ElementTree.fromstring(text).find("w0")
        numbers = np.array((found.text if found is not None and found.text else "").strip(" []\n").split(), float)
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise ValueError(f"The file {path} of Human3.6M cannot be read ({error})") from error
    least = _LENSES_FROM + _LENS * len(CAMERAS)
    if len(numbers) < least or not np.isfinite(numbers).all():
        raise ValueError(f"{path}: expected {least} finite numbers or more in w0, got {len(numbers)}")
    return numbers


def _camera(place: np.ndarray, lens: np.ndarray, size_px: tuple[int, int]) -> CameraEntry:
    """A camera of three angles about x, y, z and its centre in the world, mm; and of focal lengths, principal point and
    k1, k2, k3, p1, p2."""
    turn = Rotation.from_euler("XYZ", place[:3]).as_matrix()
    rows: list[Row] = [(float(a), float(b), float(c)) for a, b, c in turn]
    x, y, z = (-turn @ place[3:]).tolist()
    fx, fy, cx, cy, k1, k2, k3, p1, p2 = lens.tolist()
    if any(abs(2 * place / side - 1) > _MOST_OFF for place, side in zip((cx, cy), size_px, strict=True)):
        raise ValueError(
            f"the principal point {cx:g}, {cy:g} of a camera is not in the middle of its videos of {size_px[0]} x "
            f"{size_px[1]} px: they are of another size than was calibrated. Give them as they are distributed"
        )
    return CameraEntry(
        size_px=size_px,
        focal_px=(fx, fy),
        principal_px=(cx + 0.5, cy + 0.5),
        lens="brown",
        coefficients=(k1, k2, p1, p2, k3),
        rotation=(rows[0], rows[1], rows[2]),
        translation=(x, y, z),
    )
