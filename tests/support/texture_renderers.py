"""A ball that is drawn by a random texture."""

import logging

import numpy as np
import torch
from scipy.spatial import ConvexHull
from torch import Tensor

from model.imaging.camera import Camera
from model.renderer.sites import Sites
from model.renderer.texture.renderer import TextureRenderer
from model.renderer.texture.texture import Looks, Texture
from tasks.display import Lines

CENTRE_M = torch.tensor([0.02, -0.01, 2.0])
SIZE_HW = (72, 80)


def ball(number: int = 400) -> tuple[Tensor, Tensor]:
    """Faces (F, 3), counter-clockwise from outside, and vertices (V, 3) of radius 1."""
    k = np.arange(number) + 0.5
    height, turn = 1 - 2 * k / number, np.pi * (1 + 5**0.5) * k
    points = np.stack([np.sqrt(1 - height**2) * np.cos(turn), np.sqrt(1 - height**2) * np.sin(turn), height], 1)
    faces = ConvexHull(points).simplices.astype(np.int64)
    a, b, c = (points[faces[:, k]] for k in range(3))
    inward = np.einsum("fk,fk->f", np.cross(b - a, c - a), a) < 0
    faces[inward] = faces[inward][:, ::-1]
    return torch.from_numpy(faces), torch.from_numpy(points).float()


def ball_renderer(num_directions: int = 4, offset_m: float = 0.0, seed: int = 0) -> TextureRenderer:
    """Smooth random colours, within 0.2..0.8 for coefficients within -1..1."""
    faces, vertices = ball()
    sites = Sites.spread(faces, vertices, torch.full((len(faces),), 0.1))
    random = torch.Generator().manual_seed(seed)
    places = sites.at(vertices[None])[0]
    waves = [torch.sin(places @ torch.randn(3, 3, generator=random) * 2.0) for _ in range(num_directions + 1)]
    return TextureRenderer(
        faces,
        sites,
        Texture(
            mean=0.5 + 0.1 * waves[0],
            directions=0.2 / num_directions * torch.stack(waves[1:]),
            offset_m=torch.full((len(vertices),), offset_m),
            light_mean=torch.tensor([0.8, -0.1, -0.2, -0.2, 0.0, 0.0, 0.0, 0.0, 0.0]),
            light_factor=0.1 * torch.eye(9),
        ),
    )


def placed(vertices: Tensor, radius_m: float = 0.3) -> Tensor:
    """(1, V, 3) before the camera."""
    return radius_m * vertices[None] + CENTRE_M


def looks(batch: int = 1) -> Looks:
    """Of people who differ from the mean in colour and light."""
    coefficients = torch.tensor([[0.9, -0.4, 0.2, -0.8], [0.0, 0.5, -1.0, 0.3]])[:batch]
    light = torch.tensor([[0.75, -0.3, -0.2, -0.1, 0.05, 0.0, 0.02, 0.0, 0.03], [0.8, 0.2, -0.2] + 6 * [0.0]])[:batch]
    return Looks(coefficients, light)


def camera(batch: int = 1) -> Camera:
    """The ball fills two thirds of the height."""
    return Camera(focal_px=torch.full((batch,), 160.0), principal_px=torch.tensor([[40.0, 36.0]]).repeat(batch, 1))


def quiet() -> Lines:
    """A display that nobody looks at."""
    return Lines(logging.getLogger("quiet"))
