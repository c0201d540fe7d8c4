"""Scenes of Gaussians: random ones, and a body covered with flat ones."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.imaging.camera import Camera
from model.renderer.people import RestShape
from model.renderer.splat.gaussians import Gaussians
from tasks.synthetic.pose import CROPS, sample_person
from tasks.synthetic.scene import place_person

FOCAL_SIDES = 1.3
"""Focal length, in sides of the picture."""
SPREAD = 0.6
"""Standard deviation in the plane, in sides of the square of surface that each Gaussian stands for."""
THICKNESS = 0.05
"""Standard deviation along the normal, in those of the plane."""


class Cloud(NamedTuple):
    """N flat Gaussians that ride on the triangles of a body."""

    corners: Tensor
    """(N, 3) vertex ids of the triangle."""
    weights: Tensor
    """(N, 3) barycentric."""
    side_m: float
    """Standard deviation in the plane."""
    colours: Tensor
    """(1, N, C)."""
    opacities: Tensor
    """(1, N)."""

    def at(self, vertices: Tensor) -> Gaussians:
        """Where a posed body (1, V, 3) takes them."""
        a, b, c = (vertices[0, corner] for corner in self.corners.T)
        along = torch.nn.functional.normalize(b - a, dim=-1)
        out = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
        axes = torch.stack([along, torch.linalg.cross(out, along), THICKNESS * out], -1)
        first, second, third = self.weights.T[..., None]
        return Gaussians(
            centres_m=(first * a + second * b + third * c)[None],
            factors_m=(self.side_m * axes)[None],
            colours=self.colours,
            opacities=self.opacities,
        )

    def to(self, device: torch.device) -> "Cloud":
        """The same on another device."""
        tensors = {name: value.to(device) for name, value in self._asdict().items() if isinstance(value, Tensor)}
        return self._replace(**tensors)


class UpperBody(NamedTuple):
    """A random person of the open body, and a camera whose picture, of side 1, the upper half fills."""

    ehms: EHMs
    person: EhmParameters
    camera: Camera

    @classmethod
    def sample(cls, seed: int = 7) -> "UpperBody":
        """Always the same for a seed."""
        ehms = EHMs(load_open_body()).eval()
        rest = RestShape.from_assets(ehms.assets)
        drawn = sample_person(
            np.random.default_rng([seed, 3]), rest.joints_m, tuple(float(crop == "upper") for crop in CROPS)
        )
        columns = {**drawn.parameters, "transl_m": np.zeros(3, np.float32)}
        person = EhmParameters.from_columns({name: value[None] for name, value in columns.items()})
        with torch.no_grad():
            vertices = ehms(person).vertices[0].double().numpy()
        above = rest.points_m[:, 1] > rest.joints_m["pelvis"][1]
        transl = place_person(vertices[above], FOCAL_SIDES, np.full(2, 0.5), (1, 1), 0.9, np.zeros(2))
        return cls(
            ehms=ehms,
            person=replace(person, transl_m=torch.from_numpy(transl).float()[None]),
            camera=Camera(focal_px=torch.tensor([FOCAL_SIDES]), principal_px=torch.full((1, 2), 0.5)),
        )

    @torch.no_grad()
    def vertices(self) -> Tensor:
        """(1, V, 3), before the camera, metres."""
        return self.ehms(self.person).vertices

    def cloud(self, count: int, channels: int, seed: int = 0) -> Cloud:
        """Random points, evenly over the surface, with random colours and opacity 0.9."""
        rng = np.random.default_rng(seed)
        a, b, c = self.vertices()[0][self.ehms.faces].unbind(1)
        area = 0.5 * torch.linalg.cross(b - a, c - a).norm(dim=1).double().numpy()
        face = rng.choice(len(area), count, p=area / area.sum())
        return Cloud(
            corners=self.ehms.faces[torch.from_numpy(face)],
            weights=torch.from_numpy(rng.dirichlet((1, 1, 1), count)).float(),
            side_m=SPREAD * float((area.sum() / count) ** 0.5),
            colours=torch.from_numpy(rng.random((1, count, channels), np.float32)),
            opacities=torch.full((1, count), 0.9),
        )


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
