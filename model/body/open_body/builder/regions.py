"""Named vertex regions of the body: lips, ears, lids, eyes, nails, scalp, hands, ..."""

from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from model.body.open_body.builder.source import sample_mask
from model.body.open_body.builder.topology import Topology
from model.body.skeleton import SMPLX_JOINT_NAMES

_MASKS = {"lips": 100, "ears": 100, "eyelids": 60, "fingernails": 127, "toenails": 127, "face": 90}
"""Painted masks and the grey value above which a vertex belongs."""
IRIS_SHARE, PUPIL_SHARE = 0.52, 0.2
"""Radius of iris and pupil, in eyeball radii."""


def find_regions(
    root: Path,
    body: Topology,
    template: np.ndarray,
    joints: np.ndarray,
    head_ids: np.ndarray,
    hand_ids: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Region name -> mask (V,); `template` (V, 3) and `joints` (55, 3) are the mean body in T-pose.

    Painted masks are made symmetric: at a texture seam the two sides of the body may read different texels.
    """
    painted = {name: sample_mask(root, name, body.uv) > level for name, level in _MASKS.items()}
    _, twin = KDTree(template).query(template * [-1, 1, 1])
    regions = {name: mask | mask[twin] for name, mask in painted.items()}

    def mask(ids: np.ndarray) -> np.ndarray:
        chosen = np.zeros(len(template), bool)
        chosen[ids] = True
        return chosen

    regions["inner"] = body.inner()
    regions["mouth_cavity"] = regions["inner"] & mask(body.part_vertices("mouth_cavity"))
    regions["head"] = mask(head_ids)
    regions |= {f"{side}_hand": mask(ids) for side, ids in hand_ids.items()}
    regions |= dict.fromkeys(("eyes", "irises", "pupils"), np.zeros(len(template), bool))
    for side in ("left", "right"):
        ball = body.eyeball(side)
        from_centre = template[ball] - joints[SMPLX_JOINT_NAMES.index(f"{side}_eye")]
        radius = np.linalg.norm(from_centre, axis=1).max()
        off_axis = np.linalg.norm(from_centre[:, :2], axis=1)
        front = from_centre[:, 2] > 0
        regions["eyes"] = regions["eyes"] | mask(ball)
        regions["irises"] = regions["irises"] | mask(ball[front & (off_axis < IRIS_SHARE * radius)])
        regions["pupils"] = regions["pupils"] | mask(ball[front & (off_axis < PUPIL_SHARE * radius)])
    for name in ("lips", "ears", "eyelids", "face"):
        regions[name] &= ~regions["inner"] & regions["head"]
    regions["scalp"] = _scalp(regions, template, joints)
    return regions


def _scalp(regions: dict[str, np.ndarray], template: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Where hair grows: head skin outside face and ears, above the nape, behind or above the brow."""
    head, eye = (joints[SMPLX_JOINT_NAMES.index(name)] for name in ("head", "left_eye"))
    skin = regions["head"] & ~regions["face"] & ~regions["ears"] & ~regions["inner"]
    above = template[:, 1] > head[1] - 0.03
    return skin & above & ((template[:, 2] < eye[2] - 0.02) | (template[:, 1] > eye[1] + 0.045))
