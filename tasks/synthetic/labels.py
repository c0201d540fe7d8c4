"""Known truth as labels: rendered people become label shards without any estimator or fit.

A part is valid where the camera sees it: the body if it sees at least half of shoulders, elbows, wrists and hips, a
hand or the face if it sees at least half of their points. A joint is seen, as in fitted labels, if it sees a keypoint
that shows how the joint is turned. Keypoints are the projected truth; the score of one is whether it is seen.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns, Values, joined, table_from_columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.error_codes import BoxSource, ErrorCode, Status
from datasets_manifest.schema.labels import KEY_COLUMNS, LABEL_SCHEMA, PART_NAMES, make_sample_id
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

_COPIED = (*KEY_COLUMNS[3:], "bbox_xyxy", "keypoints_2d", "focal_px", "principal_px")


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
        people = Columns(read_shard(truth_path, TRUTH_SCHEMA))
        write_shard(path, label_table(people, dataset, split), footer)
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


def label_table(truth: Columns, dataset: str, split: str) -> pa.Table:
    """Labels of known people."""
    seen = truth["keypoints_2d"][..., 2] > 0
    points = (list(FRAMING_POINTS), LEFT_HAND, RIGHT_HAND, FACE)
    valid = np.stack([seen[:, part].mean(1) >= VALID_SHARE for part in points], 1)
    ids = [
        make_sample_id(dataset, split, PurePosixPath(image).with_suffix("").as_posix(), person)
        for image, person in zip(truth["image"], truth["person"], strict=True)
    ]
    joint_seen = np.stack([seen[:, list(own)].any(1) for own in JOINT_KEYPOINTS.values()], 1)
    is_labelled = valid.any(1)
    places = [np.flatnonzero(is_labelled), np.flatnonzero(~is_labelled)]
    tables = []
    for rows, names in zip(places, ((*_COPIED, *LABEL_PARAMETERS), _COPIED), strict=True):
        people, count = truth.take(rows).table, len(rows)
        columns: dict[str, Values] = {
            "sample_id": [ids[row] for row in rows],
            "dataset": [dataset] * count,
            "split": [split] * count,
            **{name: people[name] for name in names},
            "bbox_source": [BoxSource.MANIFEST] * count,
            **{f"{part}_valid": valid[rows, k] for k, part in enumerate(PART_NAMES)},
            **_states(valid[rows]),
        }
        if names != _COPIED:
            columns |= {
                "hand_scale": np.ones((count, 3), np.float32),
                **{f"reproj_{part}_px": np.where(valid[rows, k], 0, np.nan) for k, part in enumerate(PART_NAMES)},
                "joint_seen": joint_seen[rows],
                **{name: np.zeros(count) for name in ("reproj_rel", "moved_rad")},
                **{name: np.ones(count) for name in ("inlier_ratio", "quality")},
                "iterations": np.zeros(count, np.int32),
                "converged": np.ones(count, bool),
            }
        tables.append(table_from_columns(columns, LABEL_SCHEMA))
    return joined(tables, LABEL_SCHEMA, places)


def _states(valid: np.ndarray) -> dict[str, list[Any]]:
    """Status columns of people by which of their parts are valid, (N, 4)."""
    states: dict[str, list[Any]] = {"status": [], "error_code": [], "error_detail": []}
    for own in valid:
        unseen = [part for part, good in zip(PART_NAMES, own, strict=True) if not good]
        states["status"].append(Status.OK if not unseen else Status.PARTIAL if own.any() else Status.FAILED)
        states["error_code"].append(ErrorCode.KEYPOINTS_TOO_FEW if unseen else None)
        detail = f"less than {VALID_SHARE:.0%} of the points is seen of: {', '.join(unseen)}"
        states["error_detail"].append(detail if unseen else None)
    return states
