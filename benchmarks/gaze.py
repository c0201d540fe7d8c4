"""Where eyes look, by the default face estimator: error against rendered truth by the size of the face.

    python -m benchmarks.gaze                        the table of docs/benchmarks/estimators.md, two minutes on one core

Faces are rendered as in `tasks/synthetic`, but heads are turned at most 45 degrees from the camera, and eyes are open,
turned up to 20 degrees to the sides and 15 up and down; one face in eight is closing its eyes. The photo of a face is
shrunk for the smaller ones, so that all rows show the same people.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from benchmarks.table import Column, Row, markdown, number, pair
from model.body.skeleton import FACE, SMPLX_JOINT_NAMES
from model.estimators import create
from model.estimators.base import PersonBatch
from model.estimators.mediapipe.graphs.regions import Region
from model.estimators.mediapipe.graphs.runner import networks
from model.estimators.mediapipe.search.face_landmarks import read_face
from model.estimators.mediapipe.search.heads import REGION_FACTOR
from model.estimators.mediapipe.search.person import PersonReading, to_evidence
from model.renderer.people import RestShape
from tasks.body_model import full_body
from tasks.settings import BodyModelConfig
from tasks.synthetic.person import RenderedPerson, SyntheticConfig, draw_person
from tasks.synthetic.pose import FACING_CAMERA, sample_person

Array = NDArray[np.float64]
SIDE_PX = 640
SCALES = (1.0, 0.5, 0.25, 0.1875, 0.125)
HEAD_YAW_DEG, EYES_DEG = 45.0, (15.0, 20.0)
"""Largest turn of the head from the camera, and of the eyes: up and down, to the sides."""
OPEN_LIDS, CLOSING_LIDS, CLOSING_SHARE = (-0.45, 0.15), (0.3, 1.0), 1 / 8
"""Closure of the eyelids; below 0 eyes are wider open than those of the mean face, which are drowsy."""
COLUMNS = (
    Column(title="face, px", text=number("face_px", "{:.0f}")),
    Column(title="eye, px", text=number("eye_px", "{:.0f}")),
    Column(title="faces", text=number("faces", "{:d}", 1)),
    Column(title="gaze stated %", text=number("stated", "{:.0f}", 100)),
    Column(title="of closing eyes %", text=number("closed_stated", "{:.0f}", 100)),
    Column(title="error deg, mean / median", text=pair("error", "error_median", "{:.1f} / {:.1f}")),
    Column(title="straight ahead deg", text=number("ahead")),
    Column(title="gain deg, +- se", text=pair("gain", "gain_se", "{:.1f} +- {:.1f}")),
    Column(title="slope across / up", text=pair("slope_yaw", "slope_pitch", "{:.2f} / {:.2f}")),
)


def faces(count: int, seed: int, supersample: int = 2) -> Iterator[RenderedPerson]:
    """Renders close-ups of faces that look somewhere."""
    ehm = full_body(BodyModelConfig())
    rest = RestShape.from_assets(ehm.assets)
    only_faces = (0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    config = SyntheticConfig(
        count=count,
        seed=seed,
        image_width=SIDE_PX,
        image_height=SIDE_PX,
        supersample=supersample,
        crop_shares=only_faces,
        occluder_share=0.0,
    )
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        person = sample_person(rng, rest.joints_m, only_faces)
        body_pose = np.zeros((21, 3))
        for name, turn in {"neck": rng.normal(0, 0.1, 3), "head": rng.normal(0, 0.12, 3)}.items():
            body_pose[SMPLX_JOINT_NAMES.index(name) - 1] = turn
        for name, down in {"left_shoulder": -1.2, "right_shoulder": 1.2}.items():
            body_pose[SMPLX_JOINT_NAMES.index(name) - 1, 2] = down
        yaw = math.radians(rng.uniform(-HEAD_YAW_DEG, HEAD_YAW_DEG))
        eyes = np.append(np.radians(rng.uniform(-1, 1, 2) * EYES_DEG), 0.0)
        lids = CLOSING_LIDS if rng.random() < CLOSING_SHARE else OPEN_LIDS
        changed = {
            "global_orient": (FACING_CAMERA * Rotation.from_rotvec([0, yaw, 0])).as_rotvec(),
            "body_pose": body_pose,
            "eye_pose": np.stack([eyes, eyes]),
            "eyelids": rng.uniform(*lids) + rng.normal(0, 0.03, 2),
        }
        changed = {name: np.asarray(value, np.float32) for name, value in changed.items()}
        yield draw_person(replace(person, parameters={**person.parameters, **changed}), rng, config, ehm, rest)


def looks(rotvec: Array) -> Array:
    """Direction (N, 3) of eyes turned by (N, 3)."""
    return Rotation.from_rotvec(rotvec).apply([0.0, 0.0, 1.0])


def errors(people: list[RenderedPerson], scale: float) -> Row:
    """The row of one size."""
    face = create("face", "mediapipe")
    said, stated, closed = np.zeros((len(people), 3)), np.zeros(len(people), bool), np.zeros(len(people), bool)
    heights, widths = np.zeros(len(people)), np.zeros(len(people))
    for k, person in enumerate(people):
        rgb = np.ascontiguousarray(cv2.resize(person.rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
        points = np.asarray(person.truth["keypoints_2d"])[FACE, :2] * scale
        heights[k] = np.ptp(points[:, 1])
        widths[k] = max(np.linalg.norm(points[36] - points[39]), np.linalg.norm(points[42] - points[45]))
        closed[k] = np.max(person.truth["eyelids"]) > CLOSING_LIDS[0]
        x, y = (points.min(0) + points.max(0)) / 2
        mesh = read_face(networks(), rgb, Region(float(x), float(y), REGION_FACTOR * float(np.ptp(points, 0).max())))
        batch = PersonBatch(
            images=[rgb],
            boxes_xyxy=np.asarray(person.truth["bbox_xyxy"])[None] * scale,
            keypoints=np.zeros((1, 133, 3)),
            sigma_px=np.full((1, 133), np.inf),
            focal_px=np.array([person.truth["focal_px"] * scale]),
            principal_px=np.asarray(person.truth["principal_px"])[None] * scale,
            evidence=to_evidence([PersonReading(pose=None, face=mesh, face_offset=0.0)]),
        )
        output = face.estimate(batch)
        said[k], stated[k] = output.eye_pose[0, :3], output.eyes_valid[0]
    true = looks(np.array([person.truth["eye_pose"][0] for person in people]))
    found_look, used = looks(said), stated & ~closed
    error, ahead = (
        np.degrees(np.arccos(np.clip((direction * true).sum(-1), -1, 1)))[used]
        for direction in (found_look, np.broadcast_to([0.0, 0.0, 1.0], true.shape))
    )
    row = {"face_px": np.median(heights), "eye_px": np.median(widths), "faces": len(people)}
    row |= {name: stated[of].mean() for name, of in (("stated", ~closed), ("closed_stated", closed)) if of.any()}
    if used.sum() < 3:
        return row
    gain = ahead - error
    return row | {
        "error": error.mean(),
        "error_median": np.median(error),
        "ahead": ahead.mean(),
        "gain": gain.mean(),
        "gain_se": gain.std() / math.sqrt(len(gain)),
        "slope_yaw": np.polyfit(true[used, 0], found_look[used, 0], 1)[0],
        "slope_pitch": np.polyfit(true[used, 1], found_look[used, 1], 1)[0],
    }


def main(arguments: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    people = list(faces(options.faces, options.seed))
    print(markdown([errors(people, scale) for scale in SCALES], COLUMNS))


if __name__ == "__main__":
    main()
