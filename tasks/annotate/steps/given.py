"""What the refinement is given of people: keypoints, estimates of the parts and cameras, as tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import EHM_FIELDS
from datasets_manifest.schema.evidence import unpack_arrays
from fitting.refine import Camera, Coarse, Observations
from fitting.sparse_tables import NUM_SURFACE
from model.estimators.hidden_error import HIDDEN_EVIDENCE
from model.estimators.surface import OFFSET_EVIDENCE, SIGMA_EVIDENCE
from tasks.annotate.steps.parts import to_rotmat
from tasks.lenses import pinhole_keypoints


def _tensor(rows: Columns, column: str, fill: float = 0.0) -> torch.Tensor:
    """(P, ...) of a column; ``fill`` where a person has no value, ``nan`` for scalars."""
    values = rows[column].copy()
    if values.ndim > 1:
        values[~rows.has(column)] = fill
    return torch.from_numpy(values)


def observations_of(people: Columns) -> Observations:
    """Keypoints of (P,) people with their standard deviations, px, and what their source states: where it puts hips and
    shoulders, and what its points are off by together."""
    stated = unpack_arrays(people.table, "evidence")
    unsaid = np.full((people.num_rows, NUM_SURFACE), np.nan, np.float32)
    return Observations(
        keypoints_px=_tensor(people, "keypoints_2d")[..., :2].clone(),
        sigma_px=_tensor(people, "sigma_px", np.inf),
        boxes_xyxy=_tensor(people, "bbox_xyxy"),
        surface_offset_m=torch.from_numpy(stated.get(OFFSET_EVIDENCE, unsaid)),
        surface_sigma_m=torch.from_numpy(stated.get(SIGMA_EVIDENCE, unsaid)),
        hidden_error_mm=None if HIDDEN_EVIDENCE not in stated else torch.from_numpy(stated[HIDDEN_EVIDENCE]),
    )


def through_pinholes(observations: Observations, photos: Columns) -> Observations:
    """Keypoints of (P,) people as the pinhole cameras that stand for their lenses show them.

    Args:
        observations: As they are in the photos.
        photos: Rows of the plan that state the lens of each.
    """
    seen = pinhole_keypoints(photos, observations.keypoints_px.numpy(), observations.sigma_px.numpy())
    keypoints_px, sigma_px = map(torch.from_numpy, seen)
    return replace(observations, keypoints_px=keypoints_px, sigma_px=sigma_px)


def camera_of(people: Columns) -> Camera:
    """One pinhole camera a person."""
    return Camera(focal_px=_tensor(people, "focal_px"), principal_px=_tensor(people, "principal_px"))


def coarse_of(parts: dict[str, Columns]) -> Coarse:
    """The part estimates of the same (P,) people; a part that was not found is marked so and holds zeros."""
    body, hands, face = parts["body"], parts["hands"], parts["face"]

    def rotations(rows: Columns, column: str) -> torch.Tensor:
        return torch.from_numpy(to_rotmat(_tensor(rows, column).numpy()))

    def parameters(rows: Columns) -> dict[str, torch.Tensor]:
        named = (field for field in EHM_FIELDS if field.name in rows.table.column_names)
        return {f.name: (rotations if f.kind == "rotation" else _tensor)(rows, f.name) for f in named}

    def both(column: str, of: Callable[[Columns, str], torch.Tensor] = _tensor) -> torch.Tensor:
        return torch.stack([of(hands, f"{side}_{column}") for side in ("left", "right")], 1)

    return Coarse(
        **parameters(body),
        **parameters(face),
        # A simulated or exotic backend may state no spread: NaN lets the refinement take the recipe's.
        sigma_rad=_tensor(body, "sigma_rad", np.nan),
        body_valid=_tensor(body, "valid"),
        hand_pose=both("hand_pose", rotations),
        wrist_orient=both("wrist_orient", rotations),
        hand_sigma_rad=both("sigma_rad"),
        hand_score=both("score"),
        hand_valid=both("valid"),
        head_sigma_rad=_tensor(face, "sigma_rad"),
        face_valid=_tensor(face, "valid"),
    )
