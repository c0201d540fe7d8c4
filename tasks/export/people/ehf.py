"""People of EHF's photos as meshes in its own layout: ``<number>_align.ply`` beside ``<number>_img.png``.

Vertices are in the world that its registered meshes are in, metres; the camera is that of its one rig.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

import numpy as np
import torch

from model.rotations import rotvec_to_rotmat
from tasks.export.people.people import People
from tasks.export.people.smplx_mesh import check_smplx, meshes
from tasks.export.people.target import Target

CAMERA_ROTVEC = (-2.98747896, 0.01172457, -0.05704687)
CAMERA_TRANSL_M = (-0.03609917, 0.43416458, 2.37101226)
"""World to camera, axis-angle and metres, as OSX has it for EHF."""
_PHOTO = re.compile(r"(\d+)_img")


def write(batches: Iterable[People], target: Target) -> int:
    """Writes a PLY a person; returns their number.

    Raises:
        ValueError: The body is not SMPL-X's, a photo is not named as those of EHF, or shows two people.
    """
    rotation = rotvec_to_rotmat(torch.tensor(CAMERA_ROTVEC, dtype=torch.float64)).numpy()
    count = 0
    for people in batches:
        check_smplx("ehf", people.body.ehm)
        faces = np.asarray(people.body.ehm.assets.smplx.faces)
        for image, mesh in zip(target.images(people), meshes(people), strict=True):
            found = _PHOTO.fullmatch(PurePosixPath(image).stem)
            if found is None:
                raise ValueError(f"{image}: expected a photo of EHF, <number>_img; ehf is for its photos alone")
            name = f"{found[1]}_align.ply"
            if name in target.exported.files:
                raise ValueError(f"{image} shows two people, those of EHF one; take its annotated boxes")
            target.put(name, encode_ply((mesh - np.array(CAMERA_TRANSL_M)) @ rotation, faces))
            count += 1
    return count


def encode_ply(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """Vertices (V, 3) as float32 and faces (F, 3), binary."""
    head = [
        *("ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"),
        *(f"property float {axis}" for axis in "xyz"),
        *(f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""),
    ]
    rows = np.zeros(len(faces), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    rows["count"], rows["corners"] = 3, faces
    return "\n".join(head).encode() + np.ascontiguousarray(vertices, "<f4").tobytes() + rows.tobytes()
