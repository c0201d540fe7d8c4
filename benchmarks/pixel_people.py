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
from fitting.picture_parts import PicturePart
from fitting.problem import Problem
from fitting.refine import fit_people
from fitting.result import parameters_of
from fitting.solver import Solution
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.batches import take_rows
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.imaging.camera import Camera, project
from model.metrics.joints import similarity_align
from model.renderer.people import Appearance, RestShape, dress, light_person, paint, sample_appearance
from model.renderer.raster import Raster, vertex_normals
from model.renderer.sites import Sites
from model.renderer.texture.light import light_terms
from model.renderer.texture.renderer import TextureRenderer
from model.renderer.texture.texture import Texture
from tasks.synthetic.person import RenderedPerson, SyntheticConfig, render_person
from tasks.synthetic.pose import CROPS, FACING_CAMERA, sample_person

SPACING_M = 0.012
"""Longest edge of a piece of the surface with a colour of its own."""
LEARNT_FROM = 99
"""Seed of the people that the renderer is learnt from."""
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
def _rest() -> RestShape:
    return RestShape.from_assets(open_ehm().assets)


def look_of(framing: str, seed: int, index: int) -> Appearance:
    """What person ``index`` of `close_ups` looks like."""
    rng = np.random.default_rng([seed, index])
    sample_person(rng, _rest().joints_m, [float(crop == framing) for crop in CROPS])
    return sample_appearance(rng)


def close_ups(
    framing: str, count: int, *, seed: int, keep: Callable[[Appearance], bool] | None = None, size_px: int = 256
) -> list[RenderedPerson]:
    """Photos of people of whom the camera shows one part, nothing before it; `keep` chooses whom."""
    shares = tuple(float(crop == framing) for crop in CROPS)
    config = SyntheticConfig(
        seed=seed, image_width=size_px, image_height=size_px, occluder_share=0.0, crop_shares=shares
    )
    wanted = (k for k in itertools.count() if keep is None or keep(look_of(framing, seed, k)))
    return [render_person(k, config, open_ehm(), _rest()) for k in itertools.islice(wanted, count)]


