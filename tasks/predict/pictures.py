"""What is drawn and written of predicted people: the mesh over the photo, and mesh files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from model.batches import take_rows
from model.body.ehms import EHMs
from model.regressor.photo_people import PhotoPrediction
from model.renderer.mesh_files import MeshFormat, encode_meshes
from model.renderer.overlay import UNSEEN_RGB, draw_mesh, encode_jpeg, side_colours, vertex_parts
from model.renderer.track_colours import track_rgb

MAX_OVERLAY_PX = 1600
"""Longer side of an overlay: enough to look at, and the rasteriser's memory grows with the pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Posed:
    """P bodies of one photo."""

    vertices_cam: np.ndarray
    """(P, V, 3) camera frame of the photo, metres."""
    persons: tuple[int, ...]
    """Index of each in the rows."""
    unseen: np.ndarray
    """(P, V) bool: vertices of parts that were not seen."""


class Painter:
    """Poses whole bodies and gives pictures and mesh files of them."""

    def __init__(self, body: EHMs) -> None:
        """Takes the body that the network speaks of."""
        self.body = body
        self._faces = np.asarray(body.assets.smplx.faces)
        self._colours = side_colours(body.assets)
        self._parts = vertex_parts(body.assets)

    @torch.inference_mode()
    def pose(self, prediction: PhotoPrediction, persons: Sequence[int]) -> Posed:
        """Whole bodies of the people whose numbers are finite; ``persons`` (P,) are the indices in the rows."""
        finite = prediction.is_finite
        chosen = torch.from_numpy(np.flatnonzero(finite))
        kept = tuple(person for person, is_kept in zip(persons, finite, strict=True) if is_kept)
        assert prediction.seen is not None
        unseen = ~prediction.seen[finite][:, self._parts]
        if not kept:
            return Posed(vertices_cam=np.zeros((0, len(self._colours), 3), np.float32), persons=(), unseen=unseen)
        posed = self.body(take_rows(prediction.parameters, chosen))
        return Posed(vertices_cam=posed.vertices.numpy(), persons=kept, unseen=unseen)

    def overlay(self, rgb: np.ndarray, prediction: PhotoPrediction, posed: Posed) -> bytes:
        """JPEG of the photo with all bodies over it, nearer ones in front, made smaller where it is very large.

        Parts that were not seen are hatched.

        Args:
            rgb: (H, W, 3) uint8.
            prediction: Its camera counts.
            posed: The bodies.
        """
        scale = min(1.0, MAX_OVERLAY_PX / max(rgb.shape[:2]))
        if scale < 1:
            size = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        camera = prediction.focal_px * scale, prediction.principal_px * scale
        return encode_jpeg(self._over(rgb, camera, posed, [self._colours] * len(posed.persons), supersample=2))

    def film_frame(
        self, rgb: np.ndarray, prediction: PhotoPrediction, posed: Posed, tracks: Sequence[int | None]
    ) -> np.ndarray:
        """A frame of a video, in its size, with all bodies over it in the colours of their tracks: (H, W, 3) uint8.

        Args:
            rgb: (H, W, 3) uint8.
            prediction: Its camera counts.
            posed: The bodies.
            tracks: Of each person in the rows.
        """
        camera = prediction.focal_px, prediction.principal_px
        colours = [np.broadcast_to(track_rgb(tracks[person]), self._colours.shape) for person in posed.persons]
        return self._over(rgb, camera, posed, colours, supersample=1)

    def _over(
        self,
        rgb: np.ndarray,
        camera: tuple[float, np.ndarray],
        posed: Posed,
        colours: Sequence[np.ndarray],
        *,
        supersample: int,
    ) -> np.ndarray:
        if not posed.persons:
            return rgb
        num, num_vertices = posed.vertices_cam.shape[:2]
        faces = (self._faces + num_vertices * np.arange(num)[:, None, None]).reshape(-1, 3)
        return draw_mesh(
            rgb,
            posed.vertices_cam.reshape(-1, 3),
            faces,
            *camera,
            colours=np.concatenate(colours),
            refused=posed.unseen.reshape(-1),
            hatch_rgb=UNSEEN_RGB,
            supersample=supersample,
        )

    def meshes(self, posed: Posed, form: MeshFormat) -> bytes | None:
        """One file of all bodies, or None if there is nobody."""
        if not posed.persons:
            return None
        names = [f"person{person}" for person in posed.persons]
        return encode_meshes(posed.vertices_cam, self._faces, names, form=form, colours=self._colours)
