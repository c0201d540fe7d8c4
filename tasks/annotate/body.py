"""Step `body` of a shard: coarse SMPL-X body pose."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from datasets_manifest.schema.labels import BODY_SCHEMA, ErrorCode
from fitting.delta_theta import DeltaTheta
from fitting.settings import Composition
from model.estimators.base import BodyOutput
from tasks.annotate.delta_theta import delta_theta
from tasks.annotate.parts import annotate_part, part_state, to_rotvec
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.step import ShardSummary
from tasks.annotate.workspace import ShardRef, Workspace
from tasks.estimators import estimator_info

_NUM_BETAS = 10
"""Shape coefficients in a body file."""


def annotate_body(shard: ShardRef, workspace: Workspace, config: AnnotateConfig) -> ShardSummary:
    """Annotates the bodies of one shard, see ``annotate_part``; SMPL poses are carried over to SMPL-X."""

    def rows(output: BodyOutput) -> list[dict[str, Any]]:
        if estimator_info("body", config.body).skeleton == "smpl":
            transfer = delta_theta(config.body_model, workspace.work)
            output = smplx_output(output, transfer, config.smpl_to_smplx)
        return body_rows(output)

    return annotate_part("body", shard, workspace, config, BODY_SCHEMA, rows, {"valid": False})


def smplx_output(output: BodyOutput, transfer: DeltaTheta, composition: Composition) -> BodyOutput:
    """SMPL poses and betas as those of SMPL-X; the orientation of the pelvis is the same in both.

    Args:
        output: What the estimator said, with SMPL's joints and betas.
        transfer: The way from one rest pose and shape space to the other.
        composition: How the pose is carried over.
    """
    pose = transfer.apply(torch.from_numpy(np.asarray(output.body_pose, np.float64)), composition)
    betas = transfer.betas(torch.from_numpy(np.asarray(output.betas, np.float64)))
    mapped = torch.zeros(len(betas), _NUM_BETAS, dtype=betas.dtype)
    num = min(_NUM_BETAS, betas.shape[1])
    mapped[:, :num] = betas[:, :num]
    return dataclasses.replace(output, body_pose=pose.numpy(), betas=mapped.numpy())


def body_rows(output: BodyOutput) -> list[dict[str, Any]]:
    """Turns an estimator's output into the columns of the body file, a row a person."""
    orient, pose = to_rotvec(output.global_orient), to_rotvec(output.body_pose)
    rows = []
    for i, valid in enumerate(output.valid):
        reason = None if valid else output.reasons[i] or ErrorCode.BODY_NOT_FOUND
        rows.append(
            {
                "valid": bool(valid),
                "score": float(output.score[i]),
                "global_orient": orient[i],
                "body_pose": pose[i],
                "betas": output.betas[i],
                "sigma_rad": output.sigma_rad[i],
                **part_state(reason),
            }
        )
    return rows
