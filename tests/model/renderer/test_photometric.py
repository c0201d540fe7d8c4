"""Parts drawn by cameras of their own: where the crop shows them, with derivatives that pull back what is off."""

import dataclasses

import pytest
import torch
from open_renderers import photometric, picture_of

from model.body.assets import load_open_body
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.body.skeleton import HEAD, PELVIS
from model.imaging.camera import project
from model.imaging.crop_camera import project_into_crop
from model.renderer.part_windows import part_window
from model.renderer.photometric import PhotometricConfig

FACING = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
FOCAL = 5000 / 256
SIZE = 48


def person(count=1, **known):
    return EhmParameters.neutral(count, global_orient=FACING.expand(count, 3, 3), **known)


def camera(people):
    """That puts the head into the middle of the crop, which it fills."""
    joints = KeypointBody(load_open_body())(people).joints
    head = joints[:, HEAD] - joints[:, PELVIS]
    return torch.cat([torch.full((len(head), 1), 6.0), -head[:, :2]], 1)


@pytest.fixture(scope="module")
def scene():
    """A head, its keypoints, and the picture that the renderer itself makes of it."""
    drawer = photometric()
    people = person()
    place = camera(people)
    vertices, keypoints = drawer.pose(people, place)
    observed = torch.cat([keypoints, torch.ones(1, 133, 1)], -1)
    window = torch.from_numpy(part_window(observed[0].numpy(), "head"))[None]
    return drawer, people, place, observed, picture_of(drawer, vertices, window, SIZE)


def loss_of(scene, people=None, place=None, pictures=None):
    drawer, own, own_place, observed, own_pictures = scene
    given = (people or own, own_place if place is None else place, {"head": pictures or own_pictures})
    return drawer(*given, observed)["head"]


def test_a_picture_shows_what_its_square_of_the_crop_shows(scene):
    drawer, people, place, _, pictures = scene
    posed = drawer.body(people)
    points = posed.extra_vertices - posed.joints[:, PELVIS : PELVIS + 1]
    in_crop = project_into_crop(points, place, FOCAL)
    centre, side = pictures.window[:, None, :2], pictures.window[:, None, 2:]
    expected = ((in_crop - centre) / side + 0.5) * SIZE
    assert torch.allclose(project(drawer.pose(people, place)[0], pictures.camera(FOCAL)), expected, atol=2e-3)


def test_the_truth_is_the_best_and_what_is_off_is_pulled_back(scene):
    at_truth = loss_of(scene).loss
    _, people, place, *_ = scene
    for size in (1.04, 0.96):
        scale = torch.full((1, 3), size).requires_grad_()
        loss = loss_of(scene, dataclasses.replace(people, head_scale=scale)).loss
        loss.sum().backward()
        assert loss > at_truth
        assert (scale.grad.sum() > 0) == (size > 1)
    for shift in (0.006, -0.006):
        moved = (place + torch.tensor([0.0, shift, 0.0])).requires_grad_()
        loss = loss_of(scene, place=moved).loss
        loss.sum().backward()
        assert loss > at_truth
        assert (moved.grad[0, 1] > 0) == (shift > 0)


def test_what_is_not_known_has_no_say_and_without_a_mask_the_outline_has_none(scene):
    drawer, _, _, _, pictures = scene
    alpha = pictures.person / 255.0
    weight = drawer.weight(pictures, alpha)
    band = (weight > 0) & (weight < 1)
    assert band.any()
    assert torch.equal(weight.unique(), torch.tensor([drawer.config.outline, 1.0]))
    half = pictures.known.clone()
    half[..., : SIZE // 2] = False
    assert not drawer.weight(dataclasses.replace(pictures, known=half), alpha)[..., : SIZE // 2].any()
    free = dataclasses.replace(pictures, has_mask=torch.tensor([False]))
    assert not drawer.weight(free, alpha)[band].any()
    assert drawer.weight(free, alpha).sum() > 100


def test_a_part_that_is_not_shown_or_far_off_is_not_drawn(scene):
    _, people, place, _, pictures = scene
    both = dataclasses.replace(pictures, is_shown=torch.tensor([False]))
    assert not loss_of(scene, pictures=both).is_drawn.any()
    far = loss_of(scene, place=place + torch.tensor([0.0, 0.05, 0.0]))
    assert not far.is_drawn.any()
    assert float(far.loss) == 0
    lost = dataclasses.replace(people, head_scale=torch.full((1, 3), torch.nan))
    assert not loss_of(scene, lost).is_drawn.any()


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"l1": -1.0}, "l1: expected a weight of 0 or more, got -1.0"),
        ({"l1": 0.0, "perceptual": 0.0}, "no picture would be compared"),
        ({"outline": 1.5}, "outline: expected a weight from 0 to 1, got 1.5"),
    ],
)
def test_settings_out_of_range_are_refused(stated, said):
    with pytest.raises(ValueError, match=said):
        PhotometricConfig(**stated)
