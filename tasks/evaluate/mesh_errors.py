"""Errors against meshes of licensed bodies, which the paper's columns of 3DPW, EHF and UBody are of.

    mpjpe_<convention>_mm,       people whose truth is SMPL's, in the camera: joints that are regressed from SMPL's
    pa_mpjpe_<convention>_mm     mesh on both sides (``model.metrics.conventions``)
    left_hand_pa_pve_mm, ...     people whose truth is SMPL-X's, as parameters or as a registered mesh: vertices of a
                                 hand after alignment by all of that hand; where the truth has a camera of its own, as
                                 in UBody, those count that it puts inside the photo
    face_pa_pve_mm, pa_pve_mm    the same of the head's vertices and of the whole mesh, of people whose truth has a face
                                 and a shape

What needs a file that is not there has no figure, of nobody, and says the next step.

Legend: P people, V vertices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets_manifest.adapters.base import PersonRecord
from datasets_manifest.paths import inside
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import BodySize
from datasets_manifest.sources.ply import ply_vertices
from model.body.assets import EhmAssets
from model.body.ehms import EHMs
from model.body.skinned import SkinnedBody
from model.metrics.conventions import JointConvention, regress
from model.metrics.hands import hand_pa_pve_mm
from model.metrics.joints import pa_mpjpe_mm
from model.metrics.keypoints import inside_image
from model.metrics.person import PosedByParameters
from tasks.evaluate.label_errors import parameters_of_labels
from tasks.evaluate.licensed_meshes import (
    CONVENTIONS,
    HANDS,
    lacking_files,
    lacking_genders,
    regressors,
    smpl_vertices,
    smplx_vertices,
)
from tasks.evaluate.matching import Matching

JOINT_ERRORS = tuple(f"{error}_{own.name}_mm" for own in CONVENTIONS for error in ("mpjpe", "pa_mpjpe"))
HAND_ERRORS = ("left_hand_pa_pve_mm", "right_hand_pa_pve_mm")
WHOLE_ERRORS = ("face_pa_pve_mm", "pa_pve_mm")


class MeshErrors:
    """Measures people of a data set.

    Args:
        assets: The body of subjects.
        licensed: Folder of the converted bodies, with the files of ``model.licensed_files``; None for the open body.
        data: Root of the data set, below which registered meshes are.
    """

    def __init__(self, assets: EhmAssets, licensed: Path | None, data: Path) -> None:
        self._assets, self._licensed, self._data = assets, licensed, data
        self.lacking = lacking_files(assets, licensed)
        """A convention's name or ``HANDS`` -> the next step, of what cannot be measured."""
        self._bodies: dict[BodySize, EHMs] = {}
        self._truth_body: SkinnedBody | None = None

    @property
    def unknown_joints(self) -> set[str]:
        """Errors of conventions that lack a file."""
        return {name for own in CONVENTIONS if own.name in self.lacking for name in _names(own).values()}

    @torch.no_grad()
    def of(self, matching: Matching, size: BodySize, pose: PosedByParameters) -> list[dict[str, float]]:
        """Errors by name of each of P people, of those that are not known none.

        Args:
            matching: The people as they are said to be, with their truth.
            size: Numbers of coefficients of what is said.
            pose: The body of that size.

        Raises:
            ValueError: A file cannot be read, or is of another body.
        """
        found: list[dict[str, float]] = [{} for _ in matching.people]
        of_smpl = [row for row, person in enumerate(matching.people) if _has_smpl(person)]
        for row, errors in zip(of_smpl, self._joints(matching, of_smpl, size), strict=False):
            found[row] |= errors
        of_smplx = [row for row, person in enumerate(matching.people) if _has_smplx(person)]
        if of_smplx and HANDS not in self.lacking:
            for row, errors in zip(of_smplx, self._vertices(matching, of_smplx, size, pose), strict=True):
                found[row] |= errors
        return found

    def _joints(self, matching: Matching, rows: list[int], size: BodySize) -> Iterator[dict[str, float]]:
        truths = [truth for row in rows if (truth := matching.people[row].truth_3d) is not None]
        self.lacking |= lacking_genders(self._licensed, truths)
        conventions = [own for own in CONVENTIONS if own.name not in self.lacking]
        if not rows or not conventions or self._licensed is None:
            return
        said = self._said(matching.labels.take(np.array(rows)), size)
        known = smpl_vertices(self._licensed, truths)
        columns: dict[str, Tensor] = {}
        for own in conventions:
            of_smpl, of_smplx = regressors(self._licensed, own)
            errors = own.errors(regress(of_smplx, said), regress(of_smpl, known))
            columns |= {_names(own)[name]: values for name, values in errors.items()}
        yield from _rows(columns)

    def _said(self, labels: Columns, size: BodySize) -> Tensor:
        """(P, V, 3) metres, the meshes of labels."""
        if size not in self._bodies:
            self._bodies[size] = EHMs(self._assets, size)
        return self._bodies[size](parameters_of_labels(labels).resized(size)).vertices

    def _vertices(
        self, matching: Matching, rows: list[int], size: BodySize, pose: PosedByParameters
    ) -> Iterator[dict[str, float]]:
        labels, people = matching.labels.take(np.array(rows)), [matching.people[row] for row in rows]
        said = pose(parameters_of_labels(labels)).hands
        assert said is not None
        meshes = torch.stack([self._mesh(person) for person in people])
        sizes = zip(labels["image_width"].tolist(), labels["image_height"].tolist(), strict=True)
        counts = torch.stack([_counts(*own) for own in zip(people, meshes, sizes, strict=True)])
        ids = [self._assets.hand_vertex_ids[side] for side in ("left", "right")]
        errors = hand_pa_pve_mm(said, [meshes[:, own] for own in ids], [counts[:, own] for own in ids])
        columns: dict[str, Tensor] = dict(zip(HAND_ERRORS, errors.unbind(1), strict=True))
        mesh, is_whole = self._said(labels, size).to(meshes), torch.tensor([_has_whole(person) for person in people])
        for name, own in zip(WHOLE_ERRORS, (self._assets.head_vertex_ids, slice(None)), strict=True):
            errors = pa_mpjpe_mm(mesh[:, own], meshes[:, own], counts[:, own])
            columns[name] = errors.masked_fill(~is_whole, torch.nan)
        yield from _rows(columns)

    def _mesh(self, person: PersonRecord) -> Tensor:
        """(V, 3) truth in the frame that it is told in, float64."""
        body, count = self._assets.smplx, self._assets.smplx.num_vertices
        if person.mesh is None:
            assert person.truth_3d is not None
            self._truth_body = self._truth_body or SkinnedBody(body)
            return smplx_vertices(self._truth_body, person.truth_3d)
        path = inside(self._data, person.mesh, links="follow")
        if not path.is_file():
            raise ValueError(f"{path} does not exist: the truth of a person is in it; unpack the whole data set")
        mesh = torch.from_numpy(ply_vertices(path.read_bytes(), str(path)))
        if len(mesh) != count:
            raise ValueError(f"{path} has {len(mesh)} vertices, expected the {count} of {body.name}")
        return mesh


