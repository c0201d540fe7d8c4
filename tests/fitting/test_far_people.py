"""People of any size in photos of any focal length: the fit finds how far away they are, and nothing else changes."""

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmarks.far_people import LENSES, PHOTOS, far_people
from benchmarks.synthetic_people import StudyConfig, make_people
from fitting import initialise, so3
from fitting.inputs import Observations
from fitting.refine import refine
from fitting.sparse_body import SparseBody
from model.estimators.base import default_camera
from model.imaging.camera import Camera

LENGTHS = st.floats(500, 100_000)
SHARES = st.floats(0, 1)


def height_of(focal_px: float, share: float) -> float:
    """From 60 px at 0 up to the longer side of a photo that states no focal length at 1."""
    return 60 + share * (focal_px / default_camera(1, 1)[0] - 60)


# The focal length is drawn anew for the one body of the session, which holds nothing of a person.
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LENGTHS, SHARES)
@example(35_000.0, 0.0)
@example(100_000.0, 0.0)
def test_the_start_is_as_far_away_as_the_person(open_body: SparseBody, focal_px: float, share: float) -> None:
    height = height_of(focal_px, share)
    people = make_people(open_body, 16, 3, StudyConfig(focal_px=focal_px, height_px=(height, height)))
    forward = open_body.forward(people.truth)
    found = initialise.solve_translation(forward.points, people.clean_px, torch.ones(16, 133), people.camera)
    # The truth's own rounding to float32 px is what the distance is known to.
    allowed = 1e-3 + 1e-6 * focal_px / height
    assert ((found - forward.translation).norm(dim=1) / forward.translation[:, 2]).max() < allowed


@pytest.mark.long
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LENGTHS, SHARES)
@example(7_200.0, 0.01)
@example(100_000.0, 0.0)
def test_people_of_any_size_are_fitted(open_body: SparseBody, focal_px: float, share: float) -> None:
    assert far_people(open_body, focal_px, height_of(focal_px, share), 16, 1)["body"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("focal_px", "height_px"), [*((default_camera(side, side)[0], height) for side, height in PHOTOS), *LENSES]
)
def test_every_row_of_the_benchmark_is_fitted(open_body: SparseBody, focal_px: float, height_px: float) -> None:
    assert far_people(open_body, focal_px, height_px, 128, 0)["body"] >= 0.97


def test_somebody_whose_estimate_stands_while_he_lies_is_placed_by_his_size(open_body: SparseBody) -> None:
    """What shows a body best that is turned by 90 degrees is often behind the camera."""
    people = make_people(open_body, 32, seed=2)
    quarter = so3.exp(torch.tensor([0.0, 0.0, torch.pi / 2]))[:2, :2]
    centre = people.camera.principal_px[:, None]

    def turned(pixels: torch.Tensor) -> torch.Tensor:
        return (pixels - centre) @ quarter.T + centre

    forward = open_body.forward(people.truth)
    start = initialise.solve_translation(
        forward.points, turned(people.clean_px), torch.ones(32, 133), people.camera, rounds=1
    )
    ratio = start[:, 2] / forward.translation[:, 2]
    assert (ratio > 0.5).all()
    assert (ratio < 4).all()
    lying = Observations(keypoints_px=turned(people.observations.keypoints_px), sigma_px=people.observations.sigma_px)
    camera = Camera(focal_px=people.camera.focal_px, principal_px=people.camera.principal_px)
    assert refine(open_body, lying, people.coarse, camera).part_valid[:, 0].double().mean() > 0.75
