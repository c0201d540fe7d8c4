"""EgoHumans and Harmony4D: outer cameras that COLMAP placed, and people in 3D, a file a moment.

    colmap/workplace/cameras.txt, images.txt               cameras and the photos that are placed
    colmap/workplace/colmap_from_aria_transforms.pkl       from the world of the glasses aria01, metres, to COLMAP's
    colmap/workplace/scale.npy                             of scenes without glasses: from COLMAP's world to metres
    colmap/workplace/cam01.npy                             of a camera that was placed by hand: from COLMAP's world
    processed_data/poses3d/00001.npy                       of each person (17, 4) or (133, 4): x, y, z, score
    ego/aria01/calib/00001.txt                             lens of the glasses, and where they were in their own world

COLMAP's world has a size of its own, so the way from metres to it is no rigid motion. What is told here is rigid: the
point in COLMAP's camera, divided by that scale. Pixels of COLMAP are counted from the corner of the photo.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from datasets_manifest.adapters.camera_files import CameraEntry, CameraFile
from datasets_manifest.adapters.captures.aria import upright_camera, upright_place
from datasets_manifest.adapters.captures.base import KnownPeople, SizeOf
from datasets_manifest.adapters.captures.placed import PlacedCameras, Worn
from datasets_manifest.paths import inside
from datasets_manifest.restricted_pickle import unpickle
from datasets_manifest.sources.image_source import ImageSource

_FISHEYE = "OPENCV_FISHEYE"
_GLASSES = (1408, 1408)
"""Photos of Aria glasses, whose lens COLMAP's model is not."""
_TRANSFORMS, _SCALE = "colmap_from_aria_transforms.pkl", "scale.npy"
_NUM_LENS_NUMBERS = 15
"""Of glasses."""
_FIRST_GLASSES = "aria01"
"""Their world is the scene's."""
_MOST_OFF = 0.01
"""That the axes of the way to COLMAP's world may differ in length, and from right angles."""


