"""What a crop does not show: which parameters of a person are guesses, and the term that keeps them plausible.

A parameter is a guess where neither the crop shows it (``model.body.shown``, by the observed points that lie in what
the network reads) nor the label teaches it. A part that is shown and may not supervise is no guess: nothing is said of
it. Guesses are pulled towards the mean parameters, by the squared difference of matrices and coefficients, and nothing
else moves them: with this term, the points of what is shown do not reach them (``hold_unseen``).

The turns of pelvis and head in the camera's frame are never guesses. A face or hand that is shown alone hangs on a
chain of joints that nobody sees. While these are at the mean, the turn of the pelvis alone brings it to where it is
seen: the body is a plausible one, turned as the face or hand is.

Legend: B people.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import roma
import torch
from torch import Tensor

from model.batches import choose_rows
from model.body import skeleton
from model.body.parameters import EhmParameters
from model.body.shown import shown_joints, shown_parts
from model.imaging.squares import is_read
from model.regressor.batch import TrainingBatch
from model.regressor.losses import known_turns

UNSEEN_TERM = "unseen"
"""Name of the term, and of the setting that is its weight (``LossConfig``)."""
UNSEEN_MEASURES = ("unseen_deg", "unseen_head_deg", "unseen_hand_deg")
"""Of all crops, of those that show a face and no body, and of those that show a hand and neither."""


def shown_points(batch: TrainingBatch) -> Tensor:
    """(B, 133) bool: keypoints that were observed and lie in what the network reads of the crop."""
    return is_read(batch.keypoints_2d) & (batch.keypoints_2d[..., 2] > 0)


def guessed(batch: TrainingBatch) -> dict[str, Tensor]:
    """Name of a parameter -> whether it is a guess, (B,) or, of body joints, (B, 21) bool."""
    points = shown_points(batch)
    body, left, right, face = shown_parts(points).unbind(-1)
    joints = shown_joints(points)[:, 1 : skeleton.NUM_MAIN_JOINTS]
    body_known, face_known = body | batch.body_valid, face | batch.face_valid
    return {
        "body_pose": ~(joints | (batch.body_valid[:, None] & known_turns(batch)[:, 1:])),
        "betas": ~body_known,
        "left_hand_pose": ~(left | batch.left_hand_valid),
        "right_hand_pose": ~(right | batch.right_hand_valid),
        **dict.fromkeys(("jaw_pose", "flame_shape", "flame_expression"), ~face_known),
        "eye_pose": ~(face | (batch.face_valid & batch.eyes_valid)),
        "eyelids": ~(face | (batch.face_valid & batch.eyelids_valid)),
        "head_scale": ~(body_known & face_known),
    }


def hold_unseen(said: EhmParameters, guesses: Mapping[str, Tensor]) -> EhmParameters:
    """The same people; no gradient passes through their guesses."""
    held = {
        name: choose_rows(guess, getattr(said, name).detach(), getattr(said, name)) for name, guess in guesses.items()
    }
    return dataclasses.replace(said, **held)


def unseen_term(said: EhmParameters, mean: EhmParameters, guesses: Mapping[str, Tensor]) -> Tensor:
    """How far guesses are from the mean parameters: summed over a person's, averaged over the B people.

    The quality of a label has no say in it: it speaks of what the label teaches.

    Args:
        said: B people.
        mean: One person, without a leading dimension.
        guesses: See ``guessed``.
    """
    far = []
    for name, guess in guesses.items():
        away = (getattr(said, name) - getattr(mean, name)).square()
        far.append(choose_rows(guess, away, torch.zeros_like(away)).flatten(1).sum(1))
    return torch.stack(far).sum(0).mean()


def unseen_deg(said: EhmParameters, mean: EhmParameters, batch: TrainingBatch) -> dict[str, Tensor]:
    """Mean angle between joints that a crop does not show, whoever teaches them, and the mean pose.

    Args:
        said: B people.
        mean: One person, without a leading dimension.
        batch: Whose crops they are.

    Returns:
        Name in ``UNSEEN_MEASURES`` -> (B,) degrees; NaN where all joints are shown, or the crop is of another kind.
    """
    points = shown_points(batch)
    unseen = ~shown_joints(points)
    unseen[:, skeleton.PELVIS] = False
    rest = mean.local_rotations().expand(len(batch), -1, 3, 3)
    angle = torch.rad2deg(roma.rotmat_geodesic_distance(said.local_rotations(), rest))
    mean_angle = torch.where(unseen, angle, 0.0).sum(1) / unseen.sum(1)
    body, left, right, face = shown_parts(points).unbind(-1)
    kinds = (torch.ones_like(body), face & ~body, (left | right) & ~face & ~body)
    return {name: torch.where(kind, mean_angle, torch.nan) for name, kind in zip(UNSEEN_MEASURES, kinds, strict=True)}
