"""The term of pixels: its derivatives, and what it takes for a picture."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.pixel_people import Trial, close_ups, make_trial, open_ehm, open_sparse
from benchmarks.pixel_renderers import learn_renderer
from fitting.part_pictures import part_boxes, part_pictures
from fitting.picture_parts import PicturePart, picture_parts
from fitting.picture_term import PictureTerm
from fitting.pixel_settings import PixelConfig
from fitting.terms import NormalEquations
from fitting.unknowns import POSITION, retract
from model.imaging.camera import project
from model.renderer.splat.draw import fastest

RASTERISER = fastest(torch.device("cpu"))


@pytest.fixture(scope="module")
def trial() -> Trial:
    return make_trial(close_ups("face", 2, seed=41), "face", seed=2)


@pytest.fixture(scope="module")
def head() -> PicturePart:
    return picture_parts(open_sparse(), open_ehm(), learn_renderer(24, 8, spacing_m=0.02), PixelConfig())[2]


@pytest.fixture(scope="module")
def term(trial: Trial, head: PicturePart) -> PictureTerm:
    camera, state = trial.problem.people.camera, trial.solution.state
    pictures = part_pictures(head, part_boxes(head, state, camera), camera, trial.photos, trial.masks)
    return PictureTerm.settled(head, pictures, state, RASTERISER)[0]


def gradient_and_hessian(term: PictureTerm, trial: Trial) -> tuple[Tensor, Tensor]:
    state, body = trial.solution.state, open_sparse()
    normal = NormalEquations(len(state.position), body.layout.size, state.position)
    term.add_to(normal, state, body.forward(state))
    return normal.gradient, normal.hessian


@pytest.mark.long
def test_gradient_is_half_that_of_the_cost(term: PictureTerm, trial: Trial) -> None:
    """To first order in the motion of the surface: occlusion and the blur of pixels are left out."""
    gradient, hessian = gradient_and_hessian(term, trial)
    state, body, free = trial.solution.state, open_sparse(), term.part.columns
    forward = body.forward(state)
    found = []
    # Steps as long as they matter: pixels are sampled, so that shorter ones see their raster.
    length = 0.1 / hessian.diagonal(dim1=1, dim2=2)[0, free].sqrt()
    few = torch.cat([torch.arange(0, len(free) - 2, 4), torch.arange(len(free) - 2, len(free))])  # and both eyelids
    for place, size in zip(free[few].tolist(), length[few].tolist(), strict=True):
        costs = []
        for sign in (1, -1):
            step = torch.zeros(len(gradient), body.layout.size)
            step[:, place] = sign * size
            costs.append(term.cost(retract(state, step, forward.rotations, body.layout), forward))
        found.append((costs[0] - costs[1]) / (2 * size))
    differences, mine = torch.stack(found, 1) / 2 * length[few], gradient[:, free[few]] * length[few]
    likeness = torch.nn.functional.cosine_similarity(differences, mine)
    assert (likeness > 0.8).all(), likeness
    assert ((differences - mine).norm(dim=1) < 0.7 * differences.norm(dim=1)).all()


@pytest.mark.long
def test_only_what_the_part_refines_has_a_derivative(term: PictureTerm, trial: Trial) -> None:
    gradient, hessian = gradient_and_hessian(term, trial)
    others = torch.ones(gradient.shape[1], dtype=torch.bool)
    others[term.part.columns] = False
    assert (gradient[:, others] == 0).all()
    assert (hessian[:, others] == 0).all()
    assert (gradient[:, ~others] != 0).all()


def test_distance_and_head_scale_never_step_together() -> None:
    parts = picture_parts(open_sparse(), open_ehm(), learn_renderer(3, 1, spacing_m=0.05), PixelConfig())
    depth, scale = POSITION.stop - 1, parts[0].body.layout.log_head_scale.start
    assert [(depth in part.columns, scale in part.columns) for part in parts] == [(True, False)] * 2 + [(False, True)]


@pytest.mark.long
def test_pixels_that_are_not_known_to_show_the_person_have_no_weight(
    trial: Trial, head: PicturePart, term: PictureTerm
) -> None:
    camera, state = trial.problem.people.camera, trial.solution.state
    first = np.array(trial.masks[0])
    first[:, : first.shape[1] // 2] = 128
    masks = [first, trial.masks[1]]
    boxes = part_boxes(head, state, camera)
    half = PictureTerm.settled(head, part_pictures(head, boxes, camera, trial.photos, masks), state, RASTERISER)[0]
    assert 0 < (half.weight[0] > 0).sum() < 0.8 * (term.weight[0] > 0).sum()
    assert torch.equal(half.weight[1], term.weight[1])


def test_a_picture_of_a_part_has_the_camera_that_draws_it_there(trial: Trial, head: PicturePart) -> None:
    camera, state = trial.problem.people.camera, trial.solution.state
    boxes = part_boxes(head, state, camera)
    pictures = part_pictures(head, boxes, camera, trial.photos, trial.masks)
    places = project(head.mesh(state)[:, head.framed], pictures.camera) / head.settings.size_px
    low, high = places.amin(1), places.amax(1)
    torch.testing.assert_close((low + high) / 2, torch.full((2, 2), 0.5), atol=1e-3, rtol=0)
    torch.testing.assert_close((high - low).amax(1), torch.full((2,), 1 / 1.15), atol=1e-3, rtol=0)


def test_a_renderer_of_another_body_is_refused() -> None:
    renderer = learn_renderer(3, 1, spacing_m=0.05)
    fewer = renderer.part(torch.arange(100))[0]
    with pytest.raises(ValueError, match=f"a mesh of {fewer.num_vertices} vertices, the body has"):
        picture_parts(open_sparse(), open_ehm(), fewer, PixelConfig())


@pytest.mark.parametrize(
    ("setting", "value"), [("iterations", 0), ("robust", 0.0), ("most_loss", -1.0), ("least_gain", -0.1)]
)
def test_a_setting_out_of_range_is_named(setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{setting}: expected .* got {value}"):
        PixelConfig(**{setting: value})


@pytest.mark.parametrize(
    ("setting", "value"), [("size_px", 8), ("sigma", 0.0), ("outline_px", -1), ("keypoint_slack", -0.1)]
)
def test_a_setting_of_a_part_out_of_range_is_named(setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{setting}: expected .* got {value}"):
        replace(PixelConfig().head, **{setting: value})
