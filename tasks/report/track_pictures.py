"""Tracks, drawn: frames in turn, the views of one moment, and the world with its cameras from the side and from above.

Everybody is drawn in the colour of their track. Labels are rows as mappings, as ``shown_labels`` gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from datasets_manifest.schema.error_codes import ErrorCode
from model.body.ehms import EHMs
from model.renderer.overlay import BACKDROP_RGB, View, as_seen, draw_mesh
from model.renderer.track_colours import track_rgb
from tasks.lenses import lens_of
from tasks.posing import pose_bodies
from tasks.report.pixels import label_columns
from tasks.tracks.world import Placed, up_axis

Label = Mapping[str, Any]
Photo = Callable[[Label], np.ndarray]
"""Label -> its photo (H, W, 3) uint8 RGB."""
MAX_VIEWS = 8
"""Cameras of a moment that are drawn."""
_IN_A_ROW = 4
_INK, _PALE = (27, 31, 36), (255, 255, 255)
_FRUSTUM_M = 0.35
"""Depth of the pyramid that stands for a camera."""
_MARGIN = 1.25


def is_drawable(label: Label) -> bool:
    """Whether a label has what a body is drawn by."""
    needed = ("transl_m", "global_orient", "body_pose", "focal_px", "principal_px")
    return label["status"] != "failed" and all(label[name] is not None for name in needed)


def draw_frames(labels: Sequence[Label], photo: Photo, ehm: EHMs, tile_px: int) -> np.ndarray:
    """Frames of one person in turn, the body over each: (tile, n tile, 3)."""
    tiles = []
    for label in labels:
        said = f"frame {label['frame']}" + (", bridged" if label["error_code"] == ErrorCode.BRIDGED.value else "")
        tiles.append(_captioned(_overlay(photo(label), [label], ehm, tile_px), said))
    return np.concatenate(tiles, axis=1)


def draw_moment(labels: Sequence[Label], photo: Photo, ehm: EHMs, tile_px: int) -> np.ndarray:
    """All people of one moment in all its views, then the world from the side and from above: (h, w, 3).

    Args:
        labels: Of the moment, of every view.
        photo: Gives the photos.
        ehm: The body model.
        tile_px: Side of one picture.
    """
    views: dict[str, list[Label]] = {}
    for label in labels:
        views.setdefault(label["camera"] or "", []).append(label)
    shown = sorted(views.items())[:MAX_VIEWS]
    tiles = [_captioned(_overlay(photo(own[0]), own, ehm, tile_px), name or "camera") for name, own in shown]
    width = min(len(tiles), _IN_A_ROW)
    rows = in_rows(tiles, width)
    if len(views) == 1 or any(label["world_to_camera"] is None for label in labels):
        return rows
    return np.concatenate([rows, np.concatenate(draw_world(labels, ehm, width * tile_px // 2), axis=1)])


def in_rows(tiles: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Square pictures of one size, some in a row, the last row filled up."""
    empty = np.empty_like(tiles[0])
    empty[:] = BACKDROP_RGB
    full = [*tiles, *[empty] * (-len(tiles) % width)]
    return np.concatenate([np.concatenate(full[k : k + width], axis=1) for k in range(0, len(full), width)])


def draw_world(labels: Sequence[Label], ehm: EHMs, tile_px: int) -> list[np.ndarray]:
    """Bodies of every view and the cameras, from the side and from above: two pictures (tile, tile, 3)."""
    placed = Placed.of(np.stack([np.reshape(label["world_to_camera"], (3, 4)) for label in labels]))
    bodies = placed.to_world(np.stack([_vertices(label, ehm) for label in labels]))
    middle = bodies.reshape(-1, 3).mean(0)
    up = up_axis(placed.rotation)
    # Seen across the line from the people to the first camera, so that neither stands before the other.
    towards = placed.centre_m[0] - middle
    towards = towards - up * (towards @ up)
    far = float(np.linalg.norm(towards))
    towards = towards / far if far > 1e-3 else np.roll(up, 1)  # The first camera may hang from the ceiling.
    side = np.stack([towards, -up, np.cross(towards, -up)])
    above = np.stack([np.cross(up, towards), towards, -up])
    pictures = [_draw_from(axes, bodies, placed, labels, ehm, tile_px) for axes in (side, above)]
    return [_captioned(picture, said) for picture, said in zip(pictures, ("side", "above"), strict=True)]


