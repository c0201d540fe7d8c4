"""Parts that the data set knows, in the place of what the estimators found: bodies, and with them hands and faces.

Wrists and heads are turned as the body turns them. A face that is known by its jaw alone keeps the estimator's
expression, whose space is not SMPL-X's; without one it is neutral.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from datasets_manifest.schema.columns import Columns, joined, table_from_columns
from datasets_manifest.schema.ehm_fields import BodySize
from datasets_manifest.schema.labels import ErrorCode, Refusal
from datasets_manifest.schema.part_files import HANDS_SCHEMA, face_schema
from model.body.assets import BodyAssets
from model.body.skeleton import HEAD, NUM_MAIN_JOINTS, SMPLX_PARENTS, WRISTS
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.steps.hands import SIDES
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.known_bodies import with_known_bodies
from tasks.annotate.steps.parts import of_width, part_states, to_rotmat, to_rotvec
from tasks.annotate.steps.truth import KnownPeople
from tasks.body_model import ehm_assets


def own_body(config: AnnotateConfig) -> BodyAssets | None:
    """The body of the labels where it is SMPL-X, whose parameters data sets ship; None for the open one."""
    return None if config.body_model.path is None else ehm_assets(config.body_model).smplx


def with_known_parts(job: ShardJob, parts: Mapping[str, Columns], known: KnownPeople) -> dict[str, Columns]:
    """Rows (P,) of the parts, those of people whose body the data set knows with what it knows."""
    body = with_known_bodies(job, parts["body"], known)
    hands, face = parts["hands"], parts["face"]
    people: list[int] = np.flatnonzero(known.has_body).tolist()
    with_hands = [person for person in people if known.hands(person)]
    with_head = [person for person in people if known.head(person)]
    if with_hands:
        hands = _replaced(hands, with_hands, _hands(hands, with_hands, body, known), HANDS_SCHEMA)
    if with_head:
        face = _replaced(face, with_head, _faces(face, with_head, body, known, job.size), face_schema(job.size))
    return {**parts, "body": body, "hands": hands, "face": face}


def _replaced(part: Columns, people: list[int], columns: Mapping[str, Any], schema: Any) -> Columns:
    """Rows of a part with others in the place of those of K people: what is not among the columns stays."""
    table = part.take(np.array(people)).table
    own = {name: table[name] for name in table.column_names} | dict(columns)
    others = np.setdiff1d(np.arange(part.num_rows), people)
    return Columns(
        joined([table_from_columns(own, schema), part.take(others).table], schema, [np.array(people), others])
    )


def _turns(body: Columns, people: list[int]) -> np.ndarray:
    """(K, 22, 3, 3) global rotations of root and body joints, in the camera."""
    rows = body.take(np.array(people))
    local = np.concatenate([rows["global_orient"][:, None], rows["body_pose"].reshape(-1, 21, 3)], axis=1)
    turns = to_rotmat(local)
    for joint in range(1, NUM_MAIN_JOINTS):
        turns[:, joint] = turns[:, SMPLX_PARENTS[joint]] @ turns[:, joint]
    return turns


def _hands(hands: Columns, people: list[int], body: Columns, known: KnownPeople) -> dict[str, Any]:
    table, turns = hands.take(np.array(people)).table, to_rotvec(_turns(body, people))
    columns: dict[str, Any] = {}
    poses, sigmas = [known.hands(person) for person in people], _sigmas(known, people)
    for side, wrist in zip(SIDES, WRISTS, strict=True):
        name = f"{side}_hand_pose"
        own = {
            f"{side}_valid": [True] * len(people),
            f"{side}_score": [1.0] * len(people),
            f"{side}_error_code": [None] * len(people),
            f"{side}_error_detail": [None] * len(people),
            name: [pose.get(name) for pose in poses],
            f"{side}_wrist_orient": list(turns[:, wrist]),
            f"{side}_sigma_rad": sigmas,
        }
        for column, values in own.items():
            found = table[column].to_pylist()
            columns[column] = [values[row] if name in pose else found[row] for row, pose in enumerate(poses)]
    refused = [
        [None if valid else Refusal(ErrorCode(code), detail or "") for valid, code, detail in zip(*said, strict=True)]
        for said in ([columns[f"{side}_{what}"] for what in ("valid", "error_code", "error_detail")] for side in SIDES)
    ]
    sides = [f"{side}_hand" for side in SIDES]
    return columns | part_states([dict(zip(sides, both, strict=True)) for both in zip(*refused, strict=True)])


def _sigmas(known: KnownPeople, people: list[int]) -> list[float]:
    return [truth.pose_sigma_rad for person in people if (truth := known.truths[person]) is not None]


def _faces(face: Columns, people: list[int], body: Columns, known: KnownPeople, size: BodySize) -> dict[str, Any]:
    rows, turns = face.take(np.array(people)), _turns(body, people)
    found = rows["valid"]

    def before(name: str, width: int) -> np.ndarray:
        """(K, width) of the estimator, zeros where it found nothing."""
        return np.where((found & rows.has(name))[:, None], rows[name].reshape(len(people), width), 0.0)

    heads = [known.head(person) for person in people]
    columns: dict[str, Any] = {}
    widths = {"jaw_pose": 3, "eyelids": 2, "flame_shape": size.num_flame_shape, "flame_expression": size.num_expression}
    for name, width in widths.items():
        columns[name] = before(name, width)
        for row, head in enumerate(heads):
            if name in head:
                columns[name][row] = of_width(np.asarray(head[name])[None], width)[0]
    eyes, eyes_valid = before("eye_pose", 6), found & rows["eyes_valid"]
    for row, head in enumerate(heads):
        own = np.concatenate([head.get(name, np.zeros(3)) for name in ("leye_pose", "reye_pose")])
        if own.any():
            eyes[row], eyes_valid[row] = own, True
    return columns | {
        "valid": np.ones(len(people), bool),
        "eyes_valid": eyes_valid,
        "eyelids_valid": np.array(["eyelids" in head for head in heads]) | (found & rows["eyelids_valid"]),
        "score": np.ones(len(people)),
        "eye_pose": eyes,
        "head_orient": to_rotvec(turns[:, HEAD]),
        "sigma_rad": _sigmas(known, people),
        **part_states([{"face": None}] * len(people)),
    }
