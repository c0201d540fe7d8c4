"""What a prediction is charged for: equations 1 to 5 of the PEAR paper and its supplementary B.1.

Every term is the sum over a person's elements, as in HMR2, times the person's weight, averaged over the B rows of the
batch. It is divided by B and not by the number of people a term applies to, so that averaging over equal shares of a
batch gives the whole batch's gradient. HMR2 and PEAR's release sum over the batch instead; AdamW does not see the
difference, clipping does.

| term (equation) | elements | counted where |
| --- | --- | --- |
| `global_orient`, `body_pose` (1) | squared difference of matrices | `body_valid` and the joint's `joint_seen` |
| `betas` (1) | squared difference | `body_valid` |
| `left_hand_pose`, `right_hand_pose` (1) | squared difference of matrices | the hand's flag |
| `head_orient`, `jaw_pose`, `eye_pose` (3) | absolute difference of matrices | `face_valid` |
| `eyelids`, `flame_shape`, `flame_expression` (3) | absolute difference | `face_valid` |
| `head_scale` (3) | absolute difference | `face_valid` and `body_valid` |
| `body_3d` (2) | absolute difference from the pelvis, 21 joints, 6 feet points | `body_valid`, limb seen so far |
| `left_hand_3d`, `right_hand_3d` (2) | absolute difference from the wrist, 20 points | the hand's flag |
| `face_3d` | absolute difference from the head joint: nose, eyes, ears, 51 inner points | `face_valid` |
| `body_2d` (2), `face_2d` (5), `left_hand_2d`, `right_hand_2d` (2) | score times absolute difference | its flag |

Rotations are compared as matrices throughout (B.1): an axis-angle vector jumps at half a turn, which is where a person
who faces the camera is. To first order a matrix differs by twice what its axis-angle vector does, in L1.
The scale of the head is known only against a body, so it takes both flags. Points of the face outline are no points of
the skin, they depend on where the head looks: they count in 2D, where they are observed, and not in 3D.

Legend: B people, N points.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from model.body import skeleton
from model.regressor.batch import TrainingBatch
from model.regressor.camera import project
from model.regressor.network import Prediction

_TRUNK = (0, 3, 6, 9)
"""Pelvis and spine: `body_valid` vouches for them as a whole."""
_HEAD = slice(0, 5)
"""Nose, eyes and ears among the body's keypoints."""
_FEET_JOINT = (10, 10, 7, 11, 11, 8)
"""The joint that carries each of the six feet points: toes the foot, heels the ankle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """Weight of every term of the module's table, and which 2D points count."""

    global_orient: float = 0.001
    """Pelvis."""
    body_pose: float = 0.001
    """21 body joints."""
    betas: float = 0.0005
    """SMPL-X shape."""
    hand_pose: float = 0.001
    """15 joints of either hand."""
    head_orient: float = 0.001
    """The head's rotation in the camera frame."""
    jaw_pose: float = 0.001
    """Jaw."""
    eye_pose: float = 0.001
    """Both eyes."""
    eyelids: float = 0.001
    """Both eyelids."""
    flame_shape: float = 0.001
    """FLAME shape."""
    flame_expression: float = 0.001
    """FLAME expression."""
    head_scale: float = 0.001
    """Scale of the head."""
    body_3d: float = 0.05
    """Joints and feet, metres."""
    hand_3d: float = 0.05
    """Points of either hand, metres."""
    face_3d: float = 0.05
    """Points of the face, metres."""
    body_2d: float = 0.01
    """Body and feet, sides of the crop."""
    hand_2d: float = 0.01
    """Points of either hand, sides of the crop."""
    face_2d: float = 0.01
    """Points of the face, sides of the crop."""
    min_score: float = 0.0
    """2D points that score this or less do not count."""
    invalid_parts_in_2d: bool = False
    """Do observed 2D points count of parts whose 3D may not supervise."""

    def __post_init__(self) -> None:
        for name in WEIGHT_NAMES:
            weight = getattr(self, name)
            if not 0 <= weight < float("inf"):
                raise ValueError(f"{name}: expected a weight of 0 or more, got {weight}")
        if not any(getattr(self, name) for name in WEIGHT_NAMES):
            raise ValueError("all weights of the loss are 0: nothing would be learnt")
        if not 0 <= self.min_score < 1:
            raise ValueError(f"min_score: expected 0 or more and below 1, got {self.min_score}")

    @classmethod
    def hmr2(cls) -> LossConfig:
        """HMR2's weights for the body, HaMeR's equal ones for the hands; FLAME as in PEAR's release.

        HMR2's adversarial prior is left out, there being no motion-capture poses to learn it from.
        """
        return cls()

    @classmethod
    def paper(cls) -> LossConfig:
        """PEAR's release: parameters .001, 3D .05, 2D .01 above a score of .7, and no term on the pelvis' rotation.

        The release does not compare the head's rotation either; equation 3 names it and it stays, since nothing else
        would teach it.
        """
        return cls(global_orient=0.0, betas=0.001, min_score=0.7)

    @classmethod
    def smoke(cls) -> LossConfig:
        """For a few thousand steps of a small network from scratch: parameters weigh more, they need no camera."""
        return cls(
            global_orient=0.1,
            body_pose=0.05,
            betas=0.005,
            hand_pose=0.02,
            head_orient=0.05,
            jaw_pose=0.02,
            eye_pose=0.02,
            eyelids=0.02,
            flame_shape=0.005,
            flame_expression=0.005,
            head_scale=0.05,
            body_3d=0.2,
            hand_3d=0.2,
            face_3d=0.1,
            body_2d=0.1,
            hand_2d=0.05,
            face_2d=0.02,
        )

    def weight_of(self, term: str) -> float:
        """Weight of a term of the table; left and right hand share one."""
        return getattr(self, term.replace("left_", "").replace("right_", ""))


