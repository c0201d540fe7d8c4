"""Known truth as labels: rendered people become label shards without any estimator or fit.

A part is valid where the camera sees it: the body if it sees at least half of shoulders, elbows, wrists and hips, a
hand or the face if it sees at least half of their points. A joint is seen, as in fitted labels, if it sees a keypoint
that shows how the joint is turned. Keypoints are the projected truth; the score of one is whether it is seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from datasets_manifest.schema.columns import table_from_rows
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.error_codes import BoxSource, ErrorCode, Status
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES, make_sample_id
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.selection import LabelSet
from datasets_manifest.shards.shard import finished_footer, read_footer, read_shard
from datasets_manifest.shards.store import shard_path, write_shard
from model.body.ehms import EHMs
from model.body.skeleton import FACE, JOINT_KEYPOINTS, LEFT_HAND, RIGHT_HAND
from tasks.revisions import REVISIONS
from tasks.synthetic.person import SyntheticConfig
from tasks.synthetic.render import TRUTH_FILE, TRUTH_SCHEMA, synthesise
from tasks.version import code_version

FRAMING_POINTS = tuple(range(5, 13))
"""Shoulders, elbows, wrists and hips among the 133 keypoints: what a body in the picture shows of itself."""
VALID_SHARE = 0.5
"""Share of a part's points that must be seen for it to supervise."""
LICENCE = "Rendered by this project from its own body model; no person is shown."

_COPIED = (
    "image_width",
    "image_height",
    "person",
    "bbox_xyxy",
    "keypoints_2d",
    "focal_px",
    "principal_px",
)
_POSE = LABEL_PARAMETERS


def label_truth(dataset_dir: Path, labels_dir: Path, *, dataset: str = "synthetic", split: str = "all") -> Path:
    """Writes the truth of rendered people as one label shard, unless it is there.

    Args:
        dataset_dir: Folder with ``images/`` and ``truth.parquet``.
        labels_dir: The shard becomes ``<labels_dir>/<dataset>/<split>/00000.parquet``.
        dataset: Name of the data set in the rows.
        split: Its split.

    Returns:
        Path of the shard. A person of whom no part is seen is a failed row.

    Raises:
        ValueError: There is no truth, or it cannot be read.
    """
    truth_path = Path(dataset_dir) / TRUTH_FILE
    if not truth_path.is_file():
        raise ValueError(f"There is no {truth_path}; render the people first.")
    truth = read_footer(truth_path)
    stated = {
        "step": "truth",
        "revision": REVISIONS["truth"],
        "settings": {"valid_share": VALID_SHARE},
        "reads": {"truth": truth.config_hash},
        "body_model": dict(truth.body_model),
    }
    footer = Footer(
        config=stated,
        code_version=code_version(),
        manifest={"id": dataset, "version": "1", "hash": truth.config_hash, "licence": LICENCE},
        shard="00000",
        body_model=truth.body_model,
        created_utc=truth.created_utc,
    )
    path = shard_path(labels_dir, dataset, split, 0)
    if not finished_footer(path, footer.config_hash):
        people = read_shard(truth_path, TRUTH_SCHEMA).to_pylist()
        rows = [_label_row(person, dataset, split) for person in people]
        write_shard(path, table_from_rows(rows, LABEL_SCHEMA), footer)
    return path


def synthetic_people(
    folder: Path, config: SyntheticConfig, body: EHMs, *, jobs: int = 1, dataset: str = "synthetic", split: str = "all"
) -> LabelSet:
    """Renders people into a folder and labels them with their truth, unless that is done.

    Args:
        folder: ``images/``, ``truth.parquet`` and ``labels/`` go there; one folder a seed.
        config: What to render; sets of different seeds share no person.
        body: The body model.
        jobs: Processes; the files are the same for any number.
        dataset: Name of the data set in the rows.
        split: Its split.

    Returns:
        Labels and photos, as a training takes them.

    Raises:
        ValueError: ``jobs`` is below 1.
    """
    folder = Path(folder)
    synthesise(folder, config, body, jobs=jobs)
    shard = label_truth(folder, folder / "labels", dataset=dataset, split=split)
    return LabelSet(path=str(shard.parent), images=str(folder))


def _label_row(person: Mapping[str, Any], dataset: str, split: str) -> dict[str, Any]:
    keypoints = np.reshape(person["keypoints_2d"], (-1, 3))
    seen = keypoints[:, 2] > 0
    points = (list(FRAMING_POINTS), LEFT_HAND, RIGHT_HAND, FACE)
    valid = {part: bool(seen[rows].mean() >= VALID_SHARE) for part, rows in zip(PART_NAMES, points, strict=True)}
    image_id = PurePosixPath(person["image"]).with_suffix("").as_posix()
    row: dict[str, Any] = {
        "sample_id": make_sample_id(dataset, split, image_id, person["person"]),
        "dataset": dataset,
        "split": split,
        "image": person["image"],
        **{name: person[name] for name in _COPIED},
        "bbox_source": BoxSource.MANIFEST,
        **{f"{part}_valid": good for part, good in valid.items()},
        **_state(valid),
    }
    if not any(valid.values()):
        return row
    return row | {
        **{name: person[name] for name in _POSE},
        "hand_scale": np.ones(3, np.float32),
        **{f"reproj_{part}_px": 0.0 for part, good in valid.items() if good},
        "reproj_rel": 0.0,
        "inlier_ratio": 1.0,
        "joint_seen": np.array([seen[list(rows)].any() for rows in JOINT_KEYPOINTS.values()]),
        "moved_rad": 0.0,
        "iterations": 0,
        "converged": True,
        "quality": 1.0,
    }


def _state(valid: Mapping[str, bool]) -> dict[str, Any]:
    unseen = [part for part, good in valid.items() if not good]
    if not unseen:
        return {"status": Status.OK}
    status = Status.PARTIAL if any(valid.values()) else Status.FAILED
    detail = f"less than {VALID_SHARE:.0%} of the points is seen of: {', '.join(unseen)}"
    return {"status": status, "error_code": ErrorCode.KEYPOINTS_TOO_FEW, "error_detail": detail}
