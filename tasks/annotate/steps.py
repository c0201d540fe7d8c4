"""The steps of a shard by name, in the order of their dependence."""

from __future__ import annotations

from collections.abc import Callable

from tasks.annotate.body import annotate_body
from tasks.annotate.face import annotate_face
from tasks.annotate.hands import annotate_hands
from tasks.annotate.keypoints import annotate_keypoints
from tasks.annotate.refine import refine_labels
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.step import ShardSummary
from tasks.annotate.workspace import ShardRef, Workspace

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
