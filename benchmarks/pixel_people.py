"""Rendered people in close-up, fitted to keypoints that are off, and a renderer learnt over others: what the benchmark
of the refinement by pixels and its tests take.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from benchmarks.trial import state_of_parameters
from fitting import so3
from fitting.inputs import Coarse, Observations
from fitting.problem import Problem
from fitting.refine import fit_people
from fitting.solver import Solution
from fitting.sparse_body import SparseBody
from model.batches import take_rows
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.imaging.camera import Camera, project
from model.renderer.people import Appearance, RestShape, sample_appearance
from tasks.synthetic.person import RenderedPerson, Surroundings, SyntheticConfig, draw_person
from tasks.synthetic.pose import CROPS, finger_axes, sample_person

FRAMINGS = {"face": 2, "left_hand": 0}
"""Framing -> number of the part that it shows, among `fitting.picture_parts.PARTS`."""
_DEG = math.pi / 180


@dataclass(frozen=True, kw_only=True, slots=True)
class Off:
    """How far keypoints and estimates are off; standard deviations. Shape and distance are not known at all."""

    keypoints: float
    """Noise of keypoints, an axis, as a share of the part's box."""
    bias: float = 0.0
    """The same of an offset that each keypoint has in everybody; both are what the keypoints state."""
    jaw_rad: float = 0.12
    expression: float = 0.6
    root_deg: float = 5.0
    body_deg: float = 5.5
    finger_deg: float = 9.4
    """Joints, an axis."""
    hinge_deg: float | None = None
    """Fingers along their hinges, bent at each joint and spread at the first, in place of all axes; None: as above."""
    eyelids: float = 0.2
    """Of their closure, within 0..1."""


