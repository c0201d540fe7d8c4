"""Keypoints that data sets know in 3D, as the observations of the refinement.

Points triangulated from images lie where their annotators or networks put them, hips and shoulders at places of their
own (`Observations.surface_offset_m`): they are keypoints. Joints of a body model, and of markers as in Human3.6M, lie
inside the body: they are the model's joints, whatever is said of the places of keypoints.
"""

from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from datasets_manifest.schema.keypoint_sets import KEYPOINT_SETS, KeypointSetName
from fitting.inputs import Observations
from model.body import skeleton

BodyModelName = Literal["wholebody", "smpl", "smplx"]
PointSetName = KeypointSetName | BodyModelName
"""`wholebody` the 133 points; `smpl` 24 joints, `smplx` 55; or a set of `datasets_manifest.schema.keypoint_sets`."""
_OF_MARKERS = ("human36m", "human36m_mmpose", "human36m_spin", "mpi_inf_3dhp", "mpi_inf_3dhp_test")
_NUM_SMPL_JOINTS = 24


def point_map(name: PointSetName) -> tuple[list[tuple[int, int]], list[tuple[int, int]], int]:
    """Which points of a set are which of the 133 keypoints, and which of the 22 joints; pairs (point, place), and the
    number of points. The others have no counterpart.

    Raises:
        ValueError: The set is not known.
    """
    body = [(joint, joint) for joint in range(skeleton.NUM_MAIN_JOINTS)]
    if name == "wholebody":
        return [(point, point) for point in range(skeleton.NUM_KEYPOINTS)], [], skeleton.NUM_KEYPOINTS
    if name == "smpl":
        return [], body, _NUM_SMPL_JOINTS
    if name == "smplx":
        # Keypoints of fingers are joints; the wrists are among the joints of the body.
        fingers = [
            (joint, k) for k, joint in skeleton.KEYPOINT_JOINT.items() if joint >= skeleton.SMPLX_LEFT_HAND.start
        ]
        return fingers, body, skeleton.NUM_SMPLX_JOINTS
    if name not in KEYPOINT_SETS:
        known = ", ".join((*get_args(BodyModelName), *KEYPOINT_SETS))
        raise ValueError(f"3D points of an unknown set {name!r}: choose one of {known}")
    places = KEYPOINT_SETS[name].wholebody
    pairs = [(point, place) for point, place in enumerate(places) if place is not None]
    if name in _OF_MARKERS:
        return [], [(point, skeleton.KEYPOINT_JOINT[place]) for point, place in pairs], len(places)
    return pairs, [], len(places)


def with_points(
    observations: Observations,
    name: PointSetName,
    places_m: Tensor,
    sigma_m: Tensor,
    are_relative: Tensor | None = None,
) -> Observations:
    """The observations with points of a set known in 3D, beside those of other sets that they know already.

    Args:
        observations: of B people.
        name: of the set.
        places_m: (B, K, 3) in the frame of the camera, metres; any value where a point is not known.
        sigma_m: (B, K) standard deviation of an axis, inf for points that are not known.
        are_relative: (B,) bool: the points have an origin of their own, such as the root, though the axes of the
            camera; so have then those of the other sets, with the same origin. None: as those that are known already.
    """
    keypoints, joints, number = point_map(name)
    count = len(observations.keypoints_px)
    if places_m.shape != (count, number, 3) or sigma_m.shape != (count, number):
        raise ValueError(
            f"3D points of {name} for {count} people need places ({count}, {number}, 3) and sigmas "
            f"({count}, {number}), got {tuple(places_m.shape)} and {tuple(sigma_m.shape)}"
        )
    if are_relative is not None:
        before = observations.points_are_relative
        before = torch.zeros_like(are_relative) if before is None else before
        if bool(((before != are_relative) & observations.has_points & torch.isfinite(sigma_m).any(1)).any()):
            raise ValueError("3D points of a person are relative in all sets or in none: state those of one origin")
        observations = replace(observations, points_are_relative=before | are_relative)
    kinds = (("points", skeleton.NUM_KEYPOINTS, keypoints), ("joints", skeleton.NUM_MAIN_JOINTS, joints))
    for kind in kinds:
        observations = replace(observations, **_filled(observations, *kind, places_m, sigma_m))
    return observations


def _filled(
    observations: Observations, name: str, number: int, pairs: list[tuple[int, int]], places_m: Tensor, sigma_m: Tensor
) -> dict[str, Any]:
    """The fields `name`_m and `name`_sigma_m with some points put in."""
    places, sigma = getattr(observations, f"{name}_m"), getattr(observations, f"{name}_sigma_m")
    if pairs:
        if places is None:
            places = places_m.new_zeros(len(places_m), number, 3)
            sigma = torch.full_like(places[..., 0], torch.inf)
        points, targets = torch.tensor(pairs, device=places_m.device).unbind(1)
        places, sigma = places.clone(), sigma.clone()
        places[:, targets], sigma[:, targets] = places_m[:, points], sigma_m[:, points]
    return {f"{name}_m": places, f"{name}_sigma_m": sigma}
