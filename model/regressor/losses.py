"""What a prediction is charged for: equations 1 to 5 of the PEAR paper and its supplementary B.1.

Every term is the sum over a person's elements, as in HMR2, times the weight of the person's part, averaged over the B
rows of the batch. It is divided by B and not by the number of people a term applies to, so that averaging over equal
shares of a batch gives the whole batch's gradient. HMR2 and PEAR's release sum over the batch instead; AdamW does not
see the difference, clipping does.

| term (equation) | elements | counted where |
| --- | --- | --- |
| `global_orient`, `body_pose` (1) | squared difference of matrices | `body_valid`, the joint's `joint_seen`, its limb |
| `betas` (1) | squared difference | `body_valid` |
| `left_hand_pose`, `right_hand_pose` (1) | squared difference of matrices | the hand's flag |
| `head_orient`, `jaw_pose`, `eye_pose` (3) | absolute difference of matrices | `face_valid`; eyes `eyes_valid` too |
| `eyelids`, `flame_shape`, `flame_expression` (3) | absolute difference | `face_valid`; lids `eyelids_valid` too |
| `head_scale` (3) | absolute difference | `face_valid` and `body_valid` |
| `body_3d` (2) | absolute difference from the pelvis, 21 joints, 6 feet points | `body_valid`, limb known so far |
| `left_hand_3d`, `right_hand_3d` (2) | absolute difference from the wrist, 20 points | the hand's flag, and below |
| `face_3d` | absolute difference from the head joint: nose, eyes, ears, 51 inner points | `face_valid` |
| `face_form` | the same points about their middle, turned with the head, of size one | `face_valid` |
| `body_2d` (2), `face_2d` (5), `left_hand_2d`, `right_hand_2d` (2) | score times absolute difference | its flag, limb |

Rotations are compared as matrices throughout (B.1): an axis-angle vector jumps at half a turn, which is where a person
who faces the camera is. To first order a matrix differs by twice what its axis-angle vector does, in L1.
A limb counts where `body_group_valid` holds it; without the trunk nothing is known of where limbs are in 3D.
The scale of the head is known only against a body, so it takes both flags. Points of the face outline are no points of
the skin, they depend on where the head looks: they count in 2D, where they are observed, and not in 3D.
How large a face is in metres no picture of it tells, and where its points are from the head joint depends on that:
`face_form` (not in the paper) leaves what can be seen, the form.
3D differences are along the camera's axes or, with ``local_frames``, along those of the joint the part hangs on. Along
the camera's axes those of a hand depend on the turn of the wrist, which only the body with this arm vouches for.

Legend: B people, N points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets_manifest.schema.ehm_fields import EHM_FIELDS, PART_NAMES
from model.body import skeleton
from model.body.parameters import EhmParameters
from model.imaging.crop_camera import project_into_crop
from model.regressor.batch import TrainingBatch
from model.regressor.loss_config import LossConfig
from model.regressor.network import Prediction
from model.regressor.targets import neutral_where_invalid

_TRUNK = (skeleton.PELVIS, *skeleton.SPINE)
"""Pelvis and spine: `body_valid` vouches for them as a whole."""
_LIMBS = list(skeleton.BODY_GROUPS)
_TORSO, _ARMS = _LIMBS.index("torso"), [_LIMBS.index("left_arm"), _LIMBS.index("right_arm")]
_HEAD = slice(0, 5)
"""Nose, eyes and ears among the body's keypoints."""
_SMALLEST_FACE_M = 1e-3
"""Points of a face closer together than this have no form."""
(_LEFT_FOOT, _RIGHT_FOOT), (_LEFT_ANKLE, _RIGHT_ANKLE) = skeleton.FOOT_JOINTS, skeleton.ANKLES
_FEET_JOINT = (_LEFT_FOOT, _LEFT_FOOT, _LEFT_ANKLE, _RIGHT_FOOT, _RIGHT_FOOT, _RIGHT_ANKLE)
"""The joint that carries each of the six feet points: toes the foot, heels the ankle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LossTerms:
    """The loss of a batch."""

    total: Tensor
    """Scalar: the weighted sum of the terms."""
    terms: dict[str, Tensor]
    """Name in the module's table -> scalar without its weight."""


