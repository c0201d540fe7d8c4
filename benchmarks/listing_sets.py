"""Data sets of made-up people in the formats that adapters read, of any size, seeded; nothing is held while they are
written but a few thousand people.

A person is one stick figure somewhere in the photo, points shaken by a pixel; every four share a photo. Photos are
empty files, for a listing looks at names, sizes and times; those in tar files, and the first of each film of AVA, are
small JPEGs.
"""

from __future__ import annotations

import csv
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib.format import write_array_header_1_0
from PIL import Image

from benchmarks.listing_people import (
    AT_ONCE,
    HEIGHT,
    PEOPLE_A_PHOTO,
    WIDTH,
    boxes,
    figures,
    photo_name,
    pieces,
    points_3d,
    write_photos,
)
from datasets_manifest.schema.keypoint_sets import HMR2_44, HUMANDATA, KEYPOINT_SETS, SMPL_24, KeypointSet

_PHOTOS_A_TAR = 1000
_PHOTOS_A_FILM = 900
_FRAMES_A_SEQUENCE = 1000
_SMPL_JOINTS = KeypointSet(
    points=SMPL_24.points,
    wholebody=(None, 11, 12, None, 13, 14, None, 15, 16, *[None] * 7, 5, 6, 7, 8, 9, 10, None, None),
)


def _jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG")
    return file.getvalue()


def _write_coco(root: Path, people: int) -> None:
    """Annotations are in no order of photos, as those of COCO; each has a polygon of ten points."""
    photos = write_photos(root / "images", people)
    coco = KEYPOINT_SETS["coco"]
    with (root / "people.json").open("w") as file:
        file.write('{"info": {}, "images": [')
        for photo in range(photos):
            row = {"id": photo, "file_name": photo_name(photo), "width": WIDTH, "height": HEIGHT, "license": 1}
            file.write((", " if photo else "") + json.dumps(row))
        file.write('], "annotations": [')
        for first, count in pieces(people):
            points = figures(coco, first, count)
            points[..., 2] *= 2
            found = np.round(boxes(points), 2).tolist()
            flat = np.round(points.reshape(count, -1)).astype(int).tolist()
            for k, (box, keypoints) in enumerate(zip(found, flat, strict=True)):
                number = first + k
                x, y, right, bottom = box
                row = {
                    "segmentation": [[x, y, right, y, right, bottom, x, bottom] * 2 + [x, y, right, bottom]],
                    "num_keypoints": 17,
                    "area": round((right - x) * (bottom - y), 2),
                    "iscrowd": 0,
                    "keypoints": keypoints,
                    "image_id": number * 7919 % photos,
                    "bbox": [x, y, round(right - x, 2), round(bottom - y, 2)],
                    "category_id": 1,
                    "id": number,
                }
                file.write((", " if number else "") + json.dumps(row))
        categories = [{"id": 1, "name": "person", "keypoints": list(coco.points)}]
        file.write(f'], "categories": {json.dumps(categories)}}}')


def _write_npz(path: Path, people: int, arrays: dict[str, Callable[[int, int], np.ndarray]]) -> None:
    """Stored arrays, each made piece by piece."""
    with zipfile.ZipFile(path, "w", allowZip64=True) as file:
        for name, made in arrays.items():
            like = made(0, 1)
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": like.dtype.str, "fortran_order": False, "shape": (people, *like.shape[1:])}
                write_array_header_1_0(member, header)
                for first, count in pieces(people):
                    member.write(np.ascontiguousarray(made(first, count)).tobytes())


