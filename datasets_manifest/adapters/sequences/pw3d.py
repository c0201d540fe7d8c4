"""3DPW: a pickle a sequence, with SMPL bodies of each person in each frame, in the world, and a moving camera.

Cameras are world to camera, without distortion. Here roots are turned into the camera of the frame, and the 24 joints
put there; arrays of the file stay as they are. A sequence is a group, a long one several.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, PersonRecord, Place
from datasets_manifest.adapters.coco_values import RowError
from datasets_manifest.adapters.groups import GROUP_FRAMES, group_of
from datasets_manifest.adapters.people.hmr2 import smpl_pose
from datasets_manifest.adapters.people.reading import people_or_reasons, photo_path
from datasets_manifest.adapters.people.values import box_around, gender_of, numbers, placed, truth
from datasets_manifest.adapters.sequences.layout import SequencePickleLayout
from datasets_manifest.schema.keypoint_sets import HUMANDATA, KEYPOINT_SETS, SMPL_24, KeypointSet

_POINTS = KEYPOINT_SETS["openpose18"]
_FRAMES_A_SECOND = 30.0
_NUM_JOINTS = 24
_JOINTS = KeypointSet(points=SMPL_24.points, wholebody=(*HUMANDATA.wholebody[:22], None, None))
"""SMPL's, hips among them: said to be joints, they are those of the body and not what an annotator sees."""


def entries(content: Any, name: str, layout: SequencePickleLayout) -> Iterator[Entry]:
    """Frames of a sequence that have a person.

    Raises:
        RowError: The content is no sequence of 3DPW.
    """
    if not isinstance(content, dict):
        raise RowError("expected a dict of arrays.")
    cameras = numbers(content, "cam_poses", (None, 4, 4))
    intrinsics = numbers(content, "cam_intrinsics", (3, 3))
    sequence = str(content.get("sequence") or name.rpartition("/")[2].removesuffix(".pkl"))
    people = _people(content, cameras)
    left_out: Counter[str] = Counter()
    span = range(len(cameras))
    for frame in span:
        rows: list[tuple[dict[str, Any], str]] = []
        for track, person in enumerate(people):
            if not person["campose_valid"][frame]:
                left_out["people of frames whose camera is not valid left out"] += 1
            elif not person["is_seen"][frame]:
                if layout.frames == "campose":
                    left_out["people without a 2D point left out, who have no box"] += 1
                else:
                    left_out["people of frames without 2D points left out"] += 1
            else:
                row = {key: values[frame] for key, values in person.items() if key not in ("betas", "gender")}
                row |= {"betas": person["betas"], "gender": person["gender"], "track": track}
                rows.append((row, f"frame {frame} person {track}"))
        if not rows:
            left_out["frames without people left out"] += 1
            continue
        problems, found = people_or_reasons(_person, rows, name)
        yield from problems
        yield ImageRecord(
            image_id=f"{sequence}/{frame:05d}",
            path=photo_path(layout.images, f"{sequence}/image_{frame:05d}.jpg"),
            people=tuple(found),
            focal_px=float(intrinsics[0, 0] + intrinsics[1, 1]) / 2,
            principal_px=(float(intrinsics[0, 2]), float(intrinsics[1, 2])),
            place=Place(
                group=group_of(sequence, frame, span, GROUP_FRAMES),
                frame=frame,
                time_s=frame / _FRAMES_A_SECOND,
                world_to_camera=cameras[frame][:3],
            ),
        )
    yield from (LeftOut(what, number) for what, number in left_out.items())


def _people(content: Mapping[str, Any], cameras: np.ndarray) -> list[dict[str, Any]]:
    """Arrays of each person, checked as a whole and put before the cameras (T, 4, 4)."""
    count = len(cameras)
    lists = {name: content.get(name) for name in ("poses", "betas", "poses2d", "campose_valid", "genders")}
    absent = [name for name, values in lists.items() if not isinstance(values, list)]
    if absent:
        raise RowError(f"{absent[0]} must be a list with an entry a person.")
    people: list[dict[str, Any]] = []
    for number in range(len(lists["poses"] or ())):
        row = {name: values[number] for name, values in lists.items() if values is not None and number < len(values)}
        joints = content.get("jointPositions")
        person: dict[str, Any] = {
            "poses": numbers(row, "poses", (count, 72)),
            "poses2d": numbers(row, "poses2d", (count, 3, 18)),
            "campose_valid": numbers(row, "campose_valid", (count,)),
            "betas": numbers(row, "betas", (None,))[:10],
            "gender": gender_of({"gender": row.get("genders")}),
        }
        if isinstance(joints, list) and number < len(joints):
            person["joints"] = numbers({"jointPositions": joints[number]}, "jointPositions", (count, 72))
        people.append(person | _before_cameras(person, cameras))
    return people


def _before_cameras(person: Mapping[str, Any], cameras: np.ndarray) -> dict[str, np.ndarray]:
    """Poses (T, 72) with roots, joints (T, 24, 3) m, both as the cameras have them, and whether there is a 2D point;
    of frames whose camera is valid."""
    poses, is_valid = person["poses"].copy(), person["campose_valid"] != 0
    turns = cameras[is_valid, :3, :3]
    if len(turns):
        roots = Rotation.from_matrix(turns) * Rotation.from_rotvec(poses[is_valid, :3])
        poses[is_valid, :3] = roots.as_rotvec()
    found = {"poses": poses, "is_seen": person["poses2d"][:, 2].any(axis=1)}
    if "joints" in person:
        joints = person["joints"].reshape(-1, _NUM_JOINTS, 3) @ cameras[:, :3, :3].transpose(0, 2, 1)
        found["joints"] = joints + cameras[:, None, :3, 3]
    return found


def _person(row: Mapping[str, Any], index: int) -> PersonRecord:
    points = row["poses2d"].T  # (18, 3)
    found = placed(points, _POINTS)
    seen = points[points[:, 2] > 0, :2]
    low, high = seen.min(axis=0), seen.max(axis=0)
    parameters = smpl_pose(row["poses"]) | {"betas": row["betas"]}
    keypoints, others = None, {}
    if "joints" in row:
        keypoints, others = placed(np.concatenate([row["joints"], np.ones((_NUM_JOINTS, 1))], axis=1), _JOINTS)
    return PersonRecord(
        index=index,
        bbox_xyxy=box_around((low + high) / 2, (high - low).max()),
        keypoints=found.placed,
        other_points=found.others,
        track=row["track"],
        truth_3d=truth(
            "camera",
            model="smpl",
            parameters=parameters,
            gender=row["gender"],
            keypoints_m=keypoints,
            other_points_m=others,
            points_are="joints",
            root_relative=keypoints is None,
        ),
    )
