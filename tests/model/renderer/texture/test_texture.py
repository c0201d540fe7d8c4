import pytest
import torch
from texture_renderers import ball_renderer

from model.renderer.texture.texture import RIDGE, Texture


@pytest.fixture(scope="module")
def texture():
    return ball_renderer().texture


def seen_half(texture, batch):
    weight = torch.ones(batch, len(texture.mean))
    weight[:, ::2] = 0.0
    return weight


def test_colours_in_the_space_of_the_texture_are_found_back_from_half_of_the_sites(texture):
    coefficients = torch.tensor([[0.9, -0.4, 0.2, -0.8], [0.0, 0.5, -1.0, 0.3]])
    colours = texture.colours(coefficients)
    weight = seen_half(texture, 2)
    found = texture.fit(torch.where(weight[..., None] > 0, colours, torch.nan), weight)
    power = texture.directions.square().mean() * 3
    torch.testing.assert_close(found, coefficients, atol=float(3 * RIDGE / power), rtol=0)
    torch.testing.assert_close(texture.colours(found), colours, atol=2e-3, rtol=0)


def test_patterns_that_no_texture_has_pull_little(texture):
    coefficients = torch.tensor([[0.9, -0.4, 0.2, -0.8]])
    colours = texture.colours(coefficients)
    spoilt = colours.clone()
    spoilt[:, 1 : len(texture.mean) // 3 : 2] = 1.0
    weight = seen_half(texture, 1)
    error = (texture.colours(texture.fit(spoilt, weight)) - colours).abs().mean()
    assert error < 0.25 * (spoilt - colours).abs().mean()


def test_people_do_not_share_what_is_found(texture):
    colours = torch.rand(3, len(texture.mean), 3)
    weight = seen_half(texture, 3)
    torch.testing.assert_close(texture.fit(colours, weight)[1:2], texture.fit(colours[1:2], weight[1:2]))


def test_nobody_seen_is_the_mean(texture):
    found = texture.fit(torch.full((1, len(texture.mean), 3), torch.nan), torch.zeros(1, len(texture.mean)))
    assert torch.equal(found, torch.zeros(1, len(texture.directions)))
    torch.testing.assert_close(texture.colours(found)[0], texture.mean)


def test_what_is_no_texture_is_refused(texture):
    with pytest.raises(ValueError, match=r"mean \(S, 3\), .* got \(5, 3\), \(2, 6, 3\) and \(4,\)"):
        Texture(torch.zeros(5, 3), torch.zeros(2, 6, 3), torch.zeros(4))
    with pytest.raises(ValueError, match="a finite directions of the texture, got nan"):
        Texture(torch.zeros(5, 3), torch.full((2, 5, 3), torch.nan), torch.zeros(4))