def _has_smpl(person: PersonRecord) -> bool:
    """In the camera: MPJPE turns nothing."""
    truth = person.truth_3d
    if truth is None or (truth.model, truth.frame) != ("smpl", "camera"):
        return False
    return {"global_orient", "body_pose"} <= truth.parameters.keys()


def _has_smplx(person: PersonRecord) -> bool:
    truth = person.truth_3d
    hands = {"left_hand_pose", "right_hand_pose"}
    return person.mesh is not None or (
        truth is not None and truth.model == "smplx" and hands <= truth.parameters.keys()
    )


def _has_whole(person: PersonRecord) -> bool:
    """Whether the truth of SMPL-X has more than a pose."""
    truth = person.truth_3d
    known = {"betas", "jaw_pose", "expression"}
    return person.mesh is not None or (truth is not None and known <= truth.parameters.keys())


def _names(convention: JointConvention) -> dict[str, str]:
    """The convention's errors as they are called beside those of others."""
    return {f"{error}_mm": f"{error}_{convention.name}_mm" for error in ("mpjpe", "pa_mpjpe")}


def _rows(columns: Mapping[str, Tensor]) -> Iterator[dict[str, float]]:
    """Errors of each person that are numbers."""
    values = {name: column.tolist() for name, column in columns.items()}
    for row in range(len(next(iter(values.values())))):
        yield {name: own[row] for name, own in values.items() if np.isfinite(own[row])}


def _counts(person: PersonRecord, mesh: Tensor, size: tuple[int, int]) -> Tensor:
    """(V,) bool, which vertices of the truth count: of one with a camera of its own those inside the photo."""
    intrinsics = None if person.truth_3d is None else person.truth_3d.intrinsics_px
    if intrinsics is None:
        return torch.ones(len(mesh), dtype=torch.bool)
    focal, principal = mesh.new_tensor(intrinsics).view(2, 2)
    return inside_image(focal * mesh[:, :2] / mesh[:, 2:] + principal, *size) & (mesh[:, 2] > 0)
