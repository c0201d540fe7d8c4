"""SMPL-X parameters that stand beside a COCO file by annotation id, as UBody has them.

Neutral body, hands as turns from the relaxed pose (``flat_hand_mean`` false), rotations as axis-angle, metres; the
focal length of some 35,000 px makes every depth meaningless.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datasets_manifest.adapters.coco_files import load_json
from datasets_manifest.adapters.coco_values import RowError, numbers
from datasets_manifest.paths import inside
from datasets_manifest.schema.truth_3d import Truth3d

_PARAMETERS = {
    "root_pose": ("global_orient", 3),
    "body_pose": ("body_pose", 63),
    "shape": ("betas", 10),
    "trans": ("transl", 3),
    "lhand_pose": ("left_hand_pose", 45),
    "rhand_pose": ("right_hand_pose", 45),
    "jaw_pose": ("jaw_pose", 3),
    "expr": ("expression", 10),
}
"""Name in the file -> ours and how many numbers."""


def load_smplx(root: Path, relative: str) -> Mapping[str, Any]:
    """Entries by annotation id.

    Raises:
        ValueError: The file is not there, or no JSON object.
    """
    path = inside(root, relative, links="follow")
    content = load_json(path, "file of SMPL-X parameters")
    if not isinstance(content, dict):
        raise ValueError(f"The file of SMPL-X parameters {path} must be an object with an entry an annotation id.")
    return content


def smplx_truth(entry: Any) -> Truth3d:
    """The 3D truth of an entry.

    Raises:
        RowError: A parameter is missing or has other numbers, or the camera has.
    """
    stated = entry.get("smplx_param") if isinstance(entry, dict) else None
    if not isinstance(stated, dict):
        raise RowError("its entry of SMPL-X has no smplx_param.")
    parameters = {
        name: np.array(numbers(stated, key, count, "of SMPL-X"), np.float32)
        for key, (name, count) in _PARAMETERS.items()
    }
    camera, intrinsics = entry.get("cam_param"), None
    if isinstance(camera, dict) and camera:
        focal, principal = (numbers(camera, name, 2, "of SMPL-X").tolist() for name in ("focal", "princpt"))
        intrinsics = (focal[0], focal[1], principal[0], principal[1])
    return Truth3d(frame="camera", model="smplx", parameters=parameters, intrinsics_px=intrinsics)
