"""One person over several cameras, against rays that pass near each other.

People of `benchmarks.rig_crowd` before a ring of cameras that knows its extrinsics. Each camera has followed them; what
is asked is which of its tracks are the same person in another camera.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import connected_components

from benchmarks.cases import Bench, mean, spread
from benchmarks.measure import timed
from benchmarks.rig_crowd import Crowd, make_crowd, some, swapped
from benchmarks.rig_people import disturbed
from benchmarks.table import METHOD, Column, Row
from fitting.rigs.inputs import Rig
from fitting.sparse_body import SparseBody
from model.body.skeleton import BODY_AND_FEET
from model.imaging.camera import from_pixels
from tasks.tracks.pieces import Tracked
from tasks.tracks.views import group_tracks

MOMENTS = 30
NEAR_M = 0.15
"""Mean distance of two people's rays up to which the baselines take them for one."""
LOST_MOMENTS = 6


def lost(crowd: Crowd, seed: int) -> Crowd:
    """Every camera loses everybody for some moments, each at a time of its own, and numbers them anew afterwards."""
    rng, people = np.random.default_rng([seed, 1]), crowd.people
    track, kept = people.track.copy(), np.ones(len(people.track), bool)
    for camera, who in np.unique(np.stack([people.camera, people.track], 1), axis=0).tolist():
        start = int(rng.integers(3, MOMENTS - LOST_MOMENTS - 3))
        own = (people.camera == camera) & (people.track == who)
        kept &= ~(own & (start <= people.frame) & (people.frame < start + LOST_MOMENTS))
        track[own & (people.frame >= start)] += 100
    return Crowd(people=some(replace(people, track=track), kept), truth=crowd.truth[kept])


def off(crowd: Crowd, seed: int) -> Crowd:
    """Cameras that are not where they are said to be, but the first: by 0.5 degrees and 1 cm."""
    people = crowd.people
    placed = torch.from_numpy(people.world_to_camera[np.unique(people.camera, return_index=True)[1]])
    none = torch.zeros(len(placed), dtype=torch.long)
    rig = Rig(
        rotation=placed[..., :3], translation_m=placed[..., 3], moment=none, time_s=none.double(),
        camera_index=torch.arange(len(placed)),
    )  # fmt: skip
    moved = disturbed(rig, 0.5, 0.01, seed)
    stated = torch.cat([moved.rotation, moved.translation_m[..., None]], -1).numpy()
    return replace(crowd, people=replace(people, world_to_camera=stated[people.camera]))


