"""Scenes of Gaussians: random ones, and a body covered with flat ones."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.imaging.camera import Camera
from model.renderer.people import RestShape
from model.renderer.splat.gaussians import Gaussians
from tasks.synthetic.person import pose_person
from tasks.synthetic.pose import CROPS, sample_person
from tasks.synthetic.scene import place_person

FOCAL_SIDES = 1.3
"""Focal length, in sides of the picture."""
SPREAD = 0.6
"""Standard deviation in the plane, in sides of the square of surface that each Gaussian stands for."""
THICKNESS = 0.05
"""Standard deviation along the normal, in those of the plane."""


class Surface(NamedTuple):
    """Triangles before the camera, metres."""

    corners_m: Tensor
    """(F, 3, 3): face, corner, coordinate."""

    def gaussians(self, count: int, channels: int, seed: int = 0) -> Gaussians:
        """Random points, evenly over the surface, with random colours and opacity 0.9."""
        rng = np.random.default_rng(seed)
        a, b, c = self.corners_m.unbind(1)
        normal = torch.linalg.cross(b - a, c - a)
        area = 0.5 * normal.norm(dim=1)
        shares = area.double().numpy()
        face = torch.from_numpy(rng.choice(len(area), count, p=shares / shares.sum()))
        weights = torch.from_numpy(rng.dirichlet((1, 1, 1), count)).float()
        along = torch.nn.functional.normalize(b - a, dim=1)[face]
        out = torch.nn.functional.normalize(normal, dim=1)[face]
        across = torch.linalg.cross(out, along)
        side_m = SPREAD * float((area.sum() / count) ** 0.5)
        return Gaussians(
            centres_m=(weights[:, :, None] * self.corners_m[face]).sum(1)[None],
            factors_m=side_m * torch.stack([along, across, THICKNESS * out], -1)[None],
            colours=torch.from_numpy(rng.random((1, count, channels), np.float32)),
            opacities=torch.full((1, count), 0.9),
        )


def upper_body(seed: int = 7) -> tuple[Surface, Camera]:
    """A random person of the open body, and a camera whose picture, of side 1, the upper half fills."""
    ehms = EHMs(load_open_body()).eval()
    rest = RestShape.from_assets(ehms.assets)
    rng = np.random.default_rng([seed, 3])
    person = sample_person(rng, rest.joints_m, tuple(float(crop == "upper") for crop in CROPS))
    vertices = pose_person(ehms, person, np.zeros(3)).vertices[0].numpy().astype(np.float64)
    above = rest.points_m[:, 1] > rest.joints_m["pelvis"][1]
    transl = place_person(vertices[above], FOCAL_SIDES, np.full(2, 0.5), (1, 1), 0.9, np.zeros(2))
    placed = torch.from_numpy((vertices + transl).astype(np.float32))
    camera = Camera(focal_px=torch.tensor([FOCAL_SIDES]), principal_px=torch.full((1, 2), 0.5))
    return Surface(placed[ehms.faces]), camera


def random_gaussians(count: int, channels: int, seed: int = 0) -> tuple[Gaussians, Camera, tuple[int, int]]:
    """Two pictures of small and large, faint and opaque Gaussians, some outside; camera, height and width; float64."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(2, count, 3, 3)))[0]
    scene = {
        "centres_m": rng.normal([0.0, 0.0, 2.5], [0.8, 0.8, 0.3], (2, count, 3)),
        "factors_m": axes * rng.uniform(0.01, 0.16, (2, count, 1, 3)),
        "colours": rng.random((2, count, channels)),
        "opacities": rng.uniform(0.02, 1.0, (2, count)),
    }
    camera = Camera(
        focal_px=torch.tensor([80.0, 90.0], dtype=torch.float64),
        principal_px=torch.tensor([[45.0, 37.0]] * 2, dtype=torch.float64),
    )
    return Gaussians(**{name: torch.from_numpy(value) for name, value in scene.items()}), camera, (74, 90)
