"""The steps of a shard by name, in the order of their dependence."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from tasks.annotate.steps.body import annotate_body
from tasks.annotate.steps.face import annotate_face
from tasks.annotate.steps.hands import annotate_hands
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.keypoints import annotate_keypoints
from tasks.annotate.steps.refine import refine_labels

STEP_FUNCTIONS: dict[str, Callable[[ShardJob], pa.Table]] = {
    "keypoints": annotate_keypoints,
    "body": annotate_body,
    "hands": annotate_hands,
    "face": annotate_face,
    "refine": refine_labels,
}
"""Each gives the table of one shard at one step; ``tasks.annotate.steps.step.run_step`` writes it."""

READS: dict[str, tuple[str, ...]] = {
    "keypoints": (),
    "body": ("keypoints",),
    "hands": ("keypoints",),
    "face": ("keypoints",),
    "refine": ("keypoints", "body", "hands", "face"),
}
"""Steps whose files a step reads."""