def make_trial(people: list[RenderedPerson], framing: str, *, seed: int, off: Off | None = None) -> Trial:
    """Fits people to keypoints with noise, from estimates that are off."""
    off, rng, count = off or OFF[framing], np.random.default_rng([seed, 11]), len(people)
    names = people[0].truth.keys() - {"keypoints_2d"}
    truth = EhmParameters.from_columns({name: np.stack([one.truth[name] for one in people]) for name in names})

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32)

    def turns(sigma_deg: float, *shape: int) -> Tensor:
        return so3.exp(tensor(rng.normal(0, sigma_deg * _DEG, (count, *shape, 3))))

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
    hands = torch.stack([truth.left_hand_pose, truth.right_hand_pose], 1)
    lids = np.random.default_rng([seed, 12]).normal(0, off.eyelids, (count, 2))
    blank = Coarse.unknown(count)
    coarse = replace(
        blank,
        global_orient=truth.global_orient @ turns(off.root_deg),
        body_pose=truth.body_pose @ turns(off.body_deg, 21),
        hand_pose=hands @ turns(off.finger_deg, 2, 15),
        jaw_pose=so3.exp(jaw),
        flame_expression=truth.flame_expression + tensor(rng.normal(0, off.expression, truth.flame_expression.shape)),
        eyelids=(truth.eyelids + tensor(lids)).clamp(0, 1),
        eye_pose=truth.eye_pose,
        body_valid=torch.ones(count, dtype=torch.bool),
        hand_valid=torch.tensor([not is_face, False]).expand(count, 2),
        face_valid=torch.full((count,), is_face),
        sigma_rad=torch.full((count, 22), off.body_deg * _DEG),
        hand_sigma_rad=torch.full((count, 2), off.finger_deg * _DEG),
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


def true_looks(people: list[RenderedPerson], seed: int, renderer: TextureRenderer) -> list[TextureRenderer]:
    """The renderer with the colours that each of the first people of `close_ups` has, up to the white balance."""
    faces = np.asarray(open_ehm().assets.smplx.faces)
    found = []
    for index, one in enumerate(people):
        look = look_of(one.scene["crop"], seed, index)
        surface = torch.from_numpy(paint(look, _rest(), _points(renderer.sites), faces).astype(np.float32) / 255)
        texture = renderer.texture
        # What a camera's white balance makes of them.
        balance = 0.05 * surface * torch.eye(3)[:, None]
        own = Texture(surface, balance, texture.offset_m, texture.light_mean, texture.light_factor)
        found.append(TextureRenderer(renderer.normals.corners.T, renderer.sites, own))
    return found


def without_shape(part: PicturePart) -> PicturePart:
    """The part, with a face shape that does not step: without keypoints, shape and scale of a head say the same."""
    layout, groups = part.body.layout, part.body.num_groups
    start = layout.coefficients.start + groups[0] + groups[1]
    shape = (part.columns >= start) & (part.columns < start + groups[2])
    return replace(part, columns=part.columns[~shape])


def _points(sites: Sites) -> Raster:
    """Sites as what is painted."""
    face, weights = sites.face.numpy()[None].astype(np.int32), sites.weights.numpy()[None]
    return Raster(face, weights, np.ones((1, len(sites)), np.float32))


def _sides(people: EhmParameters, framing: str, camera: Camera) -> Tensor:
    """Longer sides (B,) of the boxes of the part in the photos."""
    points = project(_posed(people)[:, _rows(framing)], camera)
    return (points.amax(1) - points.amin(1)).amax(1)


def _rows(framing: str) -> Tensor:
    """Vertices of the part."""
    if framing == "face":
        return torch.from_numpy(np.flatnonzero(_rest().on_head > 0.5))
    return torch.from_numpy(np.asarray(open_ehm().assets.hand_vertex_ids["left"], dtype=np.int64))


@torch.no_grad()
def _posed(people: EhmParameters) -> Tensor:
    return open_ehm()(people).vertices


def errors_of(trial: Trial, state: State) -> dict[str, Tensor]:
    """Errors (B,) of a state, by their names."""
    found, truth = parameters_of(open_sparse(), state), trial.truth
    vertices, true = _posed(found), _posed(truth)
    rest, part = _rest(), _rows(trial.framing)

    def across(rows: Tensor) -> Tensor:
        """mm, along the picture."""
        mine, its = vertices[:, rows], true[:, rows]
        return (mine[..., :2] / mine[..., 2:] * its[..., 2:] - its[..., :2]).norm(dim=-1).mean(1) * 1e3

    if trial.framing != "face":
        aligned = similarity_align(vertices[:, part], true[:, part])
        return {
            "fingers deg": so3.angle_between(found.left_hand_pose, truth.left_hand_pose).mean(1) / _DEG,
            "hand PA mm": (aligned - true[:, part]).norm(dim=-1).mean(1) * 1e3,
            "in-plane mm": across(part),
        }
    joints, points = rest.joints_m, rest.points_m
    front = points[part, 2] > joints["head"][2] + 0.02
    face = part[torch.from_numpy(front & (points[part, 1] < joints["left_eye"][1] + 0.03))]
    still = EhmParameters.neutral(len(vertices), betas=truth.betas, flame_shape=truth.flame_shape)

    def alone(people: EhmParameters) -> Tensor:
        """Faces that differ in jaw, expression and eyelids alone."""
        kept = {name: getattr(people, name) for name in ("jaw_pose", "flame_expression", "eyelids")}
        return _posed(replace(still, **kept))

    apart = (alone(found) - alone(truth)).norm(dim=-1) * 1e3
    aligned = similarity_align(vertices[:, face], true[:, face])
    return {
        "lips mm": apart[:, torch.from_numpy(rest.regions["lips"] > 0.5)].mean(1),
        "eyelids": (found.eyelids - truth.eyelids).abs().mean(1),
        "eyelids mm": apart[:, torch.from_numpy(rest.regions["eyelids"] > 0.5)].mean(1),
        "jaw rad": (so3.log(found.jaw_pose) - so3.log(truth.jaw_pose))[:, 0].abs(),
        "head scale %": (found.head_scale / truth.head_scale - 1).abs().mean(1) * 100,
        "in-plane mm": across(face),
        "face mm": apart[:, face].mean(1),
        "face PA mm": (aligned - true[:, face]).norm(dim=-1).mean(1) * 1e3,
    }


def learn_renderer(
    count: int, directions: int, keep: Callable[[Appearance], bool] | None = None, spacing_m: float = SPACING_M
) -> TextureRenderer:
    """A renderer of head and hands, from the looks of so many people; `keep` chooses whose."""
    rest, assets = _rest(), open_ehm().assets
    faces = np.asarray(assets.smplx.faces)
    middles = rest.points_m[faces].mean(1)
    near = (middles[:, 1] > rest.joints_m["neck"][1] - 0.06) | (
        np.abs(middles[:, 0]) > rest.joints_m["left_elbow"][0] + 0.06
    )
    ids = torch.from_numpy(faces).long()
    spacing = torch.from_numpy(np.where(near, spacing_m, 0.0)).float()
    sites = Sites.spread(ids, torch.from_numpy(rest.points_m).float(), spacing)
    points = _points(sites)
    bare = rest.points_m @ FACING_CAMERA.as_matrix().T
    surfaces, offsets, lights = [], np.zeros(len(bare)), []
    rng = np.random.default_rng(LEARNT_FROM)
    while len(surfaces) < count:
        look = sample_appearance(rng)
        light, ambient = tuple(rng.normal([-0.3, -0.8, -0.8], [0.7, 0.3, 0.3])), float(rng.uniform(0.42, 0.65))
        if keep is not None and not keep(look):
            continue
        dressed = dress(bare, faces, look, rest)
        offsets += np.linalg.norm(dressed - bare, axis=1) / count
        surface = paint(look, rest, points, faces)
        lit = light_person(look, rest, dressed, faces, points, light, ambient)
        surfaces.append(torch.from_numpy(surface.astype(np.float32) / 255))
        normals = torch.from_numpy(vertex_normals(dressed, faces)).float()[None]
        terms = light_terms(torch.nn.functional.normalize(sites.at(normals)[0], dim=-1))
        colours, seen = surfaces[-1], torch.from_numpy(lit.astype(np.float32) / 255)
        squares = colours.square().sum(1, keepdim=True)
        lights.append(torch.linalg.solve(terms.T @ (terms * squares), terms.T @ (colours * seen).sum(1)))
    rows = torch.stack(surfaces).flatten(1)
    mean = rows.mean(0)
    _, lengths, ways = torch.linalg.svd(rows - mean, full_matrices=False)
    found = (ways[:directions] * (lengths[:directions, None] / math.sqrt(count))).view(directions, -1, 3)
    light = torch.stack(lights)
    spread = torch.linalg.cholesky(torch.cov(light.T) + 1e-5 * torch.eye(light.shape[1]))
    texture = Texture(mean.view(-1, 3), found, torch.from_numpy(offsets).float(), light.mean(0), spread)
    return TextureRenderer(ids, sites, texture)