def regressor_loss(
    prediction: Prediction,
    predicted_joints: Tensor,
    predicted_keypoints: Tensor,
    batch: TrainingBatch,
    target_joints: Tensor,
    target_keypoints: Tensor,
    config: LossConfig,
    focal_sides: float,
) -> LossTerms:
    """All terms of a batch; those of weight 0 are measured too, without a gradient.

    Whatever a masked element of the target holds, NaN included, changes neither the loss nor a gradient. A NaN of the
    prediction, or of a target that counts, makes the total NaN.

    Args:
        prediction: parameters and crop camera (B, 3).
        predicted_joints: (B, 55, 3) of the predicted parameters without a translation, metres.
        predicted_keypoints: (B, 133, 3) likewise.
        batch: labels.
        target_joints: (B, 55, 3) of ``posed_target``.
        target_keypoints: (B, 133, 3) likewise.
        config: weights.
        focal_sides: focal length of the crop's camera in its sides.
    """
    pelvis = predicted_joints[:, : skeleton.PELVIS + 1]
    projected = project_into_crop(predicted_keypoints - pelvis, prediction.camera, focal_sides)
    people = _parameter_terms(prediction, batch)
    said, label = (predicted_joints, predicted_keypoints), (target_joints, target_keypoints)
    frames = part_frames(prediction.parameters), part_frames(neutral_where_invalid(batch))
    people |= _terms_3d(said, label, batch, frames if config.local_frames else None)
    people["face_form"] = _face_form(said, label, batch, frames)
    people |= _terms_2d(projected, batch, config)
    weights = {name: config.weight_of(name) for name in people}
    terms = {name: (loss * batch.weight[:, _part_of(name)]).sum() / len(batch) for name, loss in people.items()}
    total = torch.stack([weights[name] * term for name, term in terms.items() if weights[name]]).sum()
    return LossTerms(total=total, terms={name: term.detach() for name, term in terms.items()})


def _part_of(name: str) -> int:
    """The part, by its number, whose weight a term has: that of the parameter, or the one it is named after."""
    found = next((field.part for field in EHM_FIELDS if field.name == name), name.rpartition("_")[0])
    return PART_NAMES.index(found)  # pyright: ignore[reportArgumentType]


def known_turns(batch: TrainingBatch) -> Tensor:
    """(B, 22) bool: the turn of which root and body joints is known, where the body is valid."""
    return batch.joint_seen & batch.body_group_valid[:, list(skeleton.GROUP_OF_JOINT)]


def _parameter_terms(prediction: Prediction, batch: TrainingBatch) -> dict[str, Tensor]:
    """Equations 1 and 3: name -> (B,)."""
    said, label = prediction.parameters.named(), batch.target.named()
    body, face = batch.body_valid, batch.face_valid
    seen = body[:, None] & known_turns(batch)
    masks = {"eye_pose": face & batch.eyes_valid, "eyelids": face & batch.eyelids_valid}

    def squared(name: str, mask: Tensor) -> Tensor:
        return _summed(said[name], label[name], mask, torch.square)

    def absolute(name: str, mask: Tensor) -> Tensor:
        return _summed(said[name], label[name], mask, torch.abs)

    return {
        "global_orient": squared("global_orient", seen[:, 0]),
        "body_pose": squared("body_pose", seen[:, 1:]),
        "betas": squared("betas", body),
        "left_hand_pose": squared("left_hand_pose", batch.left_hand_valid),
        "right_hand_pose": squared("right_hand_pose", batch.right_hand_valid),
        **{
            name: absolute(name, masks.get(name, face))
            for name in ("head_orient", "jaw_pose", "eye_pose", "eyelids", "flame_shape", "flame_expression")
        },
        "head_scale": absolute("head_scale", face & body),
    }


def part_frames(parameters: EhmParameters) -> dict[int, Tensor]:
    """Orientation (B, 3, 3) in the camera frame of the joints that parts hang on: pelvis, head and both wrists."""
    found = {skeleton.PELVIS: parameters.global_orient}

    def orient(joint: int) -> Tensor:
        if joint not in found:
            found[joint] = orient(skeleton.SMPLX_PARENTS[joint]) @ parameters.body_pose[:, joint - 1]
        return found[joint]

    return {joint: orient(joint) for joint in (skeleton.PELVIS, skeleton.HEAD, *skeleton.WRISTS)}


