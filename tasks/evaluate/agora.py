"""AGORA's protocol on its photos of several people: errors of body, hands and face, and their figures with F1.

Whoever is said to be in a photo is matched with those who are, by 24 joints in 2D, and counted as the official program
does, its slips included (``model.metrics.agora`` with `compat`): figures are for its validation set what the server's
are for the test set. That needs the file's joints; MVE needs its vertices too, and the vertices of each part.

Legend: T known people of a photo, P who are said to be there, M who are matched.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets_manifest.adapters.sequence_pickle import SequencePickleAdapter
from datasets_manifest.adapters.sequences.agora_photos import NUM_JOINTS, AgoraPhoto
from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import BodySize
from datasets_manifest.schema.labels import image_id_of
from datasets_manifest.schema.people import found_rows
from model.body.assets import EhmAssets
from model.body.ehms import EHMs
from model.metrics.agora import (
    NUM_MATCHED_JOINTS,
    OCCLUSION_BINS,
    PART_JOINTS,
    PARTS,
    AgoraFigures,
    JointMatches,
    counted,
    match_by_joints,
    part_errors_mm,
)
from tasks.evaluate.label_errors import parameters_of_labels
from tasks.evaluate.licensed_meshes import agora_vertices
from tasks.evaluate.matching import KnownPhotos
from tasks.evaluate.said import Said
from tasks.lenses import photo_points
from tasks.posing import smplx_points

WIDTH = 3840
"""Of the pictures that people are matched in."""
GROUPS = ("all", "adults", "kids")
KINDS = ("mve", "mpjpe")
"""Of vertices and of joints."""
AGORA_ERRORS = tuple(f"agora_{kind}_{part}_mm" for kind in KINDS for part in PARTS)
"""Errors of everybody who is matched, of the part moved by its own joints."""
_NEEDED = ("transl_m", "global_orient", "body_pose", "focal_px", "principal_px", "image_width")
Key = tuple[str, int]
"""Photo and number of a person in it."""


def photos_of_agora(manifest: Manifest) -> Iterator[AgoraPhoto] | None:
    """AGORA's people as its protocol takes them; None of other data sets."""
    if manifest.adapter != "sequence_pickle" or manifest.typed_layout.kind != "agora":
        return None
    adapter = open_adapter(manifest)
    assert isinstance(adapter, SequencePickleAdapter)
    return adapter.agora_photos()


