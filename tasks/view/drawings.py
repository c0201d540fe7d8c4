"""What pictures of a person show, drawn by the renderer that reports are drawn by; the last ones are kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS, PART_NAMES
from datasets_manifest.schema.predictions import SEEN_COLUMNS
from datasets_manifest.shards.body_entry import body_identity, body_name
from datasets_manifest.shards.shard import read_footer
from datasets_manifest.sources.images import ImageError
from model.body.ehms import EHMs
from model.renderer.mesh_files import encode_meshes
from model.renderer.overlay import (
    View,
    as_seen,
    draw_keypoints,
    draw_mesh,
    encode_jpeg,
    side_colours,
)
from model.renderer.part_windows import Part, part_window
from tasks.annotate.provenance import labelled_body
from tasks.lenses import lens_of
from tasks.posing import pose_bodies
from tasks.report.page import refused_vertices
from tasks.report.pixels import label_columns
from tasks.version import code_version
from tasks.view.index import Label
from tasks.view.photos import ViewPhotos
from tasks.view.picture_names import CROPS, LAYERS, MESH
from tasks.view.state import Opened

LARGE_PX, SMALL_PX = 720, 260
"""Sides of the large picture, and of each half of a part's."""
_WINDOWS: Mapping[str, Part] = {"left_hand": "left_hand", "right_hand": "right_hand", "face": "head"}
_NEEDED = ("transl_m", "global_orient", "body_pose", "focal_px", "principal_px")
_DARKER = 0.65
"""Of the mesh to be turned, since the scene is bright."""
_BOX_RGB = (255, 220, 0)
_KEPT_BYTES = 64 << 20


