"""The steps of a shard by name, in the order of their dependence."""

from __future__ import annotations

from collections.abc import Callable

from tasks.body import annotate_body
from tasks.config import AnnotateConfig
from tasks.face import annotate_face
from tasks.hands import annotate_hands
from tasks.keypoints import annotate_keypoints
from tasks.refine import refine_labels
from tasks.step import ShardSummary
from tasks.workspace import ShardRef, Workspace

STEP_FUNCTIONS: dict[str, Callable[[ShardRef, Workspace, AnnotateConfig], ShardSummary]] = {
    "keypoints": annotate_keypoints,
    "body": annotate_body,
    "hands": annotate_hands,
    "face": annotate_face,
    "refine": refine_labels,
}
"""Plain functions; the flow wraps each in a task."""

READS: dict[str, tuple[str, ...]] = {
    "keypoints": (),
    "body": ("keypoints",),
    "hands": ("keypoints",),
    "face": ("keypoints",),
    "refine": ("keypoints", "body", "hands", "face"),
}
"""Steps whose files a step reads."""