def swap(crowd: Crowd, _seed: int) -> Crowd:
    """Two people change places in the tracks of one camera, half way."""
    return replace(crowd, people=swapped(crowd.people, 1, MOMENTS // 2))


def hidden(crowd: Crowd, seed: int) -> Crowd:
    """Every camera sees five people throughout and the others never."""
    rng = np.random.default_rng([seed, 2])
    number = int(crowd.truth.max()) + 1
    seen = np.array([rng.permutation(number) < 5 for _ in range(int(crowd.people.camera.max()) + 1)])
    own = seen[crowd.people.camera, crowd.truth]
    return Crowd(people=some(crowd.people, own), truth=crowd.truth[own])


def one_moment(crowd: Crowd, seed: int) -> Crowd:
    """The same at the first moment alone."""
    crowd = hidden(crowd, seed)
    own = crowd.people.frame == 0
    return Crowd(people=some(crowd.people, own), truth=crowd.truth[own])


def as_it_is(crowd: Crowd, _seed: int) -> Crowd:
    """All moments, right tracks and cameras."""
    return crowd


Change = Callable[[Crowd, int], Crowd]
KINDS: dict[str, tuple[int, int, float, Change]] = {
    "2 people, 2 cameras": (2, 2, 0.6, as_it_is),
    "4 people, 4 cameras": (4, 4, 0.6, as_it_is),
    "8 people, 4 cameras": (8, 4, 0.3, as_it_is),
    "8 people, each of 4 cameras sees 5": (8, 4, 0.3, hidden),
    "8 people, each of 4 cameras sees 5, at one moment": (8, 4, 0.3, one_moment),
    "4 people, 4 cameras off by 0.5 degrees and 1 cm": (4, 4, 0.6, off),
    "4 people, 4 cameras, all tracks lost for a while": (4, 4, 0.6, lost),
    "4 people, 4 cameras, two swapped in one": (4, 4, 0.6, swap),
    "2 people, 2 cameras, two swapped in one": (2, 2, 0.6, swap),
}
"""People, cameras, distance of the first two (m), and what is changed."""


class _Rays:
    """Rays of body and feet of the people of a group."""

    def __init__(self, people: Tracked) -> None:
        ray = from_pixels(people.observations.keypoints_px, people.pinholes).double()[:, BODY_AND_FEET]
        turn, shift = people.world_to_camera[..., :3].astype(float), people.world_to_camera[..., 3].astype(float)
        direction = np.concatenate([ray.numpy(), np.ones((*ray.shape[:2], 1))], -1) @ turn
        self.direction = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
        self.centre = -np.einsum("pji,pj->pi", turn, shift)
        self.seen = torch.isfinite(people.observations.sigma_px[:, BODY_AND_FEET]).numpy()

    def apart_m(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Mean distance (A, B) of the rays of people (A,) and (B,)."""
        normal = np.cross(self.direction[one][:, None], self.direction[other])
        base = (self.centre[other] - self.centre[one][:, None])[:, :, None]
        distance = np.abs((base * normal).sum(-1)) / np.linalg.norm(normal, axis=-1).clip(min=1e-6)
        both = self.seen[one][:, None] & self.seen[other]
        return (distance * both).sum(-1) / both.sum(-1).clip(min=1)


def by_rays(people: Tracked, *, whole_tracks: bool) -> np.ndarray:
    """Who everybody is (P,), by tracks of two cameras each whose rays are near, and those near to these.

    Args:
        people: Everybody.
        whole_tracks: Pairs are those of the least mean distance over all moments; else each moment has pairs of its
            own, and tracks are one where they are a pair in more than half of the moments in which both are seen.
    """
    rays = _Rays(people)
    numbers, node = np.unique(np.stack([people.camera, people.track], 1), axis=0, return_inverse=True)
    node = node.reshape(-1)
    count = len(numbers)
    distance_m, pairs, meetings = np.zeros((3, count, count))
    for moment in np.unique(people.frame):
        rows = [np.flatnonzero((people.frame == moment) & (people.camera == c)) for c in np.unique(people.camera)]
        for one, other in combinations(rows, 2):
            apart, at = rays.apart_m(one, other), np.ix_(node[one], node[other])
            distance_m[at] += apart
            meetings[at] += 1
            near = linear_sum_assignment(apart)
            near = tuple(chosen[apart[near] < NEAR_M] for chosen in near)
            pairs[node[one][near[0]], node[other][near[1]]] += 1
    is_one = pairs > meetings / 2
    if whole_tracks:
        is_one[:] = False
        mean_m = np.where(meetings > 0, distance_m / meetings.clip(min=1), 10.0)
        for one, other in combinations(np.unique(people.camera), 2):
            own, others = (np.flatnonzero(numbers[:, 0] == camera) for camera in (one, other))
            first, second = linear_sum_assignment(mean_m[np.ix_(own, others)])
            first, second = own[first], others[second]
            is_one[first, second] = mean_m[first, second] < NEAR_M
    return connected_components(is_one, directed=False)[1][node]


def joined(body: SparseBody, people: Tracked) -> np.ndarray:
    """Who everybody is, as `tasks.tracks.views` says."""
    return group_tracks(body, people).track


def score(people: Tracked, truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Pairs of two cameras and one moment: which share of those taken for one person are two, and of those who are
    one person are not found; IDF1 of everybody in all cameras, and how many people there are said to be."""
    together = (people.frame[:, None] == people.frame) & (people.camera[:, None] < people.camera)
    is_one, said = truth[:, None] == truth, found[:, None] == found
    counts = np.zeros((truth.max() + 1, found.max() + 1))
    np.add.at(counts, (truth, found), 1)
    return {
        "wrong": 100 * float((together & said & ~is_one).sum() / max((together & said).sum(), 1)),
        "missed": 100 * float((together & ~said & is_one).sum() / (together & is_one).sum()),
        "idf1": float(counts[linear_sum_assignment(-counts)].sum() / len(truth)),
        "found": float(len(np.unique(found))),
    }


def joining_cases(bench: Bench) -> list[Row]:
    """Kinds of groups, and methods."""
    methods: dict[str, Callable[[Tracked], np.ndarray]] = {
        "near rays, most moments": partial(by_rays, whole_tracks=False),
        "near rays, whole tracks": partial(by_rays, whole_tracks=True),
        "joined": partial(joined, bench.body),
    }
    rows = []
    for kind, (num_people, num_cameras, apart_m, change) in KINDS.items():
        seeds = range(bench.seed * 1000, bench.seed * 1000 + 2 * bench.clips)
        crowds = [
            change(make_crowd(bench.body, num_people, num_cameras, MOMENTS, seed, apart_m=apart_m), seed)
            for seed in seeds
        ]
        for method, join in methods.items():
            scored: dict[str, list[float]] = {"ms": []}
            for crowd in crowds:
                found, seconds = timed(partial(join, crowd.people), torch.device("cpu"))
                scored["ms"].append(1e3 * seconds / len(crowd.truth))
                for name, value in score(crowd.people, crowd.truth, found).items():
                    scored.setdefault(name, []).append(value)
            rows.append({"method": f"{kind}: {method}"} | {name: np.array(own) for name, own in scored.items()})
    return rows


COLUMNS = (
    METHOD,
    Column(title="wrongly joined %", text=spread("wrong")),
    Column(title="missed %", text=spread("missed")),
    Column(title="IDF1", text=spread("idf1")),
    Column(title="people said", text=mean("found", "{:.1f}")),
    Column(title="ms a person and view", text=mean("ms", "{:.2f}")),
)
CASES = {"joining": (joining_cases, COLUMNS)}
