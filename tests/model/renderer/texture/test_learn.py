import pytest
import torch
from texture_renderers import ball_renderer, looks

from model.renderer.texture.learn import Principal, Rows, adapt, light_of_people, principal_directions, unlit


def people(number, seed=0):
    """Colours of people of a known texture, and their coefficients."""
    texture = ball_renderer().texture
    coefficients = torch.randn(number, 4, generator=torch.Generator().manual_seed(seed)).clamp(-1.5, 1.5)
    return (255 * texture.surface(coefficients)).round().to(torch.uint8), texture


def left_over(known: Principal, colours):
    """Root mean square of what the directions do not say of people all of whom is seen."""
    flat, apart = known.directions.flatten(1), (colours.float() / 255 - known.mean).flatten(1)
    said = torch.linalg.lstsq(flat.T, apart.T).solution.T @ flat
    return float((apart - said).square().mean().sqrt())


def test_directions_of_full_rows_are_the_principal_ones():
    colours, _ = people(60)
    found = principal_directions(colours, 4)
    apart = colours.double().flatten(1) / 255 - colours.double().flatten(1).mean(0) / 255
    sizes = torch.linalg.svdvals(apart)[:4] / 60**0.5
    torch.testing.assert_close(found.directions.flatten(1).norm(dim=1).double(), sizes, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.mean.flatten().double(), colours.double().flatten(1).mean(0) / 255)
    assert left_over(found, people(20, seed=1)[0]) < 0.004  # the colours have 8 bits


def test_directions_that_nobody_shows_whole_are_found():
    colours, _ = people(80)
    random = torch.Generator().manual_seed(2)
    weight = 255 * (torch.rand(colours.shape[:2], generator=random) < 0.5).to(torch.uint8)
    hidden = torch.where(weight[..., None] > 0, colours, 0)
    start = Principal(torch.full(colours.shape[1:], 0.5), 0.05 * torch.randn(4, *colours.shape[1:], generator=random))
    others = people(20, seed=1)[0]
    found = adapt(start, Rows(hidden, weight), rounds=25)
    assert left_over(found, others) < 0.1 * left_over(start, others)
    flat = found.directions.flatten(1)
    gram = flat @ flat.T
    torch.testing.assert_close(gram, torch.diag(gram.diagonal()), atol=1e-3 * float(gram.max()), rtol=0)


def test_what_nobody_shows_stays_as_it_was():
    colours, texture = people(40)
    weight = torch.full(colours.shape[:2], 255, dtype=torch.uint8)
    weight[:, :30] = 0
    start = Principal(texture.mean, texture.directions)
    found = adapt(start, Rows(colours, weight), rounds=1)
    own, others = ((known.mean[:30], known.directions[:, :30]) for known in (start, found))
    space = torch.cat([own[0][None], own[1]]).flatten(1)
    again = torch.cat([others[0][None], others[1]]).flatten(1)
    said = torch.linalg.lstsq(space.T, again.T).solution.T @ space
    torch.testing.assert_close(said, again, atol=1e-4, rtol=0)  # turned and scaled with the coefficients, not changed


def test_few_people_change_colours_but_do_not_tell_how_people_vary():
    colours, texture = people(3)
    shifted = (colours.float() + 20).clamp(max=255).to(torch.uint8)
    found = adapt(Principal(texture.mean, texture.directions), Rows(shifted, torch.full(colours.shape[:2], 255).byte()))
    start = Principal(texture.mean, texture.directions)
    assert left_over(found, shifted) < 0.5 * left_over(start, shifted)
    lengths = [each.directions.flatten(1).norm(dim=1) for each in (start, found)]
    assert (lengths[1] > 0.5 * lengths[0]).all()


def test_more_directions_than_people_are_refused():
    with pytest.raises(ValueError, match="expected 1 to 3 directions of 4 people, got 4"):
        principal_directions(people(4)[0], 4)


def test_colours_of_the_surface_are_found_without_the_light():
    texture = ball_renderer().texture
    normals = torch.nn.functional.normalize(torch.randn(2, len(texture.mean), 3), dim=-1)
    truth = looks(2)
    rows, found = unlit(texture, texture.colours(truth, normals), torch.ones(2, len(texture.mean)), normals)
    is_known = rows.weight > 100
    wanted = 255 * texture.surface(truth.coefficients)
    assert is_known.float().mean() > 0.5
    assert (rows.colours.float() - wanted)[is_known].abs().mean() < 4
    torch.testing.assert_close(found.light, truth.light, atol=0.05, rtol=0)


def test_light_of_people_is_its_mean_and_spread():
    factor = torch.tril(torch.rand(9, 9, generator=torch.Generator().manual_seed(0)))
    lights = 0.5 + torch.randn(20_000, 9, generator=torch.Generator().manual_seed(1)) @ factor.T
    mean, found = light_of_people(lights)
    torch.testing.assert_close(mean, torch.full((9,), 0.5), atol=0.05, rtol=0)
    torch.testing.assert_close(found @ found.T, factor @ factor.T, atol=0.1, rtol=0.05)
