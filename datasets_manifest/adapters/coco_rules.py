"""Which images and annotations of a file in COCO's form count, by what its layout leaves out and what rows say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from datasets_manifest.adapters.coco_files import video_of
from datasets_manifest.adapters.coco_index import CocoIndex
from datasets_manifest.adapters.coco_layout import CocoLayout, DropRule
from datasets_manifest.adapters.coco_values import is_crowd

TAKEN, ELSEWHERE, UNLABELLED = range(3)
"""What becomes of an image."""
RULES: tuple[DropRule, ...] = ("iscrowd", "num_keypoints", "valid_label")
"""Those that leave people out."""


def image_state(layout: CocoLayout, videos: frozenset[str] | None, image: Mapping[str, Any]) -> int:
    """What becomes of an image: it is taken, of another video, or not labelled."""
    is_of = videos is None or (video_of(image["file_name"]) in videos) == (layout.videos_are == "taken")
    return ELSEWHERE if not is_of else UNLABELLED if _drops(layout, "is_labeled", image) else TAKEN


def rule_against(layout: CocoLayout, row: Mapping[str, Any]) -> int:
    """Number of the rule that leaves a person out, from 1 on; 0 without one."""
    return next((number for number, rule in enumerate(RULES, 1) if _drops(layout, rule, row)), 0)


def _drops(layout: CocoLayout, rule: DropRule, row: Mapping[str, Any]) -> bool:
    """Whether a rule is on and leaves a row out; a file without its field has no such rows."""
    if rule not in layout.drop or rule not in row:
        return False
    return is_crowd(row) if rule == "iscrowd" else row[rule] in (0, "0")  # False is 0 too.


def is_taken(index: CocoIndex) -> np.ndarray:
    """(A,) whether annotations are of an image that is taken."""
    if not len(index.image_states):
        return np.zeros(len(index.images_of), bool)
    return (index.images_of >= 0) & (index.image_states[index.images_of] == TAKEN)
