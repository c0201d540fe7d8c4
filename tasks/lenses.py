"""Lenses of calibrated cameras, as the columns of plans and labels state them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.lens_models import NUM_COEFFICIENTS
from model.imaging.camera import Camera, project
from model.imaging.lenses import Lens

_COLUMNS = ("lens_model", "lens_coefficients", "focal_xy_px", "principal_px")


def lens_of(row: Mapping[str, Any]) -> Lens | None:
    """The lens of a row of a plan or of labels; None for a pinhole camera."""
    model = row.get("lens_model")
    if model is None:
        return None
    return Lens(
        model=model,
        coefficients=tuple(row["lens_coefficients"])[: NUM_COEFFICIENTS[model][-1]],
        focal_px=tuple(row["focal_xy_px"]),
        principal_px=tuple(row["principal_px"]),
    )


def pinhole_keypoints(rows: Columns, keypoints_px: np.ndarray, sigma_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints of photos as the pinhole cameras of ``focal_px`` and ``principal_px`` would show them.

    Args:
        rows: Of the plan, one a person (P).
        keypoints_px: (P, K, 2) in the photos.
        sigma_px: (P, K) their standard deviations; infinite for those that were not found.

    Returns:
        The same of the pinhole cameras; a point that the lens does not show is not found, at (0, 0).
    """
    keypoints_px, sigma_px = keypoints_px.copy(), sigma_px.copy()
    for lens, own in _by_lens(rows).items():
        moved, factor = (values.numpy() for values in lens.to_pinhole(torch.from_numpy(keypoints_px[own])))
        is_shown = np.isfinite(factor)
        keypoints_px[own] = np.where(is_shown[..., None], moved, 0.0)
        sigma_px[own] = np.where(is_shown, sigma_px[own] * factor, np.inf)
    return keypoints_px, sigma_px


def photo_points(rows: Columns, points_m: np.ndarray) -> np.ndarray:
    """Points (P, K, 3) in the frames of their cameras, metres -> (P, K, 2) px in the photos, through lenses where they
    have one.

    Args:
        rows: Of labels, one a person (P).
        points_m: Of these people.
    """
    points = torch.from_numpy(np.array(points_m, np.float64))
    for lens, own in _by_lens(rows).items():
        points[own] = lens.bent(points[own])
    focal, principal = (torch.from_numpy(rows[name].astype(np.float64)) for name in ("focal_px", "principal_px"))
    return project(points, Camera(focal_px=focal, principal_px=principal)).numpy()


def _by_lens(rows: Columns) -> dict[Lens, list[int]]:
    """Which rows have a lens, by the lens."""
    people = defaultdict[Lens, list[int]](list)
    if "lens_model" in rows:
        for person, row in enumerate(rows.table.select(_COLUMNS).to_pylist()):
            if lens := lens_of(row):
                people[lens].append(person)
    return people