def _terms_3d(
    said: tuple[Tensor, Tensor],
    label: tuple[Tensor, Tensor],
    batch: TrainingBatch,
    frames: tuple[dict[int, Tensor], dict[int, Tensor]] | None,
) -> dict[str, Tensor]:
    """Joints and keypoints of both sides, each part relative to the joint it hangs on: name -> (B,)."""

    def part(root: int, points: Callable[[Tensor, Tensor], Tensor], mask: Tensor) -> Tensor:
        ours, theirs = (points(*side) - side[0][:, root : root + 1] for side in (said, label))
        if frames is not None:
            ours, theirs = ours @ frames[0][root], theirs @ frames[1][root]
        return _summed(ours, theirs, mask, torch.abs)

    def body(joints: Tensor, keypoints: Tensor) -> Tensor:
        return torch.cat([joints[:, 1 : skeleton.NUM_BODY_JOINTS + 1], keypoints[:, skeleton.FEET]], 1)

    def hand(side: slice) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda _, keypoints: keypoints[:, side.start + 1 : side.stop]

    trunk = batch.body_group_valid[:, _TORSO]
    known = (batch.body_valid & trunk)[:, None] & known_points(known_turns(batch))
    hands = batch.left_hand_valid, batch.right_hand_valid
    arms = (batch.body_valid & trunk)[:, None] & batch.body_group_valid[:, _ARMS]
    left, right = hands if frames is not None else (hand & arms[:, side] for side, hand in enumerate(hands))
    return {
        "body_3d": part(skeleton.PELVIS, body, known),
        "left_hand_3d": part(skeleton.LEFT_WRIST, hand(skeleton.LEFT_HAND), left),
        "right_hand_3d": part(skeleton.RIGHT_WRIST, hand(skeleton.RIGHT_HAND), right),
        "face_3d": part(skeleton.HEAD, lambda _, keypoints: _face_points(keypoints), batch.face_valid),
    }


def _face_points(keypoints: Tensor) -> Tensor:
    """(B, 133, 3) -> (B, 56, 3) those on the skin of the head."""
    return torch.cat([keypoints[:, _HEAD], keypoints[:, skeleton.INNER_FACE]], 1)


def _face_form(
    said: tuple[Tensor, Tensor],
    label: tuple[Tensor, Tensor],
    batch: TrainingBatch,
    frames: tuple[dict[int, Tensor], dict[int, Tensor]],
) -> Tensor:
    """(B,) summed absolute difference of the face's points without place, turn and size."""
    ours, theirs = (
        _form(_face_points(side[1]) @ turns[skeleton.HEAD]) for side, turns in zip((said, label), frames, strict=True)
    )
    return _summed(ours, theirs, batch.face_valid, torch.abs)


def _form(points: Tensor) -> Tensor:
    """(B, N, 3) about their middle, divided by their root mean square distance from it."""
    centred = points - points.mean(1, keepdim=True)
    size = centred.square().sum(-1).mean(1).clamp(min=_SMALLEST_FACE_M**2).sqrt()
    return centred / size[:, None, None]


def known_points(joint_seen: Tensor) -> Tensor:
    """Which of the 21 body joints and 6 feet points (B, 27) are where the label says, for (B, 22) joints seen.

    A joint that was not seen is turned by its prior, so everything below it on its limb is a guess. The trunk is taken
    as known.
    """
    known = [torch.ones_like(joint_seen[:, 0])]
    for joint in range(1, skeleton.NUM_BODY_JOINTS + 1):
        parent = skeleton.SMPLX_PARENTS[joint]
        known.append(known[parent] if parent in _TRUNK else known[parent] & joint_seen[:, parent])
    feet = [known[joint] & joint_seen[:, joint] for joint in _FEET_JOINT]
    return torch.stack([*known[1:], *feet], 1)


def _terms_2d(projected: Tensor, batch: TrainingBatch, config: LossConfig) -> dict[str, Tensor]:
    """Equations 2 and 5: name -> (B,)."""
    observed, score = batch.keypoints_2d[..., :2], batch.keypoints_2d[..., 2]
    parts = {
        "body_2d": (slice(skeleton.BODY.start, skeleton.FEET.stop), batch.body_valid),
        "left_hand_2d": (skeleton.LEFT_HAND, batch.left_hand_valid),
        "right_hand_2d": (skeleton.RIGHT_HAND, batch.right_hand_valid),
        "face_2d": (skeleton.FACE, batch.face_valid),
    }
    found = {}
    for name, (points, valid) in parts.items():
        counted = score[:, points] > config.min_score
        if not config.invalid_parts_in_2d:
            counted = counted & valid[:, None]
            if name == "body_2d":
                counted = counted & batch.body_group_valid[:, list(skeleton.GROUP_OF_KEYPOINT)]
        trust = torch.where(counted, score[:, points], 0.0)[..., None]
        found[name] = _summed(projected[:, points], observed[:, points], counted, lambda d, t=trust: t * d.abs())
    return found


def _summed(said: Tensor, label: Tensor, mask: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    """(B,) sum of a measure of the differences (B, ...) where the mask, (B,) or (B, N), holds.

    Selecting before measuring keeps what a masked label holds out of the gradient: 0 times NaN would be NaN.
    """
    chosen = mask.reshape(*mask.shape, *[1] * (said.dim() - mask.dim()))
    return measure(torch.where(chosen, said - label, 0.0)).flatten(1).sum(1)