class EgoHumansCapture:
    """Reads them.

    Args:
        images: The data set.
        people: Path of the people of a moment, with ``{scene}`` and ``{frame}``.
        leave_out: Cameras that do not count, by the end of the scene's name: those that the publisher calls invalid.
        glasses: Path of where glasses are, with ``{scene}``, ``{camera}`` and ``{frame}``; without it they do not
            count.
    """

    def __init__(
        self,
        images: ImageSource,
        people: str | None,
        leave_out: Mapping[str, tuple[str, ...]],
        glasses: str | None = None,
    ) -> None:
        self._images, self._people, self._leave_out, self._glasses = images, people, leave_out, glasses

    def cameras(self, scene: str, file: str, size_of: SizeOf) -> CameraFile:
        """See ``Capture``."""
        folder = inside(self._images.root, file, links="follow")
        lenses = _lenses(folder / "cameras.txt")
        to_colmap = _to_colmap(folder)
        metres_to_colmap = to_colmap[_FIRST_GLASSES]
        poses: defaultdict[str, dict[int, np.ndarray]] = defaultdict(dict)
        lens_of: dict[str, CameraEntry] = {}
        invalid = {name for end, names in self._leave_out.items() if scene.endswith(end) for name in names}
        for name, number, camera_id, placed in _placed(folder / "images.txt"):
            lens = lenses.get(camera_id)
            if lens is None:
                raise ValueError(f"{folder}/images.txt: {name} is of camera {camera_id}, which cameras.txt lacks")
            if lens.size_px != _GLASSES and name not in invalid:
                poses[name][number] = _rigid(placed @ metres_to_colmap, f"{folder}/images.txt, {name}")
                lens_of[name] = lens
        for path in sorted(folder.glob("*.npy")):
            if path.stem in lens_of:  # Placed by hand, because COLMAP's place is wrong.
                poses[path.stem] = {1: _rigid(_matrix(_load(path), path) @ metres_to_colmap, str(path))}
        worn: dict[str, Worn] = {}
        for name in () if self._glasses is None else to_colmap.keys() - invalid:
            size_px, first = size_of(name), self._calibration(scene, name, 1)
            if size_px is not None and first is not None:
                to_own = np.linalg.inv(to_colmap[name]) @ metres_to_colmap
                worn[name] = Worn(_number_of(name, folder), partial(self._glasses_place, scene, name, to_own))
                lens_of[name] = upright_camera(first[0], size_px)
        if not lens_of:
            raise ValueError(f"{folder}: none of its cameras counts; is it the COLMAP folder of {scene}?")
        return PlacedCameras(
            unit="m", direction="world_to_camera", synchronised=True, cameras=lens_of, poses=dict(poses), worn=worn
        )

    def _calibration(self, scene: str, name: str, number: int) -> tuple[list[float], np.ndarray] | None:
        """Numbers of the lens of glasses and (4, 4) from their world to the sensor; None where there is no file."""
        text = str(self._glasses).format(scene=scene, camera=name, frame=f"{number:05d}")
        path = inside(self._images.root, text, links="follow")
        if not path.is_file():
            return None
        words = [line.split() for line in _lines(path)]
        try:  # A header, who it is, then the colour camera in two lines, before two others.
            first = [len(own) for own in words].index(_NUM_LENS_NUMBERS)
            place = np.reshape(_floats(words[first + 1]), (4, 3)).T
            return _floats(words[first]), _matrix(place, path)
        except (IndexError, ValueError) as error:
            raise ValueError(f"{path}: expected a calibration of glasses ({error})") from error

    def _glasses_place(self, scene: str, name: str, to_own: np.ndarray, number: int) -> np.ndarray | None:
        """Where glasses are in the scene's world; ``to_own`` (4, 4) is the way to theirs."""
        found = self._calibration(scene, name, number)
        return None if found is None else upright_place(_rigid(found[1] @ to_own, f"{name} of {scene}"))

    def people(self, scene: str, numbers: range) -> KnownPeople:
        """See ``Capture``."""
        if self._people is None:
            return KnownPeople()
        found: dict[int, dict[int, np.ndarray]] = {}
        without = 0
        for number in numbers:
            name = self._people.format(scene=scene, frame=f"{number:05d}")
            path = inside(self._images.root, name, links="follow")
            if not path.is_file():
                without += 1
                continue
            content = _load(path)
            if not isinstance(content, dict):
                raise ValueError(f"{path}: expected people by their names, got {type(content).__name__}")
            found[number] = {_number_of(str(who), path): _points(points, path) for who, points in content.items()}
        return KnownPeople(points_m=found, left_out={"moments without a file of people": without})


def _lenses(path: Path) -> dict[int, CameraEntry]:
    """Cameras of COLMAP by their ids, where they stand left open."""
    found = {}
    for line in _lines(path):
        words = line.split()
        try:
            number, model, size, numbers = int(words[0]), words[1], tuple(map(int, words[2:4])), _floats(words[4:])
            if size == _GLASSES:
                found[number] = _entry(_GLASSES, (size[0], size[0]), (size[0] / 2, size[1] / 2), (0.0,) * 4)
                continue
            if model != _FISHEYE or len(numbers) != 8:
                raise ValueError(f"expected {_FISHEYE} with 8 numbers, got {model} with {len(numbers)}")
            fx, fy, cx, cy, *bends = numbers
            found[number] = _entry((size[0], size[1]), (fx, fy), (cx, cy), tuple(bends))
        except (ValueError, IndexError) as error:
            raise ValueError(f"{path}: the camera {line[:60]!r} cannot be used ({error})") from error
    return found


def _entry(
    size_px: tuple[int, int], focal_px: tuple[float, float], principal_px: tuple[float, float], bends: tuple[float, ...]
) -> CameraEntry:
    return CameraEntry(
        size_px=size_px,
        focal_px=focal_px,
        principal_px=principal_px,
        lens="fisheye",
        coefficients=bends,
        rotation_vector=(0.0, 0.0, 0.0),
        translation=(0.0, 0.0, 0.0),
    )


