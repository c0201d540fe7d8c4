"""Bodies that the data set knows, in the place of what the body estimator found: SMPL's carried over to SMPL-X."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from datasets_manifest.schema.columns import Columns, joined, table_from_columns
from datasets_manifest.schema.labels import KEY_COLUMNS
from datasets_manifest.schema.part_files import body_schema
from datasets_manifest.schema.truth_3d import Truth3d
from model.estimators.base import BodyOutput
from model.estimators.conversions import smplx_body_pose
from tasks.annotate.delta_theta import delta_theta
from tasks.annotate.steps.body import body_columns, smplx_output
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.parts import to_rotmat
from tasks.annotate.steps.truth import KnownPeople

_NUM_BODY_JOINTS, _NUM_BETAS = 21, 10


def with_known_bodies(job: ShardJob, body: Columns, known: KnownPeople) -> Columns:
    """Rows (P,) of the body step, those of people whose body the data set knows with that.

    SMPL's pose is carried over as ``conjugate`` does it, whatever the settings say of the body estimator.
    """
    people = np.flatnonzero(known.has_body)
    if not len(people):
        return body
    output = _output(known, people, own_betas=job.config.body_model.path is not None)
    truths = [known.truths[person] for person in people]
    of_smpl = np.array([truth is not None and truth.model == "smpl" for truth in truths])
    if of_smpl.any():
        carried = smplx_output(output, delta_theta(job.config.body_model, job.workspace.work), "conjugate")
        pose = np.where(of_smpl[:, None, None, None], carried.body_pose, output.body_pose)
        output = replace(output, body_pose=pose, betas=np.where(of_smpl[:, None], carried.betas, output.betas))
    schema, rows = body_schema(job.size), body.take(people)
    columns = {name: rows.table[name] for name in KEY_COLUMNS} | body_columns(output, job.size)
    others = np.setdiff1d(np.arange(body.num_rows), people)
    tables = [table_from_columns(columns, schema), body.take(others).table]
    return Columns(joined(tables, schema, [people, others]))


def _output(known: KnownPeople, people: np.ndarray, *, own_betas: bool) -> BodyOutput:
    """What an estimator would say of K people.

    Args:
        known: Everybody.
        people: (K,) rows of those.
        own_betas: Whether the body is that of the parameters: betas of SMPL and SMPL-X mean nothing to the open body,
            and those of a gender nothing to the neutral one.
    """
    orients, poses, sigmas = [], [], []
    betas = np.zeros((len(people), _NUM_BETAS))
    for row, person in enumerate(people.tolist()):
        truth, turn = known.truths[person], known.turn(person)
        assert truth is not None
        assert turn is not None
        orients.append(turn[:, :3] @ to_rotmat(truth.parameters["global_orient"]))
        poses.append(_pose(truth))
        sigmas.append(np.full(1 + _NUM_BODY_JOINTS, truth.pose_sigma_rad))
        if own_betas and truth.gender == "neutral":
            stated = np.asarray(truth.parameters.get("betas", ()))[:_NUM_BETAS]
            betas[row, : len(stated)] = stated
    return BodyOutput(
        valid=np.ones(len(people), bool),
        score=np.ones(len(people)),
        global_orient=np.stack(orients),
        body_pose=np.stack(poses),
        betas=betas,
        sigma_rad=np.stack(sigmas),
        reasons=[None] * len(people),
    )


def _pose(truth: Truth3d) -> np.ndarray:
    """(21, 3, 3) of a body's pose."""
    pose = to_rotmat(truth.parameters["body_pose"].reshape(-1, 3))
    return smplx_body_pose(torch.from_numpy(pose)).numpy() if truth.model == "smpl" else pose
