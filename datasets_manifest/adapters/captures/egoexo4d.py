"""Ego-Exo4D: the GoPros around, as the take's calibration has them, and the wearer of the glasses in 3D.

    takes.json                                                  take_name and take_uid of every take
    takes/<take>/trajectory/gopro_calibs.csv                    where the GoPros stand, and their fisheye lenses
    takes/<take>/frame_aligned_videos/<camera>.mp4              30 frames a second, those of one number of one moment
    annotations/ego_pose/<split>/body/annotation/<uid>.json     by frame: 3D of the wearer, metres, in the take's world
    takes/<take>/trajectory/online_calibration.jsonl            the lens of the glasses
    annotations/ego_pose/<split>/camera_pose/<uid>.json         by frame: where the glasses are in the take's world

Only these calibrations are used: lenses beside the annotations are those of undistorted pictures that are not
distributed. So are the annotated points in 2D, which are not read.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from datasets_manifest.adapters.camera_files import CameraEntry, CameraFile, Row
from datasets_manifest.adapters.captures.aria import calibrated_glasses, upright_place
from datasets_manifest.adapters.captures.base import KnownPeople, SizeOf
from datasets_manifest.adapters.captures.placed import PlacedCameras, Worn
from datasets_manifest.paths import inside
from datasets_manifest.schema.keypoint_sets import KEYPOINT_SETS
from datasets_manifest.sources.image_source import ImageSource

_LOCALISED = 1
"""Quality of a camera whose place is known."""
_FISHEYE = "KANNALABRANDTK3"
_MOST_OFF = 0.01
"""That the sides of a video and of the calibrated picture may differ in proportion."""
_FINGERS = {"thumb": 1, "index": 5, "middle": 9, "ring": 13, "pinky": 17}
_HANDS = {"left": 91, "right": 112}
_BODY = {name: index for index, name in enumerate(KEYPOINT_SETS["coco"].points)}
_WEARER = 0
_GLASSES_FILE = "online_calibration.jsonl"


class EgoExo4DCapture:
    """Reads it.

    Args:
        images: The data set.
        people: Path of the wearer's 3D, with ``{take_uid}``; more of them add points, as those of hands.
        glasses: Path of where the glasses are, with ``{take_uid}``; without it they do not count.
    """

    def __init__(self, images: ImageSource, people: tuple[str, ...], glasses: str | None = None) -> None:
        self._images, self._people, self._glasses = images, people, glasses
        self._uids: dict[str, str] | None = None

    def cameras(self, scene: str, file: str, size_of: SizeOf) -> CameraFile:
        """See ``Capture``; cameras whose place is not known do not count."""
        path = inside(self._images.root, file, links="follow")
        cameras = {}
        try:
            with path.open(encoding="utf-8-sig", newline="") as lines:
                rows = [{key.strip(): value for key, value in row.items() if key} for row in csv.DictReader(lines)]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"The calibration {path} cannot be read ({error}); put it there") from error
        for row in rows:
            try:
                name = row["cam_uid"].strip()
                if float(row["quality"]) == _LOCALISED and (size := size_of(name)) is not None:
                    cameras[name] = _camera(row, size)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ValueError(f"{path}: the camera {row.get('cam_uid')!r} cannot be used ({error})") from error
        worn: dict[str, Worn] = {}
        for name, places in self._glasses_places(scene).items():
            if (size := size_of(name)) is not None:
                cameras[name] = calibrated_glasses(path.parent / _GLASSES_FILE, size)
                worn[name] = Worn(_WEARER, places.get)
        if not cameras:
            raise ValueError(f"{path}: none of its cameras has a known place and a video")
        return PlacedCameras(unit="m", direction="camera_to_world", synchronised=True, cameras=cameras, worn=worn)

    def _glasses_places(self, scene: str) -> dict[str, dict[int, np.ndarray]]:
        """Glasses -> number of a frame -> (3, 4) world to camera; nothing of takes without the file."""
        if self._glasses is None:
            return {}
        path = inside(self._images.root, self._glasses.format(take_uid=self._uid_of(scene)), links="follow")
        content = _json(path) if path.is_file() else {}
        try:
            return {
                name: {
                    int(frame): upright_place(np.asarray(place, np.float64).reshape(3, 4))
                    for frame, place in camera["camera_extrinsics"].items()
                }
                for name, camera in content.items()
                if isinstance(camera, dict) and isinstance(camera.get("camera_extrinsics"), dict)
            }
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path}: expected camera_extrinsics, 3 x 4 a frame ({error})") from error

    def people(self, scene: str, numbers: range) -> KnownPeople:
        """See ``Capture``."""
        found: dict[int, dict[int, np.ndarray]] = {}
        left_out: Counter[str] = Counter()
        for pattern in self._people:
            path = inside(self._images.root, pattern.format(take_uid=self._uid_of(scene)), links="follow")
            if not path.is_file():
                left_out["takes without 3D in one of the files of people"] += 1
                continue
            content = _json(path)
            if not isinstance(content, dict):
                raise ValueError(f"{path}: expected frames by their numbers")
            last = max((int(frame) for frame in content if str(frame).isdigit()), default=-1)
            if last not in numbers and last >= 0:
                raise ValueError(
                    f"{path}: has a frame {last}, its videos have {len(numbers)}; they are of another rate, or cut"
                )
            for frame, people in content.items():
                if len(people) != 1:
                    left_out["frames with no or several people in 3D"] += 1
                    continue
                points, unknown = _points(people[0], path)
                left_out["points in 3D of other names"] += unknown
                whole = found.setdefault(int(frame), {}).setdefault(_WEARER, np.zeros_like(points))
                whole[points[:, 3] > 0] = points[points[:, 3] > 0]
        return KnownPeople(points_m=found, left_out=left_out)

    def _uid_of(self, scene: str) -> str:
        if self._uids is None:
            path = self._images.root / "takes.json"
            try:
                self._uids = {take["take_name"]: take["take_uid"] for take in _json(path)}
            except (KeyError, TypeError) as error:
                raise ValueError(f"{path}: expected takes with take_name and take_uid") from error
        if scene not in self._uids:
            raise ValueError(f"The take {scene} is not in {self._images.root / 'takes.json'}")
        return self._uids[scene]


def _camera(row: dict[str, str], size_px: tuple[int, int]) -> CameraEntry:
    """A calibrated camera, for photos of a size; the calibration counts pixels from the middle of the first."""
    if row["intrinsics_type"].strip() != _FISHEYE:
        raise ValueError(f"expected the lens {_FISHEYE}, got {row['intrinsics_type']}")
    native = float(row["image_width"]), float(row["image_height"])
    by = size_px[0] / native[0]
    if abs(size_px[1] / native[1] - by) > _MOST_OFF * by:
        raise ValueError(
            f"it was calibrated for {native[0]:g} x {native[1]:g} px and its video has {size_px[0]} x {size_px[1]}; "
            "leave it out by layout.only"
        )
    fx, fy, cx, cy, *bends = (float(row[f"intrinsics_{i}"]) for i in range(8))
    rotation = Rotation.from_quat([float(row[f"q{axis}_world_cam"]) for axis in "xyzw"]).as_matrix()
    rows: list[Row] = [(float(a), float(b), float(c)) for a, b, c in rotation]
    x, y, z = (float(row[f"t{axis}_world_cam"]) for axis in "xyz")
    return CameraEntry(
        size_px=size_px,
        focal_px=(fx * by, fy * by),
        principal_px=((cx + 0.5) * by, (cy + 0.5) * by),
        lens="fisheye",
        coefficients=tuple(bends),
        rotation=(rows[0], rows[1], rows[2]),
        translation=(x, y, z),
    )


def _points(person: Any, path: Path) -> tuple[np.ndarray, int]:
    """(133, 4) float32 of a person, and how many of the points have no place there."""
    found, unknown = np.zeros((133, 4), np.float32), 0
    for name, point in (person.get("annotation3D") or {}).items():
        index = _index_of(name)
        if index is None:
            unknown += 1
            continue
        try:
            found[index] = point["x"], point["y"], point["z"], 1.0
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: expected x, y, z of {name}, got {point!r:.60}") from error
    return found, unknown


def _index_of(name: str) -> int | None:
    """Of the 133: body joints by COCO's names, written with hyphens; hands as left_wrist and left_thumb_1 ... 4."""
    plain = name.lower().replace("-", "_")
    if plain in _BODY and ("-" in name or plain == "nose"):
        return _BODY[plain]
    side, _, rest = plain.partition("_")
    finger, _, knuckle = rest.partition("_")
    if side in _HANDS and rest == "wrist":
        return _HANDS[side]
    if side in _HANDS and finger in _FINGERS and knuckle in {"1", "2", "3", "4"}:
        return _HANDS[side] + _FINGERS[finger] + int(knuckle) - 1
    return None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ValueError(f"The file {path} cannot be read ({error}); put it there") from error