class AgoraErrors:
    """Takes what a subject says of AGORA's photos.

    Args:
        assets: The body of the subject.
        licensed: Folder of licensed files; None with the open body.
        photos: Those of the data set, in the order of its listing.
    """

    def __init__(self, assets: EhmAssets, licensed: Path | None, photos: Iterable[AgoraPhoto]) -> None:
        self._assets, self._photos = assets, KnownPhotos(photos)
        self._bodies: dict[BodySize, EHMs] = {}
        self.vertices = agora_vertices(assets, licensed)
        """What the parts' vertices are, or why there are none."""
        self.errors: defaultdict[Key, dict[str, float]] = defaultdict(dict)
        """``AGORA_ERRORS`` of who is matched."""
        self._figures = {(group, kind): AgoraFigures(compat=True) for group in GROUPS for kind in KINDS}
        self._without: Counter[str] = Counter()
        self._seen: list[tuple[float, bool, Key]] = []

    def add(self, said: Said) -> None:
        """Measures some photos."""
        labels = said.labels
        usable = found_rows(labels.table) & np.logical_and.reduce([labels.has(name) for name in _NEEDED])
        rows_of: defaultdict[str, list[int]] = defaultdict(list)
        for row, sample_id in enumerate(labels["sample_id"]):
            if usable[row]:
                rows_of[image_id_of(sample_id)].append(row)
        for photo in self._photos.take(record.image_id for record in said.records):
            self._measure(photo, labels.take(np.array(rows_of[photo.image_id], np.int64)))

    @torch.no_grad()
    def _measure(self, photo: AgoraPhoto, labels: Columns) -> None:
        points_m, vertices, points_px = self._posed(labels)
        is_placed = np.isfinite(points_px).all((1, 2)) & np.isfinite(points_m).all((1, 2))
        placed = np.flatnonzero(is_placed)
        counts = counted(photo.is_valid, np.nan_to_num(photo.occlusion))
        found = match_by_joints(points_px[placed], photo.joints_px, counts, compat=True)
        matches = JointMatches(
            predicted=tuple(int(placed[i]) for i in found.predicted),
            known=found.known,
            misses=found.misses,
            false_positives=(*(int(placed[i]) for i in found.false_positives), *np.flatnonzero(~is_placed).tolist()),
        )
        own, known = list(matches.predicted), list(matches.known)
        joints, truth = torch.from_numpy(points_m[own]), torch.from_numpy(photo.joints_m[known])
        errors = {"mpjpe": part_errors_mm(joints, joints, truth, truth, PART_JOINTS)}
        if lacks := self._lacks(photo):
            self._without[lacks] += 1
        else:
            target = torch.from_numpy(photo.vertices_m[known]) if photo.vertices_m is not None else vertices[:0]
            mesh = vertices[own]
            errors["mve"] = part_errors_mm(joints, mesh, truth, target, self.vertices.ids)
        self._count(photo, matches, errors, is_empty=not labels.num_rows)

    def _posed(self, labels: Columns) -> tuple[np.ndarray, torch.Tensor, np.ndarray]:
        """Joints (P, 127, 3) and vertices (P, V, 3) in the camera, and (P, 24, 2) px of the joints in 2D."""
        if not labels.num_rows:
            empty = torch.zeros(0, self._assets.smplx.num_vertices, 3)
            return np.zeros((0, NUM_JOINTS, 3)), empty, np.zeros((0, NUM_MATCHED_JOINTS, 2))
        parameters = parameters_of_labels(labels)
        if parameters.size not in self._bodies:
            self._bodies[parameters.size] = EHMs(self._assets, parameters.size)
        body = self._bodies[parameters.size]
        posed = body(parameters.resized(body.size))
        points = smplx_points(posed.joints, posed.keypoints)[:, :NUM_JOINTS]
        scale = WIDTH / labels["image_width"].astype(np.float64)
        return points, posed.vertices, scale[:, None, None] * photo_points(labels, points[:, :NUM_MATCHED_JOINTS])

    def _lacks(self, photo: AgoraPhoto) -> str:
        """Why there are no errors of vertices; empty if there are, or nobody whose they would be."""
        if self.vertices.lacks or not len(photo.persons):
            return self.vertices.lacks
        if photo.vertices_m is None:
            return "the files have no gt_verts of everybody; write them anew without the .drop of the command"
        given, own = photo.vertices_m.shape[1], self._assets.smplx
        return "" if given == own.num_vertices else f"gt_verts has {given}, {own.name} has {own.num_vertices}"

    def _count(
        self, photo: AgoraPhoto, matches: JointMatches, errors: dict[str, dict[str, torch.Tensor]], *, is_empty: bool
    ) -> None:
        known, keys = np.array(matches.known, np.int64), [(photo.image_id, int(person)) for person in photo.persons]
        masks = {"all": np.ones(len(keys), bool), "adults": ~photo.is_kid, "kids": photo.is_kid}
        for kind, parts in errors.items():
            for group in GROUPS:
                own = {part: values[torch.from_numpy(masks[group][known])] for part, values in parts.items()}
                self._figures[group, kind].update(matches.of(masks[group]), own, is_empty=is_empty)
            for part, values in parts.items():
                for row, value in zip(known, values.tolist(), strict=True):
                    self.errors[keys[row]][f"agora_{kind}_{part}_mm"] = value
        for row in (*matches.known, *matches.misses):
            self._seen.append((float(photo.occlusion[row]), row in matches.known, keys[row]))

    def figures(self) -> dict[str, Any]:
        """What ``metrics/benchmarks.json`` says: by group of people the figures of each kind, with how many were
        counted, found and false; by occlusion; what vertices are; why photos have no errors of them."""
        found: dict[str, Any] = {"groups": {}, "occlusion": [], "vertices": self.vertices.name}
        for group in GROUPS:
            own = self._figures[group, "mpjpe"]
            counts = {name: round(float(own.sums[name])) for name in ("found", "missed", "false")}
            if counts["found"] + counts["missed"]:
                figures = {kind: _finite(self._figures[group, kind].compute()) for kind in KINDS}
                figures = {kind: values for kind, values in figures.items() if values}
                found["groups"][group] = counts | figures
        found["occlusion"] = list(self._by_occlusion())
        return found | {"without_vertices": dict(self._without)}

    def _by_occlusion(self) -> Iterator[dict[str, Any]]:
        """Bins with anybody in them: the share that is missed, and means over those who are found."""
        percent = np.array([own[0] for own in self._seen])
        for low, high in itertools.pairwise(OCCLUSION_BINS):
            rows = np.flatnonzero((percent > low) & (percent <= high))
            if not len(rows):
                continue
            bin_of: dict[str, Any] = {"percent": [max(low, 0), high], "people": len(rows)}
            bin_of["missed_percent"] = round(100 * float(np.mean([not self._seen[row][1] for row in rows])), 1)
            for kind in KINDS:
                name = f"agora_{kind}_body_mm"
                values = [own[name] for row in rows if name in (own := self.errors.get(self._seen[row][2], {}))]
                if values:
                    bin_of[f"{kind}_body_mm"] = round(float(np.mean(values)), 1)
            yield bin_of


def _finite(figures: dict[str, float]) -> dict[str, float]:
    """By shorter names, of one kind: `body_mm`, `all_mm`, `normalised_body_mm` ...; none where there is nothing to
    divide by."""
    names = {name: name.replace("nmve_", "normalised_").replace("mve_", "") for name in figures}
    return {names[name]: value for name, value in figures.items() if np.isfinite(value)}
