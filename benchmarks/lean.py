"""Lean of standing people towards the camera: fitted beside true, on rendered people seen from above and below.

    python -m benchmarks.lean --folder work/lean      the table of docs/benchmarks/fitting.md; three minutes on one core

A camera that is pitched down sees an upright person lean towards it by its pitch; the truth of rendered people has that
in it. Focal lengths other than the true one show what an assumed one costs.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.rendered_people import Refitted, annotate_rendered, refitted
from benchmarks.table import Column, Row, markdown, number
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE
from model.batches import map_tensors
from model.body.assets import load_open_body
from model.body.parameters import EhmParameters
from model.body.skeleton import ANKLES, HIPS, KEYPOINT_NAMES, KNEES, SHOULDERS
from model.metrics.person import PosedByParameters

Array = NDArray[np.float64]
SEED = 7
FOCAL_FACTORS = (1.0, 0.625, 1.6)
"""Assumed over true focal length: true, that of a long lens taken for a short one, and the other way round."""
MAX_BEND_DEG = 50.0
"""Hips and knees of people who stand are turned less."""
_SEEN = [
    KEYPOINT_NAMES.index(f"{side}_{name}")
    for name in ("shoulder", "hip", "knee", "ankle")
    for side in ("left", "right")
]
COLUMNS = (
    Column(title="focal length", text=number("factor", "{:.3g} of the true one")),
    Column(title="people", text=number("people", "{:d}", 1)),
    Column(title="true lean, 5 / 50 / 95 %", text=lambda row: " / ".join(f"{value:.0f}" for value in row["true"])),
    Column(title="fitted - true, median", text=number("median", "{:+.1f}")),
    Column(title="spread", text=number("spread")),
    Column(title="slope", text=number("slope", "{:.2f}")),
    Column(title="fitted where the true lean is 0", text=number("at_zero", "{:+.1f}")),
)


def lean_deg(joints_m: Array) -> Array:
    """Angle (B,) by which the middle of the shoulders is nearer to the camera than that of the ankles.

    Args:
        joints_m: (B, J, 3) SMPL-X joints, camera frame.
    """
    axis = joints_m[:, SHOULDERS].mean(1) - joints_m[:, ANKLES].mean(1)
    return np.degrees(np.arctan2(-axis[:, 2], -axis[:, 1]))


def row_of(people: Refitted, factor: float) -> Row:
    """Standing people who are seen from shoulders to feet."""
    bends = people.truth.known("body_pose")[:, [joint - 1 for joint in (*HIPS, *KNEES)]]
    cosine = (bends.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    is_standing = (cosine > np.cos(np.radians(MAX_BEND_DEG))).all(1)
    chosen = is_standing & ~people.result.reprojection.residual_px[:, _SEEN].isnan().any(1)
    true, fitted = (_joints(which)[chosen.numpy()] for which in (people.truth, people.result.parameters))
    true, fitted = lean_deg(true), lean_deg(fitted)
    slope, at_zero = np.polyfit(true, fitted, 1)
    off = fitted - true
    return {
        "factor": factor,
        "people": len(off),
        "true": np.percentile(true, [5, 50, 95]).tolist(),
        "median": float(np.median(off)),
        "spread": 1.48 * float(np.median(np.abs(off - np.median(off)))),
        "slope": float(slope),
        "at_zero": float(at_zero),
    }


def _joints(people: EhmParameters) -> Array:
    pose = PosedByParameters(load_open_body(), DEFAULT_SIZE)
    return pose(map_tensors(people, torch.Tensor.float)).joints.double().numpy()


def main(arguments: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=96, help="rendered people")
    parser.add_argument("--folder", type=Path, default=Path("work/lean"), help="where these are kept")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    annotate_rendered(options.folder, options.people, SEED, crop_shares=(1.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    print(markdown([row_of(refitted(options.folder, "people", factor), factor) for factor in FOCAL_FACTORS], COLUMNS))


if __name__ == "__main__":
    main()
