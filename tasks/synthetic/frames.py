"""Frames of one rendered person: other poses and views, the same shape, looks and light, on black.

And the truth about looks: the colour of the surface at points of the mesh.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from model.body.ehms import EHMs
from model.renderer.people import RestShape, dress, light_person, paint, sample_appearance
from model.renderer.raster import Raster, vertex_normals
from tasks.synthetic.person import draw_layer, frame_person, pose_person, sample_light
from tasks.synthetic.pose import CROPS, FACING_CAMERA, SHAPE, sample_person


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One picture of a person, side by side with the truth."""

    rgb: np.ndarray
    """(H, W, 3) float32, 0..1, black where the person is not."""
    coverage: np.ndarray
    """(H, W) float32, 0..1."""
    vertices_m: np.ndarray
    """(V, 3) float32, the body without clothes, camera frame."""
    focal_px: float
    principal_px: np.ndarray
    """(2,)."""


def render_frames(
    index: int,
    count: int,
    *,
    seed: int,
    size_px: int,
    crop_shares: tuple[float, ...],
    ehm: EHMs,
    rest: RestShape,
    supersample: int = 2,
) -> list[Frame]:
    """Frames of person ``index``, all of one crop: everything random comes from (seed, index)."""
    rng = np.random.default_rng([seed, index])
    first = sample_person(rng, rest.joints_m, crop_shares)
    look, light = sample_appearance(rng), sample_light(rng)
    shape = {name: first.parameters[name] for name in SHAPE}
    alone = tuple(float(crop == first.crop) for crop in CROPS)
    frames = []
    for number in range(count):
        other = sample_person(rng, rest.joints_m, alone) if number else first
        person = dataclasses.replace(other, parameters={**other.parameters, **shape})
        size_hw = (size_px, size_px)
        focal, principal, transl = frame_person(person, rng, size_hw, ehm, rest)
        body = pose_person(ehm, person, transl)
        _, layer = draw_layer(body, look, light, focal, principal, size_hw, supersample, ehm, rest)
        frames.append(
            Frame(
                rgb=layer[..., :3] / 255.0,
                coverage=layer[..., 3],
                vertices_m=body.vertices[0].numpy(),
                focal_px=focal,
                principal_px=principal,
            )
        )
    return frames


@dataclass(frozen=True, kw_only=True, slots=True)
class TrueLooks:
    """Looks of a person at points of the mesh, as they are at rest, facing the camera."""

    surface: np.ndarray
    """(S, 3) uint8, the colour without any light."""
    lit: np.ndarray
    """(S, 3) uint8, with the light."""
    normals: np.ndarray
    """(S, 3) float32, unit, camera frame."""
    offset_m: np.ndarray
    """(V,) float32, how far clothes and hair lie off the vertices."""


def true_looks(
    index: int, *, seed: int, face: np.ndarray, weights: np.ndarray, faces: np.ndarray, rest: RestShape
) -> TrueLooks:
    """Looks of person ``index``, without a shape or a pose: everything random comes from (seed, index).

    Args:
        index: Which person.
        seed: Of the people.
        face: (S,) face on which each point lies.
        weights: (S, 3) its place there, barycentric.
        faces: (F, 3) of the body.
        rest: The body.
    """
    rng = np.random.default_rng([seed, index])
    look, light = sample_appearance(rng), sample_light(rng)
    points = Raster(face[None].astype(np.int32), weights[None].astype(np.float32), np.ones((1, len(face)), np.float32))
    bare = rest.points_m @ FACING_CAMERA.as_matrix().T
    dressed = dress(bare, faces, look, rest)
    normals = np.einsum("skc,sk->sc", vertex_normals(dressed, faces)[faces[face]], weights)
    lit = light_person(look, rest, dressed, faces, points, light.towards, light.ambient)
    return TrueLooks(
        surface=np.round(paint(look, rest, points, faces)).astype(np.uint8),
        lit=np.round(lit).astype(np.uint8),
        normals=(normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32),
        offset_m=np.linalg.norm(dressed - bare, axis=1).astype(np.float32),
    )
