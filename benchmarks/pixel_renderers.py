"""Renderers that the benchmark of the refinement by pixels and its tests draw people with."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from benchmarks.pixel_people import look_of, open_ehm, open_rest
from fitting.picture_parts import PicturePart
from model.renderer.people import Appearance, paint, sample_appearance
from model.renderer.raster import Raster
from model.renderer.sites import Sites
from model.renderer.texture.renderer import TextureRenderer
from model.renderer.texture.texture import Texture
from tasks.synthetic.frames import true_looks
from tasks.synthetic.person import RenderedPerson
from tasks.training.renderer.people import RenderedPeople, light_of

SPACING_M = 0.012
"""Longest edge of a piece of the surface with a colour of its own."""
LEARNT_FROM = 99
"""Seed of the people that the renderer is learnt from."""


def learn_renderer(
    count: int, directions: int, keep: Callable[[Appearance], bool] | None = None, spacing_m: float = SPACING_M
) -> TextureRenderer:
    """A renderer of head and hands, learnt as the product's from the looks of so many people; `keep` chooses whose."""
    rest, assets = open_rest(), open_ehm().assets
    faces = np.asarray(assets.smplx.faces)
    middles = rest.points_m[faces].mean(1)
    near = (middles[:, 1] > rest.joints_m["neck"][1] - 0.06) | (
        np.abs(middles[:, 0]) > rest.joints_m["left_elbow"][0] + 0.06
    )
    ids = torch.from_numpy(faces).long()
    spacing = torch.from_numpy(np.where(near, spacing_m, 0.0)).float()
    sites = Sites.spread(ids, torch.from_numpy(rest.points_m).float(), spacing)
    place = {"face": sites.face.numpy(), "weights": sites.weights.numpy(), "faces": faces, "rest": rest}
    chosen = (index for index in itertools.count() if keep is None or keep(_appearance_of(index)))
    looks = [true_looks(index, seed=LEARNT_FROM, **place) for index in itertools.islice(chosen, count)]
    people = RenderedPeople(
        surface=torch.stack([torch.from_numpy(one.surface) for one in looks]),
        offset_m=torch.from_numpy(np.mean([one.offset_m for one in looks], axis=0)),
        lights=torch.stack([light_of(*map(torch.from_numpy, (one.surface, one.lit, one.normals))) for one in looks]),
    )
    return TextureRenderer(ids, sites, people.texture(directions))


def _appearance_of(index: int) -> Appearance:
    """What `tasks.synthetic.frames.true_looks` draws first."""
    return sample_appearance(np.random.default_rng([LEARNT_FROM, index]))


def in_true_colours(people: list[RenderedPerson], seed: int, renderer: TextureRenderer) -> list[TextureRenderer]:
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