def _draw_from(
    axes: np.ndarray, bodies: np.ndarray, placed: Placed, labels: Sequence[Label], ehm: EHMs, tile_px: int
) -> np.ndarray:
    """Seen from far away by a camera whose x, y, z axes are rows (3, 3) of the world."""
    corners = np.array([[0, 0, 0], [-0.6, -0.45, 1], [0.6, -0.45, 1], [0.6, 0.45, 1], [-0.6, 0.45, 1]]) * _FRUSTUM_M
    cameras = placed.to_world(np.tile(corners, (len(labels), 1, 1))) @ axes.T
    meshes = bodies @ axes.T
    every = np.concatenate([cameras.reshape(-1, 3), meshes.reshape(-1, 3)])
    low, high = every.min(0), every.max(0)
    extent = max(float((high - low)[:2].max()), 1e-6)
    distance = 20 * extent
    shift = np.array([*(-0.5 * (low + high)[:2]), distance - 0.5 * (low + high)[2]])
    focal, centre = tile_px * distance / (_MARGIN * extent), np.full(2, tile_px / 2)
    picture = np.full((tile_px, tile_px, 3), BACKDROP_RGB, np.uint8)
    faces = np.asarray(ehm.assets.smplx.faces)
    for order in np.argsort(-meshes[..., 2].mean(1)):
        colours = np.broadcast_to(track_rgb(labels[order]["track"]), meshes[order].shape)
        picture = draw_mesh(picture, meshes[order] + shift, faces, focal, centre, colours=colours, alpha=0.8)
    for corner in cameras + shift:
        points = np.round(focal * corner[:, :2] / corner[:, 2:] + centre).astype(int)
        for start, end in ((0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1)):
            cv2.line(picture, points[start].tolist(), points[end].tolist(), _INK, 1, cv2.LINE_AA)
    return picture


def _vertices(label: Label, ehm: EHMs) -> np.ndarray:
    """(V, 3) in the frame of the label's camera."""
    return pose_bodies(ehm, label_columns(label)).vertices[0].double().numpy()


def _overlay(rgb: np.ndarray, labels: Sequence[Label], ehm: EHMs, tile_px: int) -> np.ndarray:
    """The part of a photo with some people and their bodies over it (tile, tile, 3)."""
    bodies = [as_seen(_vertices(label, ehm), lens_of(label)) for label in labels]
    focal, principal = float(labels[0]["focal_px"]), np.asarray(labels[0]["principal_px"])
    points = np.concatenate([focal * body[:, :2] / np.maximum(body[:, 2:], 0.1) + principal for body in bodies])
    points = np.clip(points, 0, np.array(rgb.shape[1::-1]))  # People reach beyond the photo.
    view = View.around(np.concatenate([points.min(0), points.max(0)]), tile_px)
    picture, faces = view.cut(rgb), np.asarray(ehm.assets.smplx.faces)
    for body, label in sorted(zip(bodies, labels, strict=True), key=lambda pair: -pair[0][:, 2].mean()):
        colours = np.broadcast_to(track_rgb(label["track"]), body.shape)
        own_focal, own_principal = float(label["focal_px"]), view.apply(np.asarray(label["principal_px"]))
        picture = draw_mesh(picture, body, faces, own_focal * view.scale, own_principal, colours=colours, alpha=0.7)
    return picture


def _captioned(picture: np.ndarray, said: str) -> np.ndarray:
    """The picture with a line of text in its corner."""
    picture = np.ascontiguousarray(picture)
    size = max(0.35, min(picture.shape[0], 512) / 560)
    (width, height), base = cv2.getTextSize(said, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    cv2.rectangle(picture, (0, 0), (width + 8, height + base + 6), _PALE, -1)
    cv2.putText(picture, said, (4, height + 4), cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)
    return picture
