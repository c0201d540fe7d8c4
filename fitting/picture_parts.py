"""The parts of a person that are drawn and compared with a photo: the head and the hands.

Legend: B people, M vertices of a part, S its sites, K directions of looks, P unknowns.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from fitting.pixel_settings import PartPixels, PixelConfig
from fitting.result import parameters_of
from fitting.sparse_body import SparseBody
from fitting.unknowns import BODY, JAW, POSITION, State
from model.batches import map_tensors
from model.body import skeleton
from model.body.ehms import EHMs
from model.renderer.texture.light import light_terms
from model.renderer.texture.renderer import TextureRenderer
from model.renderer.texture.texture import Texture

PARTS = ("left_hand", "right_hand", "head")
"""In the order of all tensors (B, 3)."""
KEYPOINTS = (skeleton.LEFT_HAND, skeleton.RIGHT_HAND, skeleton.FACE)
"""Of the 133, those of each part."""
_NEAR_WEIGHT = 0.02
"""Skin weight of the part's joints from which on a vertex is drawn with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PicturePart:
    """One part: how it is drawn, and what it is refined by."""

    number: int
    """Its place among `PARTS`."""
    body: SparseBody
    """Tables of the body that is refined, whose eyelids step."""
    ehm: EHMs
    """The same body as a mesh."""
    renderer: TextureRenderer
    """Draws the part."""
    vertex_ids: Tensor
    """(M,) the vertices of the whole mesh that it takes."""
    framed: Tensor
    """(F,) those that its picture frames."""
    columns: Tensor
    """(P,) places in a step of the unknowns that its picture refines."""
    settings: PartPixels
    """How its picture counts."""
    robust: float
    """Difference of colour from which on a pixel counts less."""

    @property
    def num_looks(self) -> int:
        """K: directions of the texture, then those of the light."""
        texture = self.renderer.texture
        return len(texture.directions) + len(texture.light_mean)

    def vertices(self, state: State) -> Tensor:
        """(B, M, 3) in the camera frame."""
        return self.mesh(state)[:, self.vertex_ids]

    def mesh(self, state: State) -> Tensor:
        """(B, V, 3) all vertices of the body."""
        return self.ehm(parameters_of(self.body, state)).vertices

    def surface(self, looks: Tensor) -> Tensor:
        """Looks (K,) -> colours of the surface (S, 3), linear in them."""
        texture = self.renderer.texture
        return texture.mean + torch.einsum("k,ksc->sc", looks[: len(texture.directions)], texture.directions)

    def light(self, looks: Tensor) -> Tensor:
        """Looks (K,) -> weights of the terms of the light (9,)."""
        texture = self.renderer.texture
        return texture.light_mean + texture.light_factor @ looks[len(texture.directions) :]

    def brightness(self, vertices_m: Tensor, light: Tensor) -> Tensor:
        """Of the vertices (B, M, 3) in a light (9,): (B, M)."""
        return light_terms(self.renderer.normals(vertices_m)) @ light

    def colours(self, vertices_m: Tensor, looks: Tensor) -> tuple[Tensor, Tensor]:
        """Colours (S, 3) of a posed part (1, M, 3) with looks (K,), and what a change of each adds (S, K, 3)."""
        texture = self.renderer.texture
        terms = light_terms(self.renderer.site_normals(vertices_m)[0])
        surface, bright = self.surface(looks), (terms @ self.light(looks))[:, None]
        of_surface = (texture.directions * bright).transpose(0, 1)
        of_light = (terms @ texture.light_factor)[..., None] * surface[:, None]
        return surface * bright, torch.cat([of_surface, of_light], 1)


def one_by_one(state: State) -> Iterator[State]:
    """States of one person each: what is done with them does not depend, in the last bit, on who else is there."""
    for k in range(len(state.position)):
        yield map_tensors(state, lambda value, k=k: value[k : k + 1])


def picture_parts(
    body: SparseBody, ehm: EHMs, renderer: TextureRenderer, config: PixelConfig
) -> tuple[PicturePart, PicturePart, PicturePart]:
    """The parts, in the order of `PARTS`.

    Args:
        body: tables of the body that is refined.
        ehm: the same body as a mesh.
        renderer: draws the whole body.
        config: settings.

    Raises:
        ValueError: The renderer draws the mesh of another body.
    """
    skin = torch.as_tensor(ehm.assets.smplx.skin_weights)
    if len(skin) != renderer.num_vertices:
        raise ValueError(
            f"the renderer draws a mesh of {renderer.num_vertices} vertices, the body has {len(skin)}: "
            "use the renderer that was learnt for this body"
        )
    body = body.with_eyelids()
    layout, betas = body.layout, body.num_groups[0]
    of_face = range(layout.coefficients.start + betas, layout.coefficients.start + sum(body.num_groups[:3]))
    # Of a hand, whose size is held, the picture tells the distance; of a head it would look like the head scale.
    x, y, depth = range(POSITION.start, POSITION.stop)
    head_joints = (skeleton.NECK, *skeleton.SMPLX_HEAD_JOINTS)
    turning = {
        "head": (*_turns(skeleton.NECK), *_turns(skeleton.HEAD), *range(JAW.start, JAW.stop)),
        "left_hand": _turns(skeleton.WRISTS[0]),
        "right_hand": _turns(skeleton.WRISTS[1]),
    }
    joints = {
        "head": head_joints,
        "left_hand": (skeleton.WRISTS[0], *_joints(skeleton.SMPLX_LEFT_HAND)),
        "right_hand": (skeleton.WRISTS[1], *_joints(skeleton.SMPLX_RIGHT_HAND)),
    }
    own = {
        "head": (*of_face, *range(layout.log_head_scale.start, layout.eyelids.stop)),
        "left_hand": (depth, *range(layout.hand(0).start, layout.hand(0).stop)),
        "right_hand": (depth, *range(layout.hand(1).start, layout.hand(1).stop)),
    }
    shorter = _with_directions(renderer, config.num_directions)

    def part(number: int, name: str) -> PicturePart:
        near = skin[:, list(joints[name])].sum(1)
        drawn, ids = shorter.part(renderer.sites.within(near > _NEAR_WEIGHT))
        settings = config.head if name == "head" else config.hand
        framed = joints[name][1:]
        return PicturePart(
            number=number,
            body=body,
            ehm=ehm,
            renderer=drawn,
            vertex_ids=ids,
            framed=torch.nonzero(skin[:, list(framed)].sum(1) > 0.5).squeeze(1),
            columns=torch.tensor([x, y, *turning[name], *own[name]]),
            settings=settings,
            robust=config.robust,
        )

    first, second, third = (part(number, name) for number, name in enumerate(PARTS))
    return first, second, third


def _with_directions(renderer: TextureRenderer, number: int) -> TextureRenderer:
    """The same renderer with the first directions of its texture."""
    texture = renderer.texture
    shorter = Texture(
        texture.mean, texture.directions[:number], texture.offset_m, texture.light_mean, texture.light_factor
    )
    return TextureRenderer(renderer.normals.corners.T, renderer.sites, shorter)


def _turns(joint: int) -> range:
    """Places of a body joint's turn in a step."""
    start = BODY.start + 3 * (joint - 1)
    return range(start, start + 3)


def _joints(joints: slice) -> range:
    return range(joints.start, joints.stop)