def _placed(path: Path) -> list[tuple[str, int, int, np.ndarray]]:
    """Photos that are placed: camera, number, id of the lens, (4, 4) from COLMAP's world to the camera."""
    found = []
    for line in _lines(path)[::2]:  # The second line of each has its points.
        words = line.split()
        try:
            qw, qx, qy, qz, *move = _floats(words[1:8])
            name, _, photo = words[9].rpartition("/")
            number, lens = int(Path(photo).stem), int(words[8])
        except (ValueError, IndexError) as error:
            raise ValueError(f"{path}: expected a placed photo, got {line[:60]!r} ({error})") from error
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = Rotation.from_quat([qx, qy, qz, qw]).as_matrix(), move
        found.append((name, number, lens, matrix))
    return found


def _lines(path: Path) -> list[str]:
    """Lines of a file of COLMAP behind its comments."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"The file {path} of COLMAP cannot be read ({error}); put it there") from error
    return [line for line in lines if not line.startswith("#")]


def _to_colmap(folder: Path) -> dict[str, np.ndarray]:
    """Glasses -> (4, 4) from their world in metres to COLMAP's; the world of the first ones is the scene's, also of
    scenes without glasses."""
    if (path := folder / _TRANSFORMS).is_file():
        content = unpickle(path.read_bytes(), str(path))
        if not isinstance(content, dict) or _FIRST_GLASSES not in content:
            raise ValueError(f"{path}: expected a transform of {_FIRST_GLASSES}, whose world is the scene's")
        return {str(name): _matrix(matrix, path) for name, matrix in content.items()}
    if (path := folder / _SCALE).is_file():
        return {_FIRST_GLASSES: np.linalg.inv(_matrix(_load(path), path))}
    raise ValueError(
        f"{folder}: expected {_TRANSFORMS} or {_SCALE}, which say how large COLMAP's world is; put it there"
    )


def _rigid(matrix: np.ndarray, where: str) -> np.ndarray:
    """(4, 4) of any one scale -> (3, 4) that moves without it."""
    axes = matrix[:3, :3]
    scale = np.cbrt(np.linalg.det(axes))
    if not scale > 0 or np.abs(axes @ axes.T / scale**2 - np.eye(3)).max() > _MOST_OFF:
        raise ValueError(f"{where}: the way from the world to the camera is no rotation with one scale")
    return matrix[:3] / scale


def _matrix(values: object, path: Path) -> np.ndarray:
    found = np.asarray(values, np.float64)
    if found.shape == (3, 4):
        found = np.concatenate([found, [[0.0, 0.0, 0.0, 1.0]]])
    if found.shape != (4, 4) or not np.isfinite(found).all():
        raise ValueError(f"{path}: expected a finite matrix 4 x 4, got {found.shape}")
    return found / found[3, 3]


def _load(path: Path) -> object:
    """Content of an .npy file, which may be a pickled object; of one of no dimensions the object itself."""
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read_header(file)
        except ValueError as error:
            raise ValueError(f"{path}: is no .npy file ({error})") from error
        if not dtype.hasobject:
            file.seek(0)
            return np.load(file, allow_pickle=False)
        content = np.asarray(unpickle(file.read(), str(path)), object)
    return content.item() if shape == () else content


def _number_of(who: str, path: Path) -> int:
    """``aria03`` -> 3."""
    if (digits := re.search(r"(\d+)$", who)) is None:
        raise ValueError(f"{path}: expected people called aria01, aria02 ..., got {who!r}")
    return int(digits[1])


def _points(values: object, path: Path) -> np.ndarray:
    """(17, 4) or (133, 4) -> (133, 4) float32; of what is not finite or has no score, zeros."""
    points = np.asarray(values, np.float64)
    if points.ndim != 2 or points.shape[0] not in (17, 133) or points.shape[1] != 4:
        raise ValueError(f"{path}: expected points (17, 4) or (133, 4) of each person, got {points.shape}")
    known = np.isfinite(points).all(1) & (points[:, 3] > 0)
    whole = np.zeros((133, 4), np.float32)
    whole[: len(points)][known] = np.concatenate([points[:, :3], points[:, 3:].clip(0, 1)], 1)[known]
    return whole


def _floats(words: list[str]) -> list[float]:
    return [float(word) for word in words]
