"""Keypoints of distorting lenses, as rows of plans state them, in the pinhole cameras that stand for the lenses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from datasets_manifest.adapters.base import CalibratedLens, ImageRecord, PersonRecord, Place
from datasets_manifest.manifest import load_manifest
from datasets_manifest.schema.columns import Columns
from model.imaging.lenses import Lens
from tasks.annotate.plan.plan_rows import plan_table
from tasks.lenses import lens_of, photo_points, pinhole_keypoints

PRINCIPAL = (960.0, 540.0)
LENSES = (
    CalibratedLens(model="brown", coefficients=(-0.28, 0.09, 0.001, -0.002, -0.01), focal_xy_px=(1210.0, 1180.0)),
    CalibratedLens(model="fisheye", coefficients=(0.05, -0.01, 0.004, -0.001), focal_xy_px=(900.0, 905.0)),
    None,
    CalibratedLens(model="brown", coefficients=(0.0, 0.0, 0.0, 0.0), focal_xy_px=(1000.0, 1040.0)),
    CalibratedLens(
        model="fisheye624",
        coefficients=(0.4, -0.5, 0.1, 1.2, -1.4, 0.5, 5e-4, -3e-4, -9e-4, 2e-4, 7e-4, -1e-4),
        focal_xy_px=(610.0, 610.0),
    ),
)


def rows_of(*lenses):
    """Rows of a plan of people seen through lenses; without one, through a pinhole of 1000 px."""
    records = [
        ImageRecord(
            image_id=str(frame), path=str(frame), people=(PersonRecord(index=0),), principal_px=PRINCIPAL, lens=lens,
            focal_px=float(np.sqrt(np.prod(lens.focal_xy_px))) if lens else 1000.0,
            place=Place(group="scene", frame=frame, time_s=0.0),
        )
        for frame, lens in enumerate(lenses)
    ]  # fmt: skip
    return Columns(plan_table(records, replace(load_manifest("demo_people"), boxes="manifest")))


def test_keypoints_are_where_a_pinhole_camera_shows_them():
    rng = np.random.default_rng(0)
    rays = np.stack([rng.uniform(-0.6, 0.6, (5, 133)), rng.uniform(-0.4, 0.4, (5, 133))], -1)
    rows = rows_of(*LENSES)
    shown, expected = [], []
    for row, ray in zip(rows.table.to_pylist(), torch.from_numpy(rays), strict=True):
        lens = lens_of(row) or Lens(focal_px=(1000.0, 1000.0), principal_px=PRINCIPAL)
        shown.append(lens.to_pixels(ray).numpy())
        expected.append((ray * row["focal_px"]).numpy() + PRINCIPAL)
    shown = np.array(shown, np.float32)
    found, sigma = pinhole_keypoints(rows, shown, np.full((5, 133), 2.0, np.float32))
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert np.array_equal(found[2], shown[2])
    assert (sigma[2] == 2).all()
    assert (sigma[0] > 2).mean() > 0.95  # A barrel squeezes what is away from the middle.


def test_points_in_a_photo_are_where_the_lens_shows_them():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(-0.5, 0.5, (5, 133, 2)), rng.uniform(1.5, 3.0, (5, 133, 1))], -1)
    rows = rows_of(*LENSES)
    shown = photo_points(rows, points)
    back, _ = pinhole_keypoints(rows, shown, np.ones((5, 133)))
    focal = np.array([row["focal_px"] for row in rows.table.to_pylist()])
    np.testing.assert_allclose(back, focal[:, None, None] * points[..., :2] / points[..., 2:] + PRINCIPAL, atol=0.01)
    assert np.abs(shown - back)[[0, 1, 3, 4]].max((1, 2)).min() > 0.2
    np.testing.assert_allclose(shown[2], back[2], atol=1e-9)


def test_what_a_lens_does_not_show_is_not_found():
    barrel = CalibratedLens(model="brown", coefficients=(-0.3, 0.0, 0.0, 0.0), focal_xy_px=(1000.0, 1000.0))
    found, sigma = pinhole_keypoints(
        rows_of(barrel), np.array([[[3000.0, 540.0], [960.0, 540.0]]]), np.array([[3.0, 3.0]])
    )
    assert found.tolist() == [[[0.0, 0.0], [960.0, 540.0]]]
    assert sigma.tolist() == [[np.inf, pytest.approx(3.0)]]
