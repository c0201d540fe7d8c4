"""What the refinement refuses to be given, and how estimates are cleaned before it starts."""

from dataclasses import replace

import pytest
import torch

from fitting.inputs import Coarse, Observations, without_bad_values
from fitting.refine import refine
from fitting.sparse_body import SparseBody
from model.imaging.camera import Camera


@pytest.mark.parametrize(
    ("field", "shape"),
    [
        ("body_pose", (2, 20, 3, 3)),
        ("betas", (3, 10)),
        ("flame_expression", (1, 50)),
        ("sigma_rad", (2, 21)),
        ("head_orient", (2, 3)),
        ("wrist_orient", (2, 3, 3)),
        ("transl_m", (3,)),
    ],
)
def test_an_estimate_of_another_shape_is_named(field: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=field):
        replace(Coarse.unknown(2), **{field: torch.zeros(shape)})


def test_boxes_of_another_number_of_people_are_refused() -> None:
    with pytest.raises(ValueError, match="boxes_xyxy"):
        Observations(keypoints_px=torch.zeros(2, 133, 2), sigma_px=torch.ones(2, 133), boxes_xyxy=torch.zeros(3, 4))


@pytest.mark.parametrize(("estimates", "cameras"), [(1, 2), (3, 2), (2, 1)])
def test_as_many_estimates_and_cameras_as_people(open_body: SparseBody, estimates: int, cameras: int) -> None:
    observations = Observations(keypoints_px=torch.zeros(2, 133, 2), sigma_px=torch.ones(2, 133))
    camera = Camera(focal_px=torch.ones(cameras), principal_px=torch.zeros(cameras, 2))
    with pytest.raises(ValueError, match="as many estimates and cameras as people"):
        refine(open_body, observations, Coarse.unknown(estimates), camera)


def test_only_values_of_valid_parts_make_a_row_bad() -> None:
    yes, no = torch.tensor([True, True, True]), torch.tensor([False, False, False])
    body = torch.eye(3).repeat(3, 21, 1, 1)
    body[1, 4, 0, 0] = torch.nan
    camera = Camera(focal_px=torch.tensor([900.0, 900.0, -1.0]), principal_px=torch.zeros(3, 2))
    bad, _ = without_bad_values(replace(Coarse.unknown(3), body_pose=body, body_valid=yes), camera, torch.float32)
    assert bad.tolist() == [False, True, True]
    bad, clean = without_bad_values(replace(Coarse.unknown(3), body_pose=body, body_valid=no), camera, torch.float32)
    assert bad.tolist() == [False, False, True]
    assert torch.isfinite(clean.body_pose).all()


def test_spreads_that_make_no_sense_count_as_not_stated() -> None:
    sigma = torch.full((4, 22), 0.2)
    sigma[1:, 3] = torch.tensor([0.0, -1.0, torch.inf])
    camera = Camera(focal_px=torch.ones(4), principal_px=torch.zeros(4, 2))
    _, clean = without_bad_values(replace(Coarse.unknown(4), sigma_rad=sigma), camera, torch.float64)
    assert clean.sigma_rad is not None
    assert torch.isnan(clean.sigma_rad[:, 3]).tolist() == [False, True, True, True]
    assert torch.isnan(clean.sigma_rad).sum() == 3
