import torch

from model.renderer.sampling import sample


def test_values_are_those_of_the_places_and_beyond_the_edge_what_is_asked_for():
    y, x = torch.meshgrid(torch.arange(4) + 0.5, torch.arange(6) + 0.5, indexing="ij")
    picture = torch.stack([x, y])[None]
    places = torch.tensor([[[0.5, 0.5], [2.25, 3.5], [5.5, 1.75]]])
    torch.testing.assert_close(sample(picture, places), places)
    outside = torch.tensor([[[9.0, 2.0], [-3.0, 2.0]]])
    assert not sample(picture, outside).any()
    torch.testing.assert_close(sample(picture, outside, "border"), torch.tensor([[[5.5, 2.0], [0.5, 2.0]]]))


def test_pictures_do_not_show_each_other():
    pictures = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)])
    found = sample(pictures, torch.full((2, 3, 2), 2.0))
    torch.testing.assert_close(found[:, :, 0], torch.tensor([[0.0], [1.0]]).expand(2, 3))
