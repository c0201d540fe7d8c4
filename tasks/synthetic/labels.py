"""Known truth as labels: what a rendered person is, without any estimator or fit.

A part or limb is valid where the camera sees it (``model.body.shown``). A joint is seen, as in fitted labels, if it
sees a keypoint that shows how the joint is turned. Keypoints are the projected truth; the score of one is whether it is
seen. A person of whom no part is seen is a failed row, and still states all that is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.error_codes import BoxSource, ErrorCode, Status
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES, make_sample_id
from model.body.shown import SHOWN_SHARE, points_below, shown_limbs, shown_parts
from model.body.skeleton import BODY_GROUPS


def label_table(
    people: Sequence[Mapping[str, Any]], dataset: str, split: str, schema: pa.Schema = LABEL_SCHEMA
) -> pa.Table:
    """Labels of known people.

    Args:
        people: Label columns of each: photo, box, camera, keypoints and parameters.
        dataset: Name of the data set in the rows.
        split: Its split.
        schema: Of the labels, with the columns of groups or without.
    """
    count = len(people)
    shown = torch.from_numpy(np.stack([person["keypoints_2d"] for person in people])[..., 2] > 0)
    valid, limbs = shown_parts(shown).numpy(), shown_limbs(shown).numpy()
    ids = [
        make_sample_id(dataset, split, PurePosixPath(person["image"]).with_suffix("").as_posix(), person["person"])
        for person in people
    ]
    columns = {
        **{name: [person[name] for person in people] for name in people[0]},
        "sample_id": ids,
        "dataset": [dataset] * count,
        "split": [split] * count,
        "bbox_source": [BoxSource.MANIFEST] * count,
        "hand_scale": np.ones((count, 3), np.float32),
        **{f"{part}_valid": valid[:, k] for k, part in enumerate(PART_NAMES)},
        **{f"reproj_{part}_px": np.where(valid[:, k], 0, np.nan) for k, part in enumerate(PART_NAMES)},
        "joint_seen": points_below(shown).numpy(),
        **{name: np.zeros(count) for name in ("reproj_rel", "moved_rad")},
        "inlier_ratio": np.ones(count),
        **dict.fromkeys(["quality", *(f"{part}_quality" for part in PART_NAMES)], valid.any(1).astype(np.float32)),
        "body_group_valid": valid[:, :1] & limbs,
        "body_group_detail": [
            unseen_detail([limb for limb, good in zip(BODY_GROUPS, own, strict=True) if not good]) if body else None
            for own, body in zip(limbs, valid[:, 0], strict=True)
        ],
        "eyes_valid": valid[:, 3],
        "eyelids_valid": valid[:, 3],
        "iterations": np.zeros(count, np.int32),
        "converged": np.ones(count, bool),
        **_states(valid),
    }
    return table_from_columns(columns, schema)


def _states(valid: np.ndarray) -> dict[str, list[Any]]:
    """Status columns of people by which of their parts are valid, (N, 4)."""
    states: dict[str, list[Any]] = {"status": [], "error_code": [], "error_detail": []}
    for own in valid:
        unseen = [part for part, good in zip(PART_NAMES, own, strict=True) if not good]
        states["status"].append(Status.OK if not unseen else Status.PARTIAL if own.any() else Status.FAILED)
        states["error_code"].append(ErrorCode.KEYPOINTS_TOO_FEW if unseen else None)
        states["error_detail"].append(unseen_detail(unseen))
    return states


def unseen_detail(names: Sequence[str]) -> str | None:
    """What is said of parts or limbs of which too little is seen; None if there are none."""
    return f"less than {SHOWN_SHARE:.0%} of the points is seen of: {', '.join(names)}" if names else None
