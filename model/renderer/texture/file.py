"""A texture renderer as the bytes of a file (``model.tensor_file``) that says what it is.

The file has nothing of the body but the number of its vertices and a hash of its faces: who reads it brings the body.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from model.renderer.sites import Sites, topology
from model.renderer.texture.light import NUM_TERMS
from model.renderer.texture.renderer import TextureRenderer
from model.renderer.texture.texture import Texture
from model.tensor_file import pack, read_metadata, unpack
from model.weights import load_into

FORMAT = "texture-renderer/1"
"""Says that a file is a texture renderer, and the version of names and metadata."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RendererMeta:
    """What a renderer's file says about it."""

    body_model: Mapping[str, Any]
    """What states the body that it draws."""
    learnt_from: Mapping[str, Any] = field(default_factory=dict)
    """Whom and what it was learnt from, plain values."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Held-out figures, plain finite values."""
    code_version: str = ""
    """Version of this package that wrote it."""
    num_sites: int = 0
    """S."""
    num_directions: int = 0
    """K."""
    topology: str = ""
    """Hash of the body's faces."""
    format: str = FORMAT
    """Kind and version of the file."""


def save_renderer(renderer: TextureRenderer, meta: RendererMeta) -> bytes:
    """A renderer and its metadata as the bytes of a file; sizes and topology are stated as they are.

    Raises:
        ValueError: The metadata is not plain.
    """
    num_directions, num_sites, _ = renderer.texture.directions.shape
    stated = dataclasses.replace(
        meta, num_sites=num_sites, num_directions=num_directions, topology=renderer.topology, format=FORMAT
    )
    return pack(renderer.state_dict(), dataclasses.asdict(stated))


def load_renderer(
    data: bytes, faces: Tensor, num_vertices: int, *, source: str
) -> tuple[TextureRenderer, RendererMeta]:
    """The renderer in a file, on the CPU, and what the file says about it.

    Args:
        data: The bytes of the file.
        faces: (F, 3) of the body that is to be drawn.
        num_vertices: V of that body.
        source: What to call the file in an error.

    Raises:
        ValueError: Not a texture renderer's file, one of another body, or its tensors are not those it speaks of.
    """
    tensors, metadata = unpack(data, source)
    meta = read_metadata(RendererMeta, metadata, FORMAT, source)
    if meta.topology != topology(faces, num_vertices):
        raise ValueError(
            f"renderer {source} was learnt on the mesh of {meta.body_model.get('name')}, the body to draw has another "
            f"({num_vertices} vertices, {len(faces)} faces): draw that body, or learn a renderer for this one"
        )
    number, shape = meta.num_sites, (meta.num_directions, meta.num_sites, 3)
    found = tensors.get("texture.directions")
    if found is None or found.shape != shape:
        what = "none" if found is None else f"those of shape {tuple(found.shape)}"
        raise ValueError(f"renderer {source} speaks of directions of shape {shape} and has {what}; get the file again")
    ids, places = torch.zeros(number, dtype=torch.int64), torch.zeros(number, 3)
    sites = Sites(ids, places, torch.zeros(number), faces[ids])
    directions, light = torch.zeros(meta.num_directions, number, 3), torch.zeros(NUM_TERMS, NUM_TERMS)
    texture = Texture(places, directions, torch.zeros(num_vertices), light[0], light)
    renderer = load_into(TextureRenderer(faces, sites, texture), tensors, path=source)
    face = renderer.sites.face
    if not ((face >= 0) & (face < len(faces))).all():
        raise ValueError(f"renderer {source} has sites on faces that the body does not have; get the file again")
    renderer.sites.corners = faces[face].T.contiguous()
    return renderer.eval(), meta
