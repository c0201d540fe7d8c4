"""Several cameras and places in 3D, folded into three rows a point."""

from dataclasses import replace

import pytest
import torch
from toy_bodies import random_state

from fitting import so3
from fitting.forward import Forward
from fitting.keypoint_term import KeypointTerm
from fitting.sightings import Sightings
from fitting.sightings_term import JointsTerm, SightingsTerm
from fitting.sparse_body import SparseBody
from fitting.stated import Stated
from fitting.terms import NormalEquations, Term
from fitting.unknowns import State, retract
from model.batches import take_rows
from model.imaging.camera import Camera

PEOPLE, VIEWS = 3, 4


def looking_at(middle_m: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotations (B, V, 3, 3) and shifts (B, V, 3) of cameras about middles (B, 3), the first the reference itself."""
    turn = torch.randn(PEOPLE, VIEWS, 3, generator=generator, dtype=torch.float64)
    turn[:, 0] = 0
    rotation, middle = so3.exp(turn), middle_m[:, None]
    return rotation, middle - (rotation @ middle[..., None]).squeeze(-1)


def seen_by(body: SparseBody, state: State, noise_px: float = 0.0) -> Sightings:
    """What four cameras see of people, a few points missing, and a few points and joints in 3D."""
    generator = torch.Generator().manual_seed(5)
    forward = body.forward(state)
    rotation, shift = looking_at(forward.translation, generator)
    points, joints = forward.points_cam, forward.joints[:, :22] + forward.translation[:, None]

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    sightings = Sightings(
        focal_px=900 + 50 * random(PEOPLE, VIEWS),
        principal_px=400 + 20 * random(PEOPLE, VIEWS, 2),
        rotation=rotation,
        shift_m=shift,
        keypoints_px=torch.zeros(PEOPLE, VIEWS, 133, 2, dtype=torch.float64),
        precision=0.5 * (random(PEOPLE, VIEWS, 133) > -1),
        stated=Stated(
            points_m=points + noise_px * 2e-3 * random(PEOPLE, 133, 3),
            point_precision=100.0 * (random(PEOPLE, 133) > 1),
            joints_m=joints + noise_px * 2e-3 * random(PEOPLE, 22, 3),
            joint_precision=100.0 * (random(PEOPLE, 22) > 0),
        ),
    )
    x, y, z = sightings.in_cameras(points)
    shown = torch.stack([x / z, y / z], -1) * sightings.focal_px[..., None, None] + sightings.principal_px[:, :, None]
    return replace(sightings, keypoints_px=shown + noise_px * random(PEOPLE, VIEWS, 133, 2))


def equations(body: SparseBody, term: Term, state: State, forward: Forward) -> NormalEquations:
    normal = NormalEquations(len(state.position), body.layout.size, state.position)
    term.add_to(normal, state, forward)
    return normal


@pytest.mark.parametrize("kind", ["cameras", "joints"])
def test_the_gradient_is_that_of_the_cost(toy_body: SparseBody, kind: str) -> None:
    state = random_state(toy_body, PEOPLE)
    seen = seen_by(toy_body, state, noise_px=3.0)
    term: Term = SightingsTerm(toy_body, seen, 4.0)
    if kind == "joints":
        term = JointsTerm(toy_body, seen, 4.0)
    gradient = equations(toy_body, term, state, toy_body.forward(state)).gradient
    for row in range(2):
        single = take_rows(state, torch.tensor([row]))
        own, rotations = term.take_rows(torch.tensor([row])), toy_body.forward(single).rotations

        def cost(step: torch.Tensor, single=single, own=own, rotations=rotations) -> torch.Tensor:
            moved = retract(single, step[None], rotations, toy_body.layout)
            return own.cost(moved, toy_body.forward(moved))[0] / 2

        expected = torch.func.grad(cost)(torch.zeros(toy_body.layout.size, dtype=torch.float64))
        assert expected.abs().max() > 1
        assert (gradient[row] - expected).abs().max() < 1e-6 * expected.abs().max()


def test_one_camera_folded_says_what_its_image_says(open_body_f64: SparseBody) -> None:
    body, state = open_body_f64, random_state(open_body_f64, PEOPLE)
    seen, forward = seen_by(body, state, noise_px=3.0), body.forward(state)
    view = Camera(focal_px=seen.focal_px[:, 0], principal_px=seen.principal_px[:, 0])
    keypoints, precision = seen.keypoints_px[:, 0], seen.precision[:, 0]
    term = KeypointTerm(body, keypoints, precision, view, 4.0)
    folded = SightingsTerm(body, Sightings.of_one_camera(view, keypoints, precision, Stated.nothing(precision)), 4.0)
    assert torch.allclose(term.cost(state, forward), folded.cost(state, forward))
    own, other = (equations(body, one, state, forward) for one in (term, folded))
    assert (own.hessian - other.hessian).abs().max() < 1e-9 * own.hessian.abs().max()
    assert (own.gradient - other.gradient).abs().max() < 1e-9 * own.gradient.abs().max()


def test_a_camera_that_sees_nothing_adds_nothing(toy_body: SparseBody) -> None:
    state = random_state(toy_body, PEOPLE)
    seen, forward = seen_by(toy_body, state, noise_px=3.0), toy_body.forward(state)
    precision = seen.precision.clone()
    precision[:, -1] = 0
    blind = replace(seen, precision=precision)
    fewer = replace(seen, **{name: getattr(seen, name)[:, :-1] for name in Sightings.__slots__ if name != "stated"})
    terms = (SightingsTerm(toy_body, one, 4.0) for one in (blind, fewer))
    own, other = (equations(toy_body, term, state, forward).augmented for term in terms)
    assert torch.allclose(own, other)


def test_exact_sights_give_points_and_places_back(toy_body: SparseBody) -> None:
    state = random_state(toy_body, PEOPLE)
    seen, forward = seen_by(toy_body, state), toy_body.forward(state)
    points = seen.triangulated()
    twice = (seen.precision > 0).sum(1) > 1
    assert (points - forward.points_cam)[twice].abs().max() < 1e-6
    assert not torch.isfinite(points[(seen.precision > 0).sum(1) == 0]).any()
    place = seen.translation(forward.points, forward.joints[:, :22])
    assert torch.allclose(place, forward.translation, atol=1e-6)
