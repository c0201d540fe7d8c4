"""The whole renderer, tiny: from a picture to a person to a picture."""

import dataclasses

import pytest
import torch
from guava_scene import TINY, blended_turns, camera_of, renderer_of, sheet

from model.renderer.guava.config import GuavaConfig
from model.renderer.guava.decoders import direction_features
from model.renderer.guava.renderer import GuavaRenderer
from model.renderer.guava.style_unet import StyleUNet
from model.rotations import rotvec_to_rotmat


@pytest.fixture(scope="module")
def renderer():
    return renderer_of()


@pytest.fixture(scope="module")
def picture():
    return torch.rand(1, 3, 56, 56, generator=torch.Generator().manual_seed(1))


def tensors(appearance):
    return torch.cat([
        tensor.flatten()
        for part in (appearance.vertices, appearance.texels)
        for tensor in (part.colours, part.opacities, part.scales, part.rotations_wxyz)
    ] + [appearance.offsets.flatten()])  # fmt: skip


def test_a_picture_becomes_a_person_becomes_a_picture(renderer, picture):
    vertices, _ = sheet()
    appearance = renderer.appearance(picture, vertices, camera_of())
    assert appearance.texels.colours.shape == (1, int(renderer.uv.used.sum()), TINY.channels)
    drawn = renderer.draw(appearance, vertices, blended_turns(35), camera_of())
    assert drawn.refined.shape == drawn.raw.shape == (1, 3, 32, 32)
    assert bool(((drawn.refined > 0) & (drawn.refined < 1)).all())
    assert bool((drawn.alpha[0, 8:24, 8:24] > 0.5).all())


def test_without_a_generator_the_same_picture_gives_the_same_bits(renderer, picture):
    vertices, _ = sheet()
    with torch.no_grad():
        first, second = (tensors(renderer.appearance(picture, vertices, camera_of())) for _ in range(2))
    assert torch.equal(first, second)


def test_noise_is_that_of_the_generator(renderer, picture):
    vertices, _ = sheet()

    def person(seed):
        noise = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            return tensors(renderer.appearance(picture, vertices, camera_of(), generator=noise))

    assert torch.equal(person(1), person(1))
    assert not torch.equal(person(1), person(2))


def test_people_of_a_batch_do_not_see_each_other(renderer):
    pictures = torch.rand(2, 3, 56, 56, generator=torch.Generator().manual_seed(1))
    vertices = torch.cat([sheet()[0], sheet()[0] + torch.tensor([0.1, 0.0, 0.0])])
    with torch.no_grad():
        both = renderer.appearance(pictures, vertices, camera_of(batch=2))
        alone = renderer.appearance(pictures[1:], vertices[1:], camera_of())
    for name in ("vertices", "texels"):
        for field in ("colours", "scales", "rotations_wxyz"):
            own = getattr(getattr(both, name), field)[1:]
            assert torch.allclose(own, getattr(getattr(alone, name), field), atol=1e-5)


def test_derivatives_reach_every_trained_weight_and_the_pose(renderer, picture):
    vertices = sheet()[0].requires_grad_()
    noise = torch.Generator().manual_seed(0)
    appearance = renderer.appearance(picture, vertices, camera_of(), generator=noise)
    drawn = renderer.draw(appearance, vertices, blended_turns(35), camera_of(), generator=noise)
    (drawn.refined.square().sum() + drawn.raw.square().sum() + 0.1 * appearance.offsets.square().sum()).backward()
    unreached = {name for name, value in renderer.named_parameters() if value.requires_grad and value.grad is None}
    renderer.zero_grad()
    # The coarsest level of the pyramid has no finer one to be joined with; its unit has no use in the published net.
    assert all(name.startswith("dino_encoder.refinenet.0.resConfUnit1.") for name in unreached)
    assert vertices.grad is not None
    assert float(vertices.grad.abs().max()) > 0


def test_the_direction_is_the_third_column_of_the_cameras_rotation():
    turn = rotvec_to_rotmat(torch.tensor([[0.3, -0.8, 0.5]]))
    features = direction_features(turn)
    assert features.shape == (1, 27)
    assert torch.equal(features[:, -3:], turn[:, :, 2])
    assert not torch.allclose(features[:, -3:], turn[:, 2, :], atol=0.1)
    # Sines of x times 1, 2, 4, 8, then those of y.
    assert torch.allclose(features[0, :4], torch.sin(turn[0, 0, 2] * torch.tensor([1.0, 2.0, 4.0, 8.0])))


def test_the_view_changes_the_person(renderer, picture):
    vertices, _ = sheet()
    turn = rotvec_to_rotmat(torch.tensor([[0.3, -0.8, 0.5]]))
    with torch.no_grad():
        front = renderer.appearance(picture, vertices, camera_of())
        aside = renderer.appearance(picture, vertices, camera_of(), rotation_cam_world=turn)
    assert not torch.allclose(tensors(front), tensors(aside))


def test_a_style_from_outside_is_asked_for():
    network = StyleUNet(8, 3, 2, width=4, style=4, takes_style=True)
    with pytest.raises(ValueError, match="takes a style"):
        network(torch.rand(1, 3, 8, 8))


def test_other_bodies_and_pictures_are_told(renderer, picture):
    vertices, faces = sheet()
    with pytest.raises(ValueError, match=r"expected 35 vertices for each of 1 pictures, got \(1, 30, 3\).*guava_body"):
        renderer.appearance(picture, vertices[:, :30], camera_of())
    with pytest.raises(ValueError, match=r"expected images of 56 x 56 px, got \(64, 56\)"):
        renderer.appearance(torch.rand(1, 3, 64, 56), vertices, camera_of())
    with pytest.raises(ValueError, match="expected a UV map of 32 px, got 16"):
        GuavaRenderer(dataclasses.replace(TINY, uv_px=32), faces, renderer.uv)


def test_sides_are_powers_of_two():
    with pytest.raises(ValueError, match="uv_px must be a power of two of at least 8, got 500"):
        GuavaConfig(uv_px=500)