WEIGHT_NAMES = tuple(
    field.name for field in dataclasses.fields(LossConfig) if field.name not in ("min_score", "invalid_parts_in_2d")
)
"""Settings that are weights of terms."""


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
    projected = project(predicted_keypoints - pelvis, prediction.camera, focal_sides)
    people = _parameter_terms(prediction, batch)
    people |= _terms_3d(predicted_joints, predicted_keypoints, batch, target_joints, target_keypoints)
    people |= _terms_2d(projected, batch, config)
    weights = {name: config.weight_of(name) for name in people}
    terms = {name: (loss * batch.weight).sum() / len(batch) for name, loss in people.items()}
    total = torch.stack([weights[name] * term for name, term in terms.items() if weights[name]]).sum()
    return LossTerms(total=total, terms={name: term.detach() for name, term in terms.items()})


def _parameter_terms(prediction: Prediction, batch: TrainingBatch) -> dict[str, Tensor]:
    """Equations 1 and 3: name -> (B,)."""
    said, label = prediction.parameters.named(), batch.target.named()
    body, face = batch.body_valid, batch.face_valid
    seen = body[:, None] & batch.joint_seen

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
            name: absolute(name, face)
            for name in ("head_orient", "jaw_pose", "eye_pose", "eyelids", "flame_shape", "flame_expression")
        },
        "head_scale": absolute("head_scale", face & body),
    }


def _terms_3d(
    joints: Tensor, keypoints: Tensor, batch: TrainingBatch, target_joints: Tensor, target_keypoints: Tensor
) -> dict[str, Tensor]:
    """Each part relative to the joint that carries it: name -> (B,)."""

    def part(root: int, points: Callable[[Tensor, Tensor], Tensor], mask: Tensor) -> Tensor:
        said = points(joints, keypoints) - joints[:, root : root + 1]
        label = points(target_joints, target_keypoints) - target_joints[:, root : root + 1]
        return _summed(said, label, mask, torch.abs)

    def body(joints: Tensor, keypoints: Tensor) -> Tensor:
        return torch.cat([joints[:, 1 : skeleton.NUM_BODY_JOINTS + 1], keypoints[:, skeleton.FEET]], 1)

    def face(_: Tensor, keypoints: Tensor) -> Tensor:
        return torch.cat([keypoints[:, _HEAD], keypoints[:, skeleton.INNER_FACE]], 1)

    def hand(side: slice) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda _, keypoints: keypoints[:, side.start + 1 : side.stop]

    known = batch.body_valid[:, None] & known_points(batch.joint_seen)
    return {
        "body_3d": part(skeleton.PELVIS, body, known),
        "left_hand_3d": part(skeleton.LEFT_WRIST, hand(skeleton.LEFT_HAND), batch.left_hand_valid),
        "right_hand_3d": part(skeleton.RIGHT_WRIST, hand(skeleton.RIGHT_HAND), batch.right_hand_valid),
        "face_3d": part(skeleton.HEAD, face, batch.face_valid),
    }


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
        trust = torch.where(counted, score[:, points], 0.0)[..., None]
        found[name] = _summed(projected[:, points], observed[:, points], counted, lambda d, t=trust: t * d.abs())
    return found


def _summed(said: Tensor, label: Tensor, mask: Tensor, measure: Callable[[Tensor], Tensor]) -> Tensor:
    """(B,) sum of a measure of the differences (B, ...) where the mask, (B,) or (B, N), holds.

    Selecting before measuring keeps what a masked label holds out of the gradient: 0 times NaN would be NaN.
    """
    chosen = mask.reshape(*mask.shape, *[1] * (said.dim() - mask.dim()))
    return measure(torch.where(chosen, said - label, 0.0)).flatten(1).sum(1)
