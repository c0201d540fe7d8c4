"""Who is who where rendered people cross, from what the default estimator finds of them.

Two or three people of `tasks.synthetic.groups` pass each other before one camera within a second, of which every other
frame is looked at. Somebody who is found is the person whose outline's box theirs overlaps by a half or more.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.cases import Bench
from benchmarks.table import Row
from benchmarks.track_cases import NOBODY, TRACK_COLUMNS, Detections, iou, scored
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.estimators import ImageInput, create
from model.estimators.base import KeypointEstimator
from model.renderer.people import RestShape
from tasks.synthetic.groups import GroupConfig, View, make_world, render_view
from tasks.tracks.films import body_points

NUM_FRAMES, EVERY = 32, 2
PEOPLE = (2, 3)
_LEAST_OVERLAP = 0.5


def make_clip(people: int, seed: int, estimator: KeypointEstimator, ehm: EHMs, rest: RestShape) -> list[Detections]:
    """Who is found in each frame of one clip."""
    config = GroupConfig(count=people, frames=NUM_FRAMES, people=people, seed=seed)
    group = people - 1
    world = make_world(group, config, ehm, rest)
    camera = world.cameras[0]
    frames = []
    for frame in range(0, NUM_FRAMES, EVERY):
        view = render_view(group * NUM_FRAMES + frame, world, config, ehm, rest)
        image = ImageInput(
            image_id=str(frame), rgb=view.rgb, focal_px=camera.focal_px, principal_px=camera.principal_px
        )
        found = estimator.estimate(image, None, None)
        boxes = np.asarray(found.boxes_xyxy, float).reshape(-1, 4)
        keypoints = body_points(found.keypoints, found.sigma_px)
        frames.append(Detections(boxes_xyxy=boxes, keypoints=keypoints, truth=_who(boxes, view)))
    return frames


def _who(boxes_xyxy: np.ndarray, view: View) -> np.ndarray:
    """Who people (P, 4) are (P,)."""
    overlap = np.array([[iou(box, person["bbox_xyxy"]) for person in view.people] for box in boxes_xyxy])
    truth = np.full(len(boxes_xyxy), NOBODY)
    if len(boxes_xyxy):
        for at, person in zip(*linear_sum_assignment(-overlap), strict=True):
            truth[at] = person if overlap[at, person] >= _LEAST_OVERLAP else NOBODY
    return truth


def rendered_cases(bench: Bench) -> list[Row]:
    """Numbers of people, and methods."""
    estimator, ehm = create("keypoints", "mediapipe"), EHMs(load_open_body())
    rest = RestShape.from_assets(ehm.assets)
    rows = []
    for people in PEOPLE:
        seeds = range(bench.seed * 1000, bench.seed * 1000 + (bench.clips + 1) // 2)
        clips = [make_clip(people, seed, estimator, ehm, rest) for seed in seeds]
        rows += scored(f"{people} people", clips)
    return rows


CASES = {"rendered": (rendered_cases, TRACK_COLUMNS)}