EXACT = Off(keypoints=1e-3, jaw_rad=1e-6, expression=1e-6, root_deg=1e-6, body_deg=1e-6, finger_deg=1e-6, eyelids=1e-6)
"""Hardly at all."""
OFF = {"face": Off(keypoints=4 / 130), "left_hand": Off(keypoints=3 / 90)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """B people in one framing, fitted to their keypoints."""

    problem: Problem
    """Keypoints and priors."""
    solution: Solution
    """What the engine makes of them."""
    truth: EhmParameters
    """The people."""
    photos: list[np.ndarray]
    """(h, w, 3) uint8 each."""
    masks: list[np.ndarray | None]
    """(h, w) uint8 each, exact; None: not known."""
    framing: str
    """One of `FRAMINGS`."""

    def take_rows(self, index: Tensor) -> "Trial":
        """Some of the people."""
        return replace(
            self,
            problem=self.problem.take_rows(index),
            solution=take_rows(self.solution, index),
            truth=take_rows(self.truth, index),
            photos=[self.photos[row] for row in index.tolist()],
            masks=[self.masks[row] for row in index.tolist()],
        )


@lru_cache(maxsize=1)
def open_ehm() -> EHMs:
    """The open body as a mesh."""
    return EHMs(load_open_body()).eval()


@lru_cache(maxsize=1)
def open_sparse() -> SparseBody:
    """The same at its keypoints."""
    return SparseBody.from_assets(open_ehm().assets)


@lru_cache(maxsize=1)
def open_rest() -> RestShape:
    """The same at rest."""
    return RestShape.from_assets(open_ehm().assets)


def look_of(framing: str, seed: int, index: int) -> Appearance:
    """What person ``index`` of `close_ups` looks like."""
    rng = np.random.default_rng([seed, index])
    sample_person(rng, open_rest().joints_m, [float(crop == framing) for crop in CROPS])
    return sample_appearance(rng)


def close_ups(
    framing: str,
    count: int,
    *,
    seed: int,
    keep: Callable[[Appearance], bool] | None = None,
    shift: Callable[[np.random.Generator], Surroundings] | None = None,
    size_px: int = 256,
) -> list[RenderedPerson]:
    """Photos of people of whom the camera shows one part, nothing before it.

    Args:
        framing: which part.
        count: how many.
        seed: of the people.
        keep: chooses whom by their looks.
        shift: makes their surroundings; None: those of the rendered data set.
        size_px: side of the photos.
    """
    wanted = (k for k in itertools.count() if keep is None or keep(look_of(framing, seed, k)))
    return [_photo(framing, seed, k, shift, size_px) for k in itertools.islice(wanted, count)]


@lru_cache(maxsize=256)
def _photo(
    framing: str, seed: int, index: int, shift: Callable[[np.random.Generator], Surroundings] | None, size_px: int
) -> RenderedPerson:
    shares = tuple(float(crop == framing) for crop in CROPS)
    config = SyntheticConfig(
        seed=seed, image_width=size_px, image_height=size_px, occluder_share=0.0, crop_shares=shares
    )
    ehm, rest, rng = open_ehm(), open_rest(), np.random.default_rng([seed, index])
    person = sample_person(rng, rest.joints_m, shares)
    about = shift and shift(np.random.default_rng([seed, index, 1]))
    return draw_person(person, rng, config, ehm, rest, about)


def make_trial(people: list[RenderedPerson], framing: str, *, seed: int, off: Off | None = None) -> Trial:
    """Fits people to keypoints with noise, from estimates that are off."""
    off, rng, count = off or OFF[framing], np.random.default_rng([seed, 11]), len(people)
    names = people[0].truth.keys() - {"keypoints_2d"}
    truth = EhmParameters.from_columns({name: np.stack([one.truth[name] for one in people]) for name in names})

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32)

    def turns(sigma_deg: float, *shape: int) -> Tensor:
        return so3.exp(tensor(rng.normal(0, sigma_deg * _DEG, (count, *shape, 3))))

    def on_hinges(hands: Tensor, sigma_deg: float) -> Tensor:
        axes = [finger_axes(open_rest().joints_m, side) for side in ("left", "right")]
        bend, spread = (np.stack(each) * sigma_deg * _DEG for each in zip(*axes, strict=True))
        is_first = np.arange(15)[:, None] % 3 == 0
        both = rng.normal(0, 1, (2, count, 2, 15, 1))
        return so3.exp(so3.log(hands) + tensor(both[0] * bend + both[1] * spread * is_first))

    camera = Camera(
        focal_px=tensor(np.array([one.truth["focal_px"] for one in people])),
        principal_px=tensor(np.stack([one.truth["principal_px"] for one in people])),
    )
    clean = np.stack([one.truth["keypoints_2d"][:, :2] for one in people])
    size = np.array([one.rgb.shape[1::-1] for one in people])[:, None]
    box = _sides(truth, framing, camera).numpy()[:, None]
    # The same landmarks are off in the same direction in everybody.
    fixed = np.random.default_rng(17).normal(0, 1, clean.shape[1:])
    moved = clean + (off.keypoints * rng.normal(0, 1, clean.shape) + off.bias * fixed) * box[..., None]
    inside = ((clean > 0) & (clean < size)).all(-1)
    sigma = np.where(inside, math.hypot(off.keypoints, off.bias) * box, np.inf)
    is_face = framing == "face"
    jaw = so3.log(truth.jaw_pose) + tensor(rng.normal(0, np.array([1, 0.2, 0.2]) * off.jaw_rad, (count, 3)))
    hands, finger_deg = torch.stack([truth.left_hand_pose, truth.right_hand_pose], 1), off.hinge_deg or off.finger_deg
    lids = np.random.default_rng([seed, 12]).normal(0, off.eyelids, (count, 2))
    blank = Coarse.unknown(count)
    coarse = replace(
        blank,
        global_orient=truth.global_orient @ turns(off.root_deg),
        body_pose=truth.body_pose @ turns(off.body_deg, 21),
        hand_pose=hands @ turns(finger_deg, 2, 15) if off.hinge_deg is None else on_hinges(hands, finger_deg),
        jaw_pose=so3.exp(jaw),
        flame_expression=truth.flame_expression + tensor(rng.normal(0, off.expression, truth.flame_expression.shape)),
        eyelids=(truth.eyelids + tensor(lids)).clamp(0, 1),
        eye_pose=truth.eye_pose,
        body_valid=torch.ones(count, dtype=torch.bool),
        hand_valid=torch.tensor([not is_face, False]).expand(count, 2),
        face_valid=torch.full((count,), is_face),
        sigma_rad=torch.full((count, 22), off.body_deg * _DEG),
        hand_sigma_rad=torch.full((count, 2), finger_deg * _DEG),
    )
    seen = Observations(keypoints_px=tensor(moved), sigma_px=tensor(sigma))
    [(problem, solution)] = fit_people(open_sparse(), seen, coarse, camera)
    return Trial(
        problem=problem,
        solution=solution,
        truth=truth,
        photos=[one.rgb for one in people],
        masks=[one.shown_mask for one in people],
        framing=framing,
    )


def at_truth(trial: Trial) -> Trial:
    """The same people where they truly are, with keypoints that say next to nothing: pixels alone, from the truth."""
    people = trial.problem.people
    problem = replace(trial.problem, people=replace(people, precision=people.precision * 1e-3))
    state = state_of_parameters(open_sparse(), trial.truth, trial.solution.state)
    return replace(trial, problem=problem, solution=replace(trial.solution, state=state))


def _sides(people: EhmParameters, framing: str, camera: Camera) -> Tensor:
    """Longer sides (B,) of the boxes of the part in the photos."""
    points = project(posed(people)[:, part_vertices(framing)], camera)
    return (points.amax(1) - points.amin(1)).amax(1)


def part_vertices(framing: str) -> Tensor:
    """Vertices of the part."""
    if framing == "face":
        return torch.from_numpy(np.flatnonzero(open_rest().on_head > 0.5))
    return torch.from_numpy(np.asarray(open_ehm().assets.hand_vertex_ids["left"], dtype=np.int64))


@torch.no_grad()
def posed(people: EhmParameters) -> Tensor:
    return open_ehm()(people).vertices
