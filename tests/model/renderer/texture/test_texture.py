import pytest
import torch
from texture_renderers import ball_renderer, looks

from model.renderer.texture.texture import Looks, Texture


@pytest.fixture(scope="module")
def texture():
    return ball_renderer().texture


@pytest.fixture(scope="module")
def normals(texture):
    random = torch.Generator().manual_seed(3)
    return torch.nn.functional.normalize(torch.randn(3, len(texture.mean), 3, generator=random), dim=-1)


def seen_half(texture, batch):
    weight = torch.ones(batch, len(texture.mean))
    weight[:, ::2] = 0.0
    return weight


def test_looks_in_the_space_of_the_texture_are_found_back_from_half_of_the_sites(texture, normals):
    truth, weight = looks(2), seen_half(texture, 2)
    colours = texture.colours(truth, normals[:2])
    found = texture.fit(torch.where(weight[..., None] > 0, colours, torch.nan), weight, normals[:2])
    torch.testing.assert_close(texture.colours(found, normals[:2]), colours, atol=0.01, rtol=0)
    torch.testing.assert_close(found.coefficients, truth.coefficients, atol=0.1, rtol=0)


def test_the_light_that_is_found_tells_how_a_turned_person_looks(texture, normals):
    truth, turned = looks(1), -normals[:1]
    found = texture.fit(texture.colours(truth, normals[:1]), seen_half(texture, 1), normals[:1])
    wanted = texture.colours(truth, turned)
    error = (texture.colours(found, turned) - wanted).abs().mean()
    assert error < 0.1 * (texture.colours(truth, normals[:1]) - wanted).abs().mean()


def test_patterns_that_no_texture_has_pull_little(texture, normals):
    colours = texture.colours(looks(1), normals[:1])
    spoilt = colours.clone()
    spoilt[:, 1 : len(texture.mean) // 8 : 2] = 1.0
    found = texture.fit(spoilt, seen_half(texture, 1), normals[:1])
    error = (texture.colours(found, normals[:1]) - colours).abs().mean()
    assert error < 0.25 * (spoilt - colours).abs().mean()


def test_people_do_not_share_what_is_found(texture, normals):
    colours, weight = torch.rand(3, len(texture.mean), 3), seen_half(texture, 3)
    together, alone = texture.fit(colours, weight, normals), texture.fit(colours[1:2], weight[1:2], normals[1:2])
    for found, own in zip(together, alone, strict=True):
        torch.testing.assert_close(found[1:2], own)


def test_nobody_seen_has_the_looks_of_the_mean(texture, normals):
    nothing = torch.full((1, len(texture.mean), 3), torch.nan)
    found = texture.fit(nothing, torch.zeros(1, len(texture.mean)), normals[:1])
    assert torch.equal(found.coefficients, torch.zeros(1, len(texture.directions)))
    torch.testing.assert_close(found.light[0], texture.light_mean)


def test_without_a_light_colours_are_seen_as_they_are(texture, normals):
    plain = Texture(texture.mean, texture.directions, texture.offset_m)
    found = plain.fit(plain.surface(looks(1).coefficients), seen_half(texture, 1), normals[:1])
    seen = plain.colours(found, normals[:1])
    torch.testing.assert_close(seen, plain.surface(looks(1).coefficients), atol=0.01, rtol=0)
    torch.testing.assert_close(seen, plain.colours(found, normals[1:2]))


def test_derivatives_of_colours_are_those_of_the_light_on_turned_surfaces(texture, normals):
    small = texture.take(torch.arange(6), torch.arange(4)).double()
    person = Looks(*(tensor.double() for tensor in looks(1)))
    leaf = normals[:1, :6].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda given: small.colours(person, given), (leaf,))


def test_what_is_no_texture_is_refused():
    with pytest.raises(ValueError, match=r"expected the directions of a texture in shape \(2, 5, 3\), got \(2, 6, 3\)"):
        Texture(torch.zeros(5, 3), torch.zeros(2, 6, 3), torch.zeros(4))
    with pytest.raises(ValueError, match="a finite directions of the texture, got nan"):
        Texture(torch.zeros(5, 3), torch.full((2, 5, 3), torch.nan), torch.zeros(4))
    with pytest.raises(ValueError, match=r"expected the light_mean of a texture in shape \(9,\), got \(4,\)"):
        Texture(torch.zeros(5, 3), torch.zeros(2, 5, 3), torch.zeros(4), torch.zeros(4))
