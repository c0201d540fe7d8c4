"""Parts that a data set is not trusted for: nothing of them is used, and nothing of them may supervise.

A hand on a photo is found whether the data set is trusted for hands or not. Where it is not, because faces are blurred
or what is annotated there was never looked at, its points are as if nobody had seen them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.labels import BODY_GROUP_NAMES, PART_NAMES, ErrorCode, Refusal
from datasets_manifest.schema.trusted import TRUSTED_PARTS, TrustedPart
from model.body import skeleton
from model.estimators.base import KeypointsOutput

_POINTS: Mapping[TrustedPart, Sequence[int]] = {
    "body": (),  # The body is still fitted to its points: hands and head hang on it.
    "left_hand": range(*skeleton.LEFT_HAND.indices(skeleton.NUM_KEYPOINTS)),
    "right_hand": range(*skeleton.RIGHT_HAND.indices(skeleton.NUM_KEYPOINTS)),
    "face": range(*skeleton.FACE.indices(skeleton.NUM_KEYPOINTS)),
    "feet": range(*skeleton.FEET.indices(skeleton.NUM_KEYPOINTS)),
    "legs": (13, 14, 15, 16, *range(*skeleton.FEET.indices(skeleton.NUM_KEYPOINTS))),  # Hips are the torso's.
}
"""Points that are left out with a part."""
_LOOKED_AT: Mapping[str, Sequence[TrustedPart]] = {"hands": ("left_hand", "right_hand"), "face": ("face",)}
_LIMBS: Mapping[str, Sequence[str]] = {"body": BODY_GROUP_NAMES, "legs": ("left_leg", "right_leg")}


def trusted_of(people: Columns) -> np.ndarray:
    """(P, 6) which parts of people are trusted, in the order of ``TRUSTED_PARTS``; all where nothing is said."""
    if "trusted" not in people:
        return np.ones((people.num_rows, len(TRUSTED_PARTS)), bool)
    return people["trusted"] | ~people.has("trusted")[:, None]


def untrusted(part: str) -> Refusal:
    """Why a part of a person may not supervise."""
    return Refusal(ErrorCode.PART_UNTRUSTED, f"the data set is not trusted for the {part.replace('_', ' ')}")


def untrusted_rows(people: Columns, step: str) -> np.ndarray:
    """(P,) people of whom a data set is trusted for nothing that a step looks at; the body is always looked at."""
    parts = [TRUSTED_PARTS.index(part) for part in _LOOKED_AT.get(step, ())]
    return np.logical_not(trusted_of(people)[:, parts].any(1)) if parts else np.zeros(people.num_rows, bool)


def without_untrusted(found: KeypointsOutput, trusted: np.ndarray) -> KeypointsOutput:
    """What was found of P people, without the parts that are not among the trusted ones (P, 6)."""
    if trusted.all():
        return found
    keypoints, sigma_px, part_valid = (
        np.array(values) for values in (found.keypoints, found.sigma_px, found.part_valid)
    )
    parts, limbs = ([list(row) for row in rows] for rows in (found.part_details, found.limb_details))
    for person, column in zip(*np.nonzero(~trusted), strict=True):
        part = TRUSTED_PARTS[column]
        keypoints[person, _POINTS[part]], sigma_px[person, _POINTS[part]] = 0, np.inf
        if part in PART_NAMES:
            part_valid[person, PART_NAMES.index(part)] = False
            parts[person][PART_NAMES.index(part)] = untrusted(part).detail
        for limb in _LIMBS.get(part, ()):
            limbs[person][BODY_GROUP_NAMES.index(limb)] = untrusted(part).detail
    return replace(
        found,
        keypoints=keypoints,
        sigma_px=sigma_px,
        part_valid=part_valid,
        part_details=[tuple(row) for row in parts],
        limb_details=[tuple(row) for row in limbs],
    )
