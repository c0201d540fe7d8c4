"""MPI-INF-3DHP as it is distributed: fourteen cameras around one actor, whose 28 joints each of them knows in 3D.

    S1/Seq1/camera.calibration                 of each camera: size, intrinsic and extrinsic 4 x 4, row by row, mm
    S1/Seq1/imageSequence/video_0.avi          frames of one number are of one moment
    S1/Seq1/annot.mat                          annot3[video]: (frames, 84) x, y, z of 28 joints in that camera, mm

Joints of all cameras are the same ones: those of the first are brought to the world. `univ_annot3`, whose actors are
all equally tall, is not read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from datasets_manifest.adapters.camera_files import CameraEntry, CameraFile, Row
from datasets_manifest.adapters.captures.base import KnownPeople, SizeOf
from datasets_manifest.paths import inside
from datasets_manifest.schema.keypoint_sets import KEYPOINT_SETS
from datasets_manifest.sources.image_source import ImageSource

_JOINTS = KEYPOINT_SETS["mpi_inf_3dhp"]
_MM = 1e-3
_ACTOR = 0


class MpiInf3dhpCapture:
    """Reads it.

    Args:
        images: The data set.
        cameras: File of the cameras of a scene, with ``{scene}``.
        people: Its ``annot.mat``, likewise.
    """

    def __init__(self, images: ImageSource, cameras: str, people: str | None) -> None:
        self._images, self._cameras, self._people = images, cameras, people

    def cameras(self, scene: str, file: str, size_of: SizeOf) -> CameraFile:
        """See ``Capture``."""
        path = inside(self._images.root, file, links="follow")
        found = {}
        for name, values in _blocks(path):
            try:
                found[f"video_{name}"] = _camera(values)
            except (KeyError, ValueError, IndexError) as error:
                raise ValueError(f"{path}: the camera {name} cannot be used ({error})") from error
        if not found:
            raise ValueError(f"{path}: it has no cameras")
        return CameraFile(unit="mm", direction="world_to_camera", synchronised=True, cameras=found)

    def people(self, scene: str, numbers: range) -> KnownPeople:
        """See ``Capture``."""
        if self._people is None:
            return KnownPeople()
        path = inside(self._images.root, self._people.format(scene=scene), links="follow")
        in_camera = _first_annotated(path) * _MM
        file = self.cameras(scene, self._cameras.format(scene=scene), lambda _: None)
        to_camera = file.world_to_camera("video_0")
        in_world = (in_camera - to_camera[:, 3]) @ to_camera[:, :3]
        whole = np.zeros((len(in_world), 133, 4), np.float32)
        for joint, place in enumerate(_JOINTS.wholebody):
            if place is not None:
                whole[:, place, :3], whole[:, place, 3] = in_world[:, joint], 1.0
        frames = min(len(whole), len(numbers))
        left_out = {"frames without people in 3D": len(numbers) - frames, "3D beyond the videos": len(whole) - frames}
        known = {number: {_ACTOR: whole[row]} for row, number in enumerate(numbers[:frames])}
        return KnownPeople(points_m=known, points_are="joints", left_out=left_out)


def _blocks(path: Path) -> list[tuple[str, dict[str, list[str]]]]:
    """Cameras of a calibration file: name, and words behind each keyword."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"The calibration {path} cannot be read ({error}); put it there") from error
    found: list[tuple[str, dict[str, list[str]]]] = []
    for key, *values in filter(None, map(str.split, lines)):
        if key == "name" and values:
            found.append((values[0], {}))
        elif found:
            found[-1][1][key] = values
    return found


def _camera(values: dict[str, list[str]]) -> CameraEntry:
    inner, outer = (np.array(values[name], float).reshape(4, 4) for name in ("intrinsic", "extrinsic"))
    width, height = (round(float(side)) for side in values["size"][:2])
    rows: list[Row] = [(float(a), float(b), float(c)) for a, b, c in outer[:3, :3]]
    x, y, z = outer[:3, 3].tolist()
    return CameraEntry(
        size_px=(width, height),
        focal_px=(float(inner[0, 0]), float(inner[1, 1])),
        # Counted from the middle of the first pixel, as MATLAB does less one.
        principal_px=(float(inner[0, 2]) + 0.5, float(inner[1, 2]) + 0.5),
        lens="none",
        rotation=(rows[0], rows[1], rows[2]),
        translation=(x, y, z),
    )


def _first_annotated(path: Path) -> np.ndarray:
    """(frames, 28, 3) mm, in the first camera."""
    try:
        content = loadmat(path, variable_names=["annot3"])["annot3"]
        first = np.asarray(content[0][0], float)
        return first.reshape(len(first), len(_JOINTS.points), 3)
    except (MatReadError, OSError, KeyError, IndexError, TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"The file {path} is no annot.mat of MPI-INF-3DHP ({error})") from error
