"""The source picture laid into the texture: each texel is given what the picture shows of its place on the mesh.

Legend: B pictures, V vertices, F faces, S side of the texture, T texels on the mesh, C channels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.imaging.camera import Camera, project
from model.renderer.raster import rasterise
from model.renderer.sampling import sample


@dataclass(frozen=True, kw_only=True, slots=True)
class UvMap:
    """Which place of the mesh each texel is."""

    face_ids: Tensor
    """(S, S) int64, -1 where no face lies."""
    weights: Tensor
    """(S, S, 3) of the face's corners."""

    def __post_init__(self) -> None:
        side = self.face_ids.shape[0]
        if self.face_ids.shape != (side, side) or self.weights.shape != (side, side, 3):
            raise ValueError(
                f"expected a UV map of face ids (S, S) and weights (S, S, 3), got {tuple(self.face_ids.shape)} and "
                f"{tuple(self.weights.shape)}"
            )

    @property
    def used(self) -> Tensor:
        """(S, S) bool: which texels lie on the mesh."""
        return self.face_ids >= 0


@torch.no_grad()
def visible_faces(vertices_m: Tensor, faces: Tensor, camera: Camera, side_px: int) -> Tensor:
    """Which faces (B, F) own a pixel of a picture, seen from whichever side."""
    seen = torch.zeros(len(vertices_m), len(faces), dtype=torch.bool)
    for picture, vertices in enumerate(vertices_m.double().cpu().numpy()):
        raster = rasterise(
            vertices,
            faces.cpu().numpy(),
            float(camera.focal_px[picture]),
            camera.principal_px[picture].double().cpu().numpy(),
            (side_px, side_px),
            cull_back=False,
        )
        seen[picture, torch.from_numpy(np.unique(raster.face_id[raster.mask]).astype(np.int64))] = True
    return seen.to(vertices_m.device)


def inverted(
    maps: Tensor, vertices_m: Tensor, faces: Tensor, uv: UvMap, camera: Camera, seen: Tensor | None = None
) -> Tensor:
    """Lays maps of a picture into the texture.

    Args:
        maps: (B, C, H, H) of the picture.
        vertices_m: (B, V, 3) in the frame of the camera.
        faces: (F, 3).
        uv: Of the texture.
        camera: In pixels of these maps.
        seen: (B, F) bool; None: found by drawing the mesh. A face is seen or not as a whole: texels of a face that
            only shows a corner are filled too.

    Returns:
        (B, C, S, S), 0 where no seen face lies.
    """
    side = maps.shape[-1]
    if seen is None:
        seen = visible_faces(vertices_m, faces, camera, side)
    used = uv.used
    ids = uv.face_ids[used]
    places = torch.einsum("tk,btkj->btj", uv.weights[used], vertices_m[:, faces[ids]])
    found = sample(maps, project(places, camera)) * seen[:, ids, None]
    texture = maps.new_zeros(*maps.shape[:2], *used.shape)
    texture[:, :, used] = found.transpose(1, 2)
    return texture
