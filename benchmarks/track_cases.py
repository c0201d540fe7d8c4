"""Who is who over the frames of a clip: identity switches and IDF1 where people cross, against greedy overlap of boxes.

People of `benchmarks.synthetic_people` walk to and fro across one picture, cross, and go from one random pose to the
next. Detections are their 23 points of body and feet with noise of 3 px, in random order; 3 % are missed, whoever is
covered by more than 70 % is missed, and 3 % of the frames have somebody who is not there.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.optimize import linear_sum_assignment

from benchmarks.cases import Bench, mean, spread
from benchmarks.measure import timed
from benchmarks.synthetic_people import StudyConfig, make_people
from benchmarks.table import METHOD, Column, Row
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.renderer.people import RestShape
from tasks.synthetic.person import SyntheticConfig, render_person
from tasks.tracks.association import Tracker
from tasks.tracks.cuts import is_cut, look_of
from tasks.tracks.settings import TrackConfig

NUM_FRAMES = 150
NUM_POINTS = 23
FOCAL_PX = 1600.0
PRINCIPAL_PX = np.array([640.0, 480.0])
KEY_EVERY = 20
SCENES = ((2, 1), (4, 1), (4, 3), (8, 1))
"""(people, every which frame is looked at) at 30 frames a second."""
NOBODY = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Detections:
    """P people of a frame."""

    boxes_xyxy: np.ndarray
    """(P, 4) px."""
    keypoints: np.ndarray
    """(P, 23, 2) px, NaN where not seen."""
    truth: np.ndarray
    """(P,) who it is; ``NOBODY`` for somebody who is not there."""


def make_scene(body: SparseBody, people: int, every: int, seed: int) -> list[Detections]:
    """The frames of one scene."""
    rng = np.random.default_rng([seed, people, every])
    times = np.arange(NUM_FRAMES) * every
    keys = 2 + int(times[-1]) // KEY_EVERY
    drawn = make_people(body, people * keys, seed, StudyConfig(height_px=(300, 450)))
    first = torch.arange(people).repeat_interleave(keys) * keys
    state = replace(
        drawn.truth, coefficients=drawn.truth.coefficients[first], log_head_scale=drawn.truth.log_head_scale[first]
    )
    points = body.forward(state).points_cam[:, :NUM_POINTS].double().numpy()
    points -= points.mean(1, keepdims=True)
    spline = CubicSpline(np.arange(keys) * KEY_EVERY, points.reshape(people, keys, NUM_POINTS, 3), axis=1)
    depth = FOCAL_PX * 1.7 / rng.uniform(300, 450, (people, 1))
    turns = times / rng.uniform(120, 240, (people, 1)) + rng.uniform(0, 1, (people, 1))
    place = np.stack([0.3 * depth * np.sin(2 * np.pi * turns), np.zeros_like(turns), depth + 0 * turns], -1)
    moving = spline(times) + place[:, :, None]
    pixels = FOCAL_PX * moving[..., :2] / moving[..., 2:] + PRINCIPAL_PX
    return [_seen(pixels[:, frame], np.argsort(depth[:, 0]), rng) for frame in range(NUM_FRAMES)]


def _seen(pixels: np.ndarray, nearest_first: np.ndarray, rng: np.random.Generator) -> Detections:
    """What is detected of people (N, 23, 2)."""
    found: list[tuple[np.ndarray, np.ndarray, int]] = []
    for person in nearest_first:
        keypoints = pixels[person] + rng.normal(0, 3, (NUM_POINTS, 2))
        box = _box(keypoints)
        covered = max((_overlap(box, other) for _, other, _ in found), default=0.0)
        if covered <= 0.7 and rng.uniform() >= 0.03:
            found.append((keypoints, box, int(person)))
    if rng.uniform() < 0.03:
        keypoints = pixels[rng.integers(len(pixels))] + rng.uniform(-300, 300, 2)
        found.append((keypoints, _box(keypoints), NOBODY))
    order = rng.permutation(len(found))
    return Detections(
        boxes_xyxy=np.array([found[k][1] for k in order]).reshape(-1, 4),
        keypoints=np.array([found[k][0] for k in order]).reshape(-1, NUM_POINTS, 2),
        truth=np.array([found[k][2] for k in order], int),
    )


def _box(keypoints: np.ndarray) -> np.ndarray:
    return np.concatenate([keypoints.min(0), keypoints.max(0)])


def _area(box: np.ndarray) -> float:
    return float(np.prod(np.clip(box[2:] - box[:2], 0, None)))


def _overlap(box: np.ndarray, other: np.ndarray) -> float:
    """Share of a box that another covers."""
    return _area(np.concatenate([np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])])) / _area(box)


def greedy(frames: Sequence[Detections]) -> list[np.ndarray]:
    """The simplest there is: with the boxes of the last 30 frames, those that overlap most first, from .3 on."""
    last: dict[int, tuple[np.ndarray, int]] = {}
    tracks, number = [], 0
    for at, frame in enumerate(frames):
        last = {key: value for key, value in last.items() if at - value[1] <= 30}
        own = np.full(len(frame.truth), -1)
        pairs = [(iou(b, box), key, p) for p, b in enumerate(frame.boxes_xyxy) for key, (box, _) in last.items()]
        taken = set()
        for overlap, key, person in sorted(pairs, reverse=True):
            if overlap >= 0.3 and own[person] < 0 and key not in taken:
                own[person] = key
                taken.add(key)
        for person in np.flatnonzero(own < 0):
            own[person], number = number, number + 1
        last |= {int(key): (frame.boxes_xyxy[person], at) for person, key in enumerate(own)}
        tracks.append(own)
    return tracks


def iou(box: np.ndarray, other: np.ndarray) -> float:
    """Area that two boxes have in common, by that of both."""
    both = _overlap(box, other) * _area(box)
    return both / (_area(box) + _area(other) - both)


def followed(frames: Sequence[Detections], *, by_keypoints: bool) -> list[np.ndarray]:
    """The tracks of `tasks.tracks`."""
    tracker = Tracker(TrackConfig())
    return [tracker.add(frame.boxes_xyxy, frame.keypoints if by_keypoints else None) for frame in frames]


METHODS: dict[str, Callable[[Sequence[Detections]], list[np.ndarray]]] = {
    "greedy overlap of boxes": greedy,
    "tracks by boxes": partial(followed, by_keypoints=False),
    "tracks by boxes and keypoints": partial(followed, by_keypoints=True),
}


def score(frames: Sequence[Detections], tracks: Sequence[np.ndarray]) -> dict[str, float]:
    """How often somebody changes their track, IDF1 of all detections, and how many tracks real people have."""
    pairs: Counter[tuple[int, int]] = Counter()
    last: dict[int, int] = {}
    switches = 0
    for frame, own in zip(frames, tracks, strict=True):
        for person, number in zip(frame.truth.tolist(), own.tolist(), strict=True):
            if person != NOBODY:
                pairs[person, number] += 1
                switches += last.get(person, number) != number
                last[person] = number
    people, numbers = sorted({person for person, _ in pairs}), sorted({number for _, number in pairs})
    counts = np.array([[pairs[person, number] for number in numbers] for person in people])
    right = counts[linear_sum_assignment(-counts)].sum()
    return {
        "switches": float(switches),
        "idf1": float(2 * right / (counts.sum() + sum(len(own) for own in tracks))),
        "tracks": float(len(numbers)),
    }


def scored(kind: str, scenes: Sequence[Sequence[Detections]]) -> list[Row]:
    """A row a method, of scenes of one kind."""
    rows = []
    for method, track in METHODS.items():
        values: dict[str, list[float]] = {"ms": []}
        for frames in scenes:
            tracks, seconds = timed(partial(track, frames), torch.device("cpu"))
            values["ms"].append(1e3 * seconds / len(frames))
            for name, value in score(frames, tracks).items():
                values.setdefault(name, []).append(value)
        rows.append({"method": f"{kind}: {method}"} | {name: np.array(own) for name, own in values.items()})
    return rows


def crossing_cases(bench: Bench) -> list[Row]:
    """Kinds of scenes, and methods."""
    rows = []
    for people, every in SCENES:
        seeds = range(bench.seed * 1000, bench.seed * 1000 + 2 * bench.clips)
        how = "every frame" if every == 1 else f"one frame in {every}"
        rows += scored(f"{people} people, {how}", [make_scene(bench.body, people, every, seed) for seed in seeds])
    return rows


def cut_cases(bench: Bench) -> list[Row]:
    """How many changes of the picture are taken for a cut, by what changes."""
    ehm, count = EHMs(load_open_body()), 8 * bench.clips
    rest = RestShape.from_assets(ehm.assets)
    config = SyntheticConfig(count=count, seed=bench.seed, image_width=256, image_height=320, supersample=1)
    photos = [render_person(index, config, ehm, rest).rgb for index in range(count)]
    side, edge = config.image_width // 5, config.image_width // 8
    changes = {
        "another photo": list(pairwise(photos)),
        "camera turned by a fifth of the picture": [(rgb[:, :-side], rgb[:, side:]) for rgb in photos],
        "camera nearer by a quarter": [(rgb, rgb[edge:-edge, edge:-edge]) for rgb in photos],
        "light brighter by 40 %": [(rgb, np.clip(1.4 * rgb, 0, 255).astype(np.uint8)) for rgb in photos],
    }
    rows = []
    for name, pairs in changes.items():
        looks = [[look_of(np.ascontiguousarray(rgb)) for rgb in pair] for pair in pairs]
        rows.append({"method": name, "cut": np.array([is_cut(*pair) for pair in looks])})
    return rows


TRACK_COLUMNS = (
    METHOD,
    Column(title="switches a scene", text=spread("switches")),
    Column(title="IDF1", text=spread("idf1")),
    Column(title="tracks", text=mean("tracks", "{:.1f}")),
    Column(title="ms a frame", text=mean("ms", "{:.2f}")),
)
CUT_COLUMNS = (
    Column(title="what changes", text=lambda row: str(row["method"])),
    Column(title="pairs", text=lambda row: str(len(row["cut"]))),
    Column(title="taken for a cut", text=lambda row: str(np.sum(row["cut"]))),
    Column(title="%", text=lambda row: f"{100 * np.mean(row['cut']):.0f}"),
)
CASES = {"tracks": (crossing_cases, TRACK_COLUMNS), "cuts": (cut_cases, CUT_COLUMNS)}
