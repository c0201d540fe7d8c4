"""Rendered people as a texture is learnt from them, and what of them it is measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.body.assets import EhmAssets
from model.body.ehms import EHMs
from model.imaging.camera import Camera
from model.renderer.people import RestShape
from model.renderer.sites import Sites
from model.renderer.texture.learn import light_of_people, principal_directions
from model.renderer.texture.light import light_terms
from model.renderer.texture.texture import Texture
from tasks.display import Display
from tasks.synthetic.frames import Frame, render_frames, true_looks
from tasks.training.renderer.settings import RenderedPeopleConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedPeople:
    """What is known of P people."""

    surface: Tensor
    """(P, S, 3) uint8, colours without light."""
    offset_m: Tensor
    """(V,) mean of what clothes and hair add."""
    lights: Tensor
    """(P, 9) as ``model.renderer.texture.light`` has them."""

    def texture(self, directions: int) -> Texture:
        """The texture of these people.

        Raises:
            ValueError: There are no more people than directions.
        """
        known = principal_directions(self.surface, directions)
        return Texture(known.mean, known.directions, self.offset_m, *light_of_people(self.lights))


def rendered_people(config: RenderedPeopleConfig, assets: EhmAssets, sites: Sites, display: Display) -> RenderedPeople:
    """The people to learn from; everything random comes from the seed."""
    rest, faces = RestShape.from_assets(assets), np.asarray(assets.smplx.faces)
    face, weights = sites.face.numpy(), sites.weights.numpy()
    surface = torch.empty(config.train, len(sites), 3, dtype=torch.uint8)
    offsets, lights = torch.zeros(assets.smplx.num_vertices), []
    for index in range(config.train):
        looks = true_looks(index, seed=config.seed, face=face, weights=weights, faces=faces, rest=rest)
        surface[index] = torch.from_numpy(looks.surface)
        offsets += torch.from_numpy(looks.offset_m) / config.train
        lights.append(light_of(*map(torch.from_numpy, (looks.surface, looks.lit, looks.normals))))
        display.show("people to learn from", index + 1, config.train, "", None)
    return RenderedPeople(surface=surface, offset_m=offsets, lights=torch.stack(lights))


def light_of(surface: Tensor, lit: Tensor, normals: Tensor) -> Tensor:
    """The light (9,) that makes colours of a surface (S, 3) what is seen of them (S, 3), both 0..255; least squares."""
    colours = surface.double()
    terms = light_terms(normals.double())
    squares = colours.square().sum(1, keepdim=True)
    brightness = (colours * lit.double()).sum(1, keepdim=True)
    return torch.linalg.solve(terms.T @ (terms * squares), (terms * brightness).sum(0)).float()


def held_out_pairs(config: RenderedPeopleConfig, body: EHMs, display: Display) -> list[tuple[Frame, Frame]]:
    """Two pictures of each person that is held out."""
    rest = RestShape.from_assets(body.assets)
    pairs = []
    for index in range(config.held_out):
        first, second = render_frames(
            index, 2, seed=config.seed + 1, size_px=config.image_px, crop_shares=config.crop_shares, ehm=body, rest=rest
        )
        pairs.append((first, second))
        display.show("people held out", index + 1, config.held_out, "", None)
    return pairs


def camera_of(frame: Frame) -> Camera:
    """That of one frame, as a batch of one."""
    return Camera(
        focal_px=torch.tensor([frame.focal_px], dtype=torch.float32),
        principal_px=torch.from_numpy(frame.principal_px).float()[None],
    )
