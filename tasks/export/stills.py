"""People of one photo as files of formats that know motion: a pose of one frame, or meshes that stand still."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from datasets_manifest.schema.columns import Columns
from model.body.ehms import EHMs
from model.renderer.mesh_files import encode_meshes
from tasks.export import bvh
from tasks.export.motion import motion_of_one
from tasks.posing import known_values, pose_bodies

Still = tuple[str, bytes]
"""What stands between the names of the photo and of the format, and the file."""


def bvh_of_each(people: Columns, body: EHMs, licence: str) -> Iterator[Still]:
    """A skeleton in its pose, a file a person."""
    for row, number in enumerate(people["person"].tolist()):
        motion = motion_of_one(people.take(np.array([row])), body_model=body.assets.entry, licence=licence)
        yield f".person{number}", bvh.encode(motion, body)


def glb_of_all(people: Columns, body: EHMs, licence: str) -> Iterator[Still]:
    """The meshes of all people of the photo, as labels have them, in one file: an object a person."""
    vertices = pose_bodies(body, known_values(people)).vertices.numpy()
    names = [f"person {number}" for number in people["person"].tolist()]
    yield "", encode_meshes(vertices, body.assets.smplx.faces, names, copyright=licence)