class Drawings:
    """Pictures of people of one folder. Threads share it; one at a time draws."""

    def __init__(self, opened: Opened) -> None:
        """Reads nothing yet."""
        self.photos, self.is_warm = ViewPhotos(opened), False
        self.fault = ""
        """Why there is no body, and so no mesh; photos and keypoints need none."""
        self._config, self._lock = opened.config, threading.Lock()
        self._kept: OrderedDict[tuple[str, int, str], bytes] = OrderedDict()
        self._num_bytes = 0

    @property
    def body(self) -> EHMs:
        """That of the settings.

        Raises:
            ValueError: It could not be read when it was first needed.
        """
        if self.fault:
            raise ValueError(self.fault)
        return labelled_body(self._config)

    def warm(self) -> None:
        """Loads the body, and poses it once; asks for the version, which verdicts state.

        A body that cannot be read is a fault, and nothing more is waited for.
        """
        code_version()
        try:
            with self._lock:
                pose_bodies(self.body, {"body_pose": np.zeros((1, 63), np.float32)})
        except (ValueError, OSError) as error:
            self.fault = str(error)
        self.is_warm = True

    def of_row(self, key: tuple[str, int, str], read: Callable[[], Label]) -> bytes | None:
        """A picture of an indexed row, or its mesh.

        Args:
            key: Stamp of the index, number of the row, and what is to be shown.
            read: Gives the label, where the picture is not kept.

        Raises:
            ValueError: As ``picture``, and as ``LabelIndex.label``.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            label = read()
            data = self.picture(shown_row(label.row), key[2], read_footer(label.path).body_model)
            if data is not None:
                self._kept[key] = data
                self._num_bytes += len(data)
            while self._num_bytes > _KEPT_BYTES:
                self._num_bytes -= len(self._kept.popitem(last=False)[1])
            return data

    def look(self, row: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
        """As ``pictures.look``."""
        shown, problem = shown_row(row), ""
        try:
            self.photos.read(row)
        except ImageError as error:
            problem = f"The photo cannot be shown: {error}"
        seen = {part for part in CROPS if region_view(shown, part, SMALL_PX) is not None}
        if all(shown.get(name) is not None for name in _NEEDED):
            seen.add("body")
        return problem, frozenset(seen)

    def of_label(self, row: Mapping[str, Any], what: str) -> bytes | None:
        """A picture of a row that no file has, made with the body of the settings; raises as ``picture``."""
        with self._lock:
            return self.picture(shown_row(row), what, {})

    def picture(self, row: Mapping[str, Any], what: str, body: Mapping[str, Any]) -> bytes | None:
        """A picture of a row that has what labels have.

        Args:
            row: Of ``shown_row``.
            what: Of ``pictures.WHATS``.
            body: What its footer states of the body.

        Returns:
            JPEG or glTF; None where there is nothing to be seen.

        Raises:
            ValueError: The photo cannot be read, or its mesh is of another body than the settings name.
        """
        if what == MESH:
            vertices = self._vertices(row, body)
            return None if vertices is None else self._mesh(vertices)
        name = what.removesuffix(".jpg")
        if name == "whole":
            return encode_jpeg(_whole(self.photos.read(row), row))
        name, _, region = name.partition("-")
        view = region_view(row, region or name, SMALL_PX if name in CROPS else LARGE_PX)
        if view is None:
            return None
        photo = view.cut(self.photos.read(row))
        if name in LAYERS:
            drawn = self._layer(photo, view, row, name, body)
        else:
            drawn = np.concatenate([self._layer(photo, view, row, own, body) for own in ("keypoints", "overlay")], 1)
        return encode_jpeg(drawn)

    def _layer(
        self, photo: np.ndarray, view: View, row: Mapping[str, Any], name: str, body: Mapping[str, Any]
    ) -> np.ndarray:
        if name == "keypoints" and row["keypoints_2d"] is not None:
            moved = keypoints_of(row)
            moved[:, :2] = view.apply(moved[:, :2])
            return draw_keypoints(photo, moved)
        vertices = self._vertices(row, body) if name == "overlay" else None
        if vertices is None:
            return photo
        return draw_mesh(
            photo,
            as_seen(vertices, lens_of(row)),
            np.asarray(self.body.assets.smplx.faces),
            float(row["focal_px"]) * view.scale,
            view.apply(np.asarray(row["principal_px"], np.float64)),
            colours=side_colours(self.body.assets),
            refused=refused_vertices(row, self.body),
            alpha=0.65,
            supersample=1,
        )

    def _vertices(self, row: Mapping[str, Any], body: Mapping[str, Any]) -> np.ndarray | None:
        """(V, 3) camera frame, metres; None without a body."""
        if any(row.get(name) is None for name in _NEEDED):
            return None
        own, found = self.body.assets.entry, body_identity(body)
        if found not in (None, body_identity(own)):
            raise ValueError(
                f"the people are of the body {body_name(body)}, the settings have {body_name(own)}; name the settings "
                "that they were made with (--params)"
            )
        return pose_bodies(self.body, label_columns(row)).vertices[0].double().numpy()

    def _mesh(self, vertices: np.ndarray) -> bytes:
        """glTF of the person, its middle in the origin."""
        centred = vertices - 0.5 * (vertices.max(0) + vertices.min(0))
        assets, colours = self.body.assets, _DARKER * side_colours(self.body.assets)
        return encode_meshes(centred[None], np.asarray(assets.smplx.faces), ["person"], colours=colours)


def shown_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of labels or predictions with what pictures need: predictions are trusted where they were seen."""
    shown = {"keypoints_2d": None, "body_group_valid": None, **dict.fromkeys(LABEL_PARAMETERS), **row}
    if "body_valid" in row:
        return shown
    seen = dict(zip((f"{part}_valid" for part in PART_NAMES), SEEN_COLUMNS, strict=True))
    shown |= {valid: bool(row.get(name, True)) for valid, name in seen.items()}
    if row.get("keypoints_2d") is not None:
        places = np.asarray(row["keypoints_2d"], np.float64).reshape(-1, 2)
        shown["keypoints_2d"] = np.column_stack([places, np.ones(len(places))]).ravel()
    return shown


def keypoints_of(row: Mapping[str, Any]) -> np.ndarray:
    """(133, 3) x px, y px, score of a row that has some; a copy."""
    return np.array(row["keypoints_2d"], np.float64).reshape(-1, 3)


def region_view(row: Mapping[str, Any], region: str, size_px: int) -> View | None:
    """What a picture shows of the photo: a part, or else the person; None for a part that was not seen."""
    if region in _WINDOWS:
        found = None if row["keypoints_2d"] is None else part_window(keypoints_of(row), _WINDOWS[region])
        if found is None:
            return None
        half = found[2] / 2
        return View.around(np.r_[found[:2] - half, found[:2] + half], size_px, margin=1.0)
    if row.get("bbox_xyxy") is None:
        return View.around(np.array([0, 0, row["image_width"] or 1, row["image_height"] or 1]), size_px, margin=1.0)
    return View.around(np.asarray(row["bbox_xyxy"]), size_px)


def _whole(photo: np.ndarray, row: Mapping[str, Any]) -> np.ndarray:
    """The photo with the person's box."""
    scale = min(1.0, LARGE_PX / max(photo.shape[:2]))
    size = max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    if row.get("bbox_xyxy") is not None:
        low, high = np.round(scale * np.asarray(row["bbox_xyxy"], np.float64).reshape(2, 2)).astype(int).tolist()
        cv2.rectangle(small, low, high, _BOX_RGB, 2, cv2.LINE_AA)
    return small
