"""Step `body` of a shard: coarse SMPL-X body pose."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import torch

from datasets_manifest.schema.columns import Values
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, BodySize
from datasets_manifest.schema.labels import ErrorCode
from datasets_manifest.schema.part_files import body_schema
from fitting.delta_theta import DeltaTheta
from fitting.settings import Composition
from model.estimators.base import BodyOutput
from model.estimators.refusals import refusals
from tasks.annotate.delta_theta import delta_theta
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.parts import annotate_part, of_width, part_states, to_rotvec
from tasks.estimators import estimator_info


def annotate_body(job: ShardJob) -> pa.Table:
    """Annotates the bodies of one shard, see ``annotate_part``; SMPL poses are carried over to SMPL-X."""
    config = job.config

    def columns(output: BodyOutput) -> dict[str, Values]:
        if estimator_info("body", config.body).skeleton == "smpl":
            transfer = delta_theta(config.body_model, job.workspace.work)
            output = smplx_output(output, transfer, config.smpl_to_smplx)
        return body_columns(output, job.size)

    return annotate_part("body", job, body_schema(job.size), columns, ["valid"])


def smplx_output(output: BodyOutput, transfer: DeltaTheta, composition: Composition) -> BodyOutput:
    """SMPL poses and betas as those of SMPL-X; the orientation of the pelvis is the same in both.

    Args:
        output: What the estimator said, with SMPL's joints and betas.
        transfer: The way from one rest pose and shape space to the other.
        composition: How the pose is carried over.
    """
    pose = transfer.apply(torch.from_numpy(np.asarray(output.body_pose, np.float64)), composition)
    betas = transfer.betas(torch.from_numpy(np.asarray(output.betas, np.float64)))
    return dataclasses.replace(output, body_pose=pose.numpy(), betas=betas.numpy())


def body_columns(output: BodyOutput, size: BodySize = DEFAULT_SIZE) -> dict[str, Values]:
    """Turns an estimator's output into the columns of the body file, a row a person."""
    reasons = refusals(output.valid, output.reasons, ErrorCode.BODY_NOT_FOUND)
    return {
        "valid": np.asarray(output.valid, bool),
        "score": output.score,
        "global_orient": to_rotvec(output.global_orient),
        "body_pose": to_rotvec(output.body_pose),
        "betas": of_width(output.betas, size.num_betas),
        "sigma_rad": output.sigma_rad,
        **part_states([{"body": reason} for reason in reasons]),
    }