def _names(first: int, count: int) -> np.ndarray:
    return np.array([photo_name(k // PEOPLE_A_PHOTO) for k in range(first, first + count)])


def _random(*shape: int, scale: float = 0.2) -> Callable[[int, int], np.ndarray]:
    def made(first: int, count: int) -> np.ndarray:
        return (scale * np.random.default_rng([first, 1]).standard_normal((count, *shape))).astype(np.float32)

    return made


def _ones(first: int, count: int) -> np.ndarray:
    return np.ones(count, np.float32)


def _write_hmr2_npz(root: Path, people: int) -> None:
    write_photos(root / "images", people)

    def points(first: int, count: int) -> np.ndarray:
        return figures(HMR2_44, first, count)

    def centres(first: int, count: int) -> np.ndarray:
        found = boxes(points(first, count))
        return (found[:, :2] + found[:, 2:]) / 2

    def sides(first: int, count: int) -> np.ndarray:
        found = boxes(points(first, count))
        return 1.2 * (found[:, 2:] - found[:, :2])

    arrays = {
        "imgname": _names,
        "center": centres,
        "scale": sides,
        "body_keypoints_2d": lambda first, count: points(first, count)[:, :25],
        "extra_keypoints_2d": lambda first, count: points(first, count)[:, 25:],
        "body_keypoints_3d": lambda first, count: points_3d(HMR2_44, first, count)[:, :25],
        "extra_keypoints_3d": lambda first, count: points_3d(HMR2_44, first, count)[:, 25:],
        "body_pose": _random(72),
        "betas": _random(10),
        "has_body_pose": _ones,
        "has_betas": _ones,
    }
    _write_npz(root / "people.npz", people, arrays)


def _write_humandata(root: Path, people: int) -> None:
    """Body parameters in one pickled dict, as the format has them."""
    write_photos(root / "images", people)
    wholes = [figures(HUMANDATA, first, count) for first, count in pieces(people)]
    mask = (wholes[0][0, :, 2] > 0).astype(np.uint8)
    points = np.concatenate([whole[:, mask > 0] for whole in wholes])
    del wholes
    found = boxes(points)
    sizes = {"body_pose": (21, 3), "global_orient": (3,), "betas": (10,), "transl": (3,), "expression": (10,)}
    sizes |= {"left_hand_pose": (15, 3), "right_hand_pose": (15, 3), "jaw_pose": (3,)}
    np.savez(
        root / "people.npz",
        image_path=_names(0, people),
        bbox_xywh=np.concatenate([found[:, :2], found[:, 2:] - found[:, :2], np.ones((people, 1))], axis=1),
        keypoints2d_original=points,
        keypoints2d_original_mask=mask,
        __keypoints_compressed__=np.array(True),
        smplx=np.array({name: _random(*size)(0, people) for name, size in sizes.items()}, dtype=object),
    )


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def _tars(root: Path, people: int, member: Callable[[int, int], tuple[str, bytes]]) -> None:
    """Tar files of photos with what is said of each."""
    jpeg = _jpeg()
    photos = -(-people // PEOPLE_A_PHOTO)
    for first in range(0, photos, _PHOTOS_A_TAR):
        with tarfile.open(root / f"{first // _PHOTOS_A_TAR:06d}.tar", "w") as archive:
            for photo in range(first, min(first + _PHOTOS_A_TAR, photos)):
                _add(archive, f"set/{photo:08d}.jpg", jpeg)
                ending, data = member(photo, min(PEOPLE_A_PHOTO, people - photo * PEOPLE_A_PHOTO))
                _add(archive, f"set/{photo:08d}.{ending}", data)


def _hmr2_photo(photo: int, count: int) -> tuple[str, bytes]:
    points = figures(HMR2_44, photo * PEOPLE_A_PHOTO, count)
    found = boxes(points)
    rng = np.random.default_rng(photo)
    people = [
        {
            "keypoints_2d": own,
            "keypoints_3d": known,
            "center": (box[:2] + box[2:]) / 2,
            "scale": 1.2 * (box[2:] - box[:2]) / 200,
            "body_pose": 0.2 * rng.standard_normal(72),
            "betas": rng.standard_normal(10),
            "has_body_pose": np.array(1.0),
            "has_betas": np.array(1.0),
            "extra_info": {"fitting_loss": np.array({"reprojection_loss": 100.0}, dtype=object)},
        }
        for own, box, known in zip(points, found, points_3d(HMR2_44, photo * PEOPLE_A_PHOTO, count), strict=True)
    ]
    return "data.pyd", pickle.dumps(people)


def _sa1b_photo(photo: int, count: int) -> tuple[str, bytes]:
    mask = {"size": [HEIGHT, WIDTH], "counts": "x" * 200}
    annotations = [{"id": k, "area": 10, "bbox": [0, 0, 9, 9], "segmentation": mask} for k in range(count)]
    image = {"image_id": photo, "width": WIDTH, "height": HEIGHT, "file_name": f"{photo:08d}.jpg"}
    return "json", json.dumps({"image": image, "annotations": annotations}).encode()


def _write_parquet(root: Path, people: int) -> None:
    write_photos(root / "images", people)
    mhr = KEYPOINT_SETS["mhr70"]
    for number, first in enumerate(range(0, people, 10 * AT_ONCE)):
        writer = None
        for start in range(first, min(first + 10 * AT_ONCE, people), AT_ONCE):
            count = min(AT_ONCE, people - start)
            points = figures(mhr, start, count)
            columns = {
                "dataset": ["made_up"] * count,
                "image": _names(start, count).tolist(),
                "subject_idx": [k % PEOPLE_A_PHOTO for k in range(start, start + count)],
                "keypoints_2d": points.tolist(),
                "keypoints_3d": points_3d(mhr, start, count).tolist(),
                "mhr_valid": [True] * count,
                "bbox": list(boxes(points)),
                "bbox_format": ["xyxy"] * count,
                "cam_int": [[[600.0, 0, 320], [0, 600, 240], [0, 0, 1]]] * count,
                "mask_size": [[-1, -1]] * count,
            }
            table = pa.table(columns)
            writer = writer or pq.ParquetWriter(root / f"{number:06d}.parquet", table.schema)
            writer.write_table(table)
        if writer:
            writer.close()


def _write_aic(root: Path, people: int) -> None:
    photos = write_photos(root / "images", people)
    aic = KEYPOINT_SETS["aic"]
    with (root / "people.json").open("w") as file:
        file.write("[")
        for photo in range(photos):
            first = photo * PEOPLE_A_PHOTO
            points = figures(aic, first, min(PEOPLE_A_PHOTO, people - first))
            found = np.round(boxes(points)).astype(int).tolist()
            points[..., 2] = np.where(points[..., 2] > 0, 1, 3)
            flat = np.round(points).astype(int).reshape(len(points), -1).tolist()
            row = {
                "url": "http://images.example.org",
                "image_id": photo_name(photo).removesuffix(".jpg"),
                "human_annotations": {f"human{k}": box for k, box in enumerate(found, 1)},
                "keypoint_annotations": {f"human{k}": own for k, own in enumerate(flat, 1)},
            }
            file.write((", " if photo else "") + json.dumps(row))
        file.write("]")


def _write_ava(root: Path, people: int) -> None:
    """Two actions a person; nine hundred seconds of a film, its first photo a JPEG."""
    jpeg = _jpeg()
    with (root / "people.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        for photo in range(-(-people // PEOPLE_A_PHOTO)):
            film, second = divmod(photo, _PHOTOS_A_FILM)
            path = root / "images" / f"film{film:04d}" / f"{902 + second:04d}.jpg"
            if second == 0:
                path.parent.mkdir(parents=True)
                path.write_bytes(jpeg)
            else:
                path.touch()
            for person in range(min(PEOPLE_A_PHOTO, people - photo * PEOPLE_A_PHOTO)):
                left = f"{0.1 + 0.2 * person:.3f}"
                for action in (12, 80):
                    rows.writerow([f"film{film:04d}", f"{902 + second:04d}", left, 0.1, 0.9, 0.9, action, person])


def _write_pw3d(root: Path, people: int) -> None:
    """Two people a sequence, a thousand frames each."""
    points = KEYPOINT_SETS["openpose18"]
    for number, first in enumerate(range(0, people, 2 * _FRAMES_A_SEQUENCE)):
        frames = min(_FRAMES_A_SEQUENCE, -(-(people - first) // 2))
        folder = root / "images" / f"seq_{number:05d}"
        folder.mkdir(parents=True)
        for frame in range(frames):
            (folder / f"image_{frame:05d}.jpg").touch()
        rng = np.random.default_rng(number)
        content = {
            "sequence": f"seq_{number:05d}",
            "poses": [0.2 * rng.standard_normal((frames, 72)) for _ in range(2)],
            "betas": [rng.standard_normal(10) for _ in range(2)],
            "trans": [np.zeros((frames, 3))] * 2,
            "poses2d": [figures(points, first + k, frames).transpose(0, 2, 1) for k in range(2)],
            "jointPositions": [
                points_3d(_SMPL_JOINTS, first + k, frames)[..., :3].reshape(frames, 72) for k in range(2)
            ],
            "cam_poses": np.tile(np.eye(4), (frames, 1, 1)),
            "cam_intrinsics": np.array([[1900.0, 0, 540], [0, 1900, 960], [0, 0, 1]]),
            "campose_valid": [np.ones(frames)] * 2,
            "genders": ["m", "f"],
        }
        (root / f"seq_{number:05d}.pkl").write_bytes(pickle.dumps(content, protocol=2))


WRITERS: Mapping[str, Callable[[Path, int], None]] = {
    "coco": _write_coco,
    "npz hmr2": _write_hmr2_npz,
    "npz humandata": _write_humandata,
    "tar hmr2": partial(_tars, member=_hmr2_photo),
    "parquet": _write_parquet,
    "table aic": _write_aic,
    "table ava": _write_ava,
    "table sa1b": partial(_tars, member=_sa1b_photo),
    "pickle 3dpw": _write_pw3d,
}
"""Format -> what writes so many people of it into a folder that is empty."""
