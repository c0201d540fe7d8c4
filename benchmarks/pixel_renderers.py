"""Renderers that the benchmark of the refinement by pixels and its tests draw people with."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from benchmarks.pixel_people import look_of, open_ehm, open_rest
from fitting.picture_parts import PicturePart
from model.renderer.people import Appearance, dress, light_person, paint, sample_appearance
from model.renderer.raster import Raster, vertex_normals
from model.renderer.sites import Sites
from model.renderer.texture.light import light_terms
from model.renderer.texture.renderer import TextureRenderer
from model.renderer.texture.texture import Texture
from tasks.synthetic.person import RenderedPerson
from tasks.synthetic.pose import FACING_CAMERA

SPACING_M = 0.012
"""Longest edge of a piece of the surface with a colour of its own."""
LEARNT_FROM = 99
"""Seed of the people that the renderer is learnt from."""


def learn_renderer(
    count: int, directions: int, keep: Callable[[Appearance], bool] | None = None, spacing_m: float = SPACING_M
) -> TextureRenderer:
    """A renderer of head and hands, from the looks of so many people; `keep` chooses whose."""
    rest, assets = open_rest(), open_ehm().assets
    faces = np.asarray(assets.smplx.faces)
    middles = rest.points_m[faces].mean(1)
    near = (middles[:, 1] > rest.joints_m["neck"][1] - 0.06) | (
        np.abs(middles[:, 0]) > rest.joints_m["left_elbow"][0] + 0.06
    )
    ids = torch.from_numpy(faces).long()
    spacing = torch.from_numpy(np.where(near, spacing_m, 0.0)).float()
    sites = Sites.spread(ids, torch.from_numpy(rest.points_m).float(), spacing)
    points = _points(sites)
    bare = rest.points_m @ FACING_CAMERA.as_matrix().T
    surfaces, offsets, lights = [], np.zeros(len(bare)), []
    rng = np.random.default_rng(LEARNT_FROM)
    while len(surfaces) < count:
        look = sample_appearance(rng)
        light, ambient = tuple(rng.normal([-0.3, -0.8, -0.8], [0.7, 0.3, 0.3])), float(rng.uniform(0.42, 0.65))
        if keep is not None and not keep(look):
            continue
        dressed = dress(bare, faces, look, rest)
        offsets += np.linalg.norm(dressed - bare, axis=1) / count
        surface = paint(look, rest, points, faces)
        lit = light_person(look, rest, dressed, faces, points, light, ambient)
        surfaces.append(torch.from_numpy(surface.astype(np.float32) / 255))
        normals = torch.from_numpy(vertex_normals(dressed, faces)).float()[None]
        terms = light_terms(torch.nn.functional.normalize(sites.at(normals)[0], dim=-1))
        colours, seen = surfaces[-1], torch.from_numpy(lit.astype(np.float32) / 255)
        squares = colours.square().sum(1, keepdim=True)
        lights.append(torch.linalg.solve(terms.T @ (terms * squares), terms.T @ (colours * seen).sum(1)))
    rows = torch.stack(surfaces).flatten(1)
    mean = rows.mean(0)
    _, lengths, ways = torch.linalg.svd(rows - mean, full_matrices=False)
    found = (ways[:directions] * (lengths[:directions, None] / math.sqrt(count))).view(directions, -1, 3)
    light = torch.stack(lights)
    spread = torch.linalg.cholesky(torch.cov(light.T) + 1e-5 * torch.eye(light.shape[1]))
    texture = Texture(mean.view(-1, 3), found, torch.from_numpy(offsets).float(), light.mean(0), spread)
    return TextureRenderer(ids, sites, texture)


def true_looks(people: list[RenderedPerson], seed: int, renderer: TextureRenderer) -> list[TextureRenderer]:
    """The renderer with the colours that each of the first people of `close_ups` has, up to the white balance."""
    faces = np.asarray(open_ehm().assets.smplx.faces)
    found = []
    for index, one in enumerate(people):
        look = look_of(one.scene["crop"], seed, index)
        surface = torch.from_numpy(paint(look, open_rest(), _points(renderer.sites), faces).astype(np.float32) / 255)
        texture = renderer.texture
        # What a camera's white balance makes of them.
        balance = 0.05 * surface * torch.eye(3)[:, None]
        own = Texture(surface, balance, texture.offset_m, texture.light_mean, texture.light_factor)
        found.append(TextureRenderer(renderer.normals.corners.T, renderer.sites, own))
    return found


def without_shape(part: PicturePart) -> PicturePart:
    """The part, with a face shape that does not step: without keypoints, shape and scale of a head say the same."""
    layout, groups = part.body.layout, part.body.num_groups
    start = layout.coefficients.start + groups[0] + groups[1]
    shape = (part.columns >= start) & (part.columns < start + groups[2])
    return replace(part, columns=part.columns[~shape])


def _points(sites: Sites) -> Raster:
    """Sites as what is painted."""
    face, weights = sites.face.numpy()[None].astype(np.int32), sites.weights.numpy()[None]
    return Raster(face, weights, np.ones((1, len(sites)), np.float32))
