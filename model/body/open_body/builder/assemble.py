"""From the source's data to the stored arrays, one stage after the other."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.body.open_body.archive import pack_masks, pack_sparse
from model.body.open_body.builder.expression import expression_actions, expression_space
from model.body.open_body.builder.hands import HandSpace, hand_space
from model.body.open_body.builder.landmarks import FaceSurface, contour_table, face_landmarks, skin_keypoints
from model.body.open_body.builder.phenotype import PhenotypeMorphs, average_person, concatenate, sample_people
from model.body.open_body.builder.regions import find_regions
from model.body.open_body.builder.regressor import fit_joint_regressor
from model.body.open_body.builder.rig import Rig, load_rig, rest_joints
from model.body.open_body.builder.shape_space import HEAD_SECTIONS, ShapeSpace, principal_shapes, sample_heads
from model.body.open_body.builder.source import (
    SOURCE_PACKAGE,
    SOURCE_VERSION,
    data_root,
    read_base_mesh,
    read_face_actions,
    read_local_changes,
)
from model.body.open_body.builder.topology import Topology, cut_body, vertex_normals
from model.body.open_body.builder.tpose import t_pose
from model.body.open_body.builder.vertex_order import (
    MANO_NUMBERS,
    SMPL_NUMBERS,
    SMPLX_NUMBERS,
    inverse_order,
    numbered_order,
)
from model.body.open_body.builder.weights import hand_subset, head_subset, smplx_weights
from model.body.skeleton import SMPL_JOINT_NAMES, SMPLX_JOINT_NAMES, SMPLX_PARENTS

SEED = 0
NUM_BODIES, NUM_HEADS = 900, 900
NUM_BETAS, NUM_HEAD_SHAPES = 20, 100
"""Stored components."""
PELVIS_M = np.array([0.0, -0.35, 0.012])
"""Where every body's pelvis is put, as in SMPL-X."""
CHILD = {"age": 0.25, "height": 0.4}
EXPRESSIVE_M = 1e-3
"""A vertex that some face action moves further than this carries no neck, head or jaw joint."""
EYEBROW_RADIUS_M = 0.006
SMPL_REST_OFFSET_DEG = {"left_shoulder": -6, "right_shoulder": 6, "left_hip": 3, "right_hip": -3}
"""The SMPL-like body rests with arms 6 degrees lower and legs 3 degrees wider (rotations about z): a known answer for
code that converts poses between body models."""
_SIDES = ("left", "right")
_BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    root: Path
    num_base_vertices: int
    body: Topology
    rig: Rig
    morphs: PhenotypeMorphs
    actions: dict[str, np.ndarray]
    """Face action -> (V, 3) displacement."""
    eyeballs: dict[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Skin:
    rig_weights: np.ndarray
    """(V, K)."""
    weights: np.ndarray
    """(V, 55)."""
    jaw_open_rad: float
    head_ids: np.ndarray
    hand_ids: dict[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bodies:
    space: ShapeSpace
    child: np.ndarray
    """(V, 3)."""
    joints: np.ndarray
    """(55, 3) of the mean body."""
    regressor: np.ndarray
    """(55, V)."""
    joint_error_mm: np.ndarray
    """(N, 55) regressed against posed joints of the samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    shapes: ShapeSpace
    action_names: list[str]
    exprdirs: np.ndarray
    """(Vf, 3, A)."""
    from_actions: np.ndarray
    """(A, A)."""
    eyelids: np.ndarray
    """(Vf, 3, 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Marks:
    regions: dict[str, np.ndarray]
    landmarks: dict[int, int]
    contour: np.ndarray
    """(79, 17)."""
    keypoints: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbering:
    order: np.ndarray
    """(V,) old vertex of each new one."""
    number: np.ndarray
    """(V,) new vertex of each old one."""
    head_order: np.ndarray
    """(Vf,) order of the head subset that sorts its new numbers."""
    hands: dict[str, np.ndarray]
    """Side -> new body vertices in the hand model's own order."""
    smpl: np.ndarray
    """(Vs,) new body vertices in the SMPL-like body's own order."""


def build_arrays() -> tuple[dict[str, np.ndarray], dict]:
    """Compute the stored arrays and the sidecar (without the file's hash)."""
    body_rng, head_rng, expression_rng, hand_rng = (np.random.default_rng([SEED, k]) for k in range(4))
    source = _read_source()
    skin = _skin(source)
    bodies = _bodies(body_rng, source, skin)
    head = _head(head_rng, expression_rng, source, skin, bodies)
    hands = hand_space(hand_rng, bodies.joints)
    marks = _marks(source, skin, bodies)
    numbering = _number(source, skin, bodies, marks)
    stored = _stored(source, skin, bodies, head, hands, marks, numbering)
    return stored, _sidecar(source, skin, bodies, head, hands, marks, numbering)


def _read_source() -> _Source:
    root = data_root()
    mesh = read_base_mesh(root)
    body = cut_body(root, mesh)
    targets = read_face_actions(root)
    return _Source(
        root=root,
        num_base_vertices=len(mesh.vertices),
        body=body,
        rig=load_rig(root, mesh),
        morphs=PhenotypeMorphs(root, mesh.vertices),
        actions={n: t.dense(len(mesh.vertices))[body.base_ids].astype(np.float64) for n, t in targets.items()},
        eyeballs={side: body.eyeball(side) for side in _SIDES},
    )


def _average(source: _Source) -> tuple[np.ndarray, np.ndarray]:
    """Body vertices (V, 3) and joints (55, 3) of the average person in the MakeHuman rest pose."""
    vertices = source.morphs.vertices(average_person())[0]
    return vertices[source.body.base_ids].astype(np.float64), rest_joints(source.rig, vertices)


def _skin(source: _Source) -> _Skin:
    rest, joints = _average(source)
    rig_weights = source.rig.skin_weights(source.body.base_ids, source.num_base_vertices)
    jaw_m = joints[SMPLX_JOINT_NAMES.index("jaw")]
    weights, angle = smplx_weights(source.rig, source.body, rig_weights, rest, jaw_m, source.actions["jawOpen"])
    return _Skin(
        rig_weights=rig_weights,
        weights=weights,
        jaw_open_rad=angle,
        head_ids=head_subset(weights),
        hand_ids={side: hand_subset(weights, side) for side in _SIDES},
    )


def _regressor(source: _Source, skin: _Skin, vertices: np.ndarray, joints: np.ndarray) -> np.ndarray:
    reach = np.max([np.abs(offsets).max(1) for offsets in source.actions.values()], 0)
    return fit_joint_regressor(
        vertices, joints, skin.weights, inner=source.body.inner(), expressive=reach > EXPRESSIVE_M,
        subsets={"head": skin.head_ids, **skin.hand_ids}, eyeballs=source.eyeballs,
    )  # fmt: skip


def _bodies(rng: np.random.Generator, source: _Source, skin: _Skin) -> _Bodies:
    """Sample people, pose them, find their components; then fit the joint regressor where it will be used."""
    base_ids = source.body.base_ids
    rest_regressor = _regressor(source, skin, *_average(source))
    people = concatenate(sample_people(rng, NUM_BODIES), average_person(**CHILD))
    posed, posed_joints = [], []
    for start in range(0, len(people), _BATCH):
        batch = source.morphs.vertices(people[start : start + _BATCH])
        joints = np.einsum("jv,nvc->njc", rest_regressor, batch[:, base_ids], optimize=True)
        vertices, joints = t_pose(source.rig, batch, base_ids, skin.rig_weights, joints)
        shift = PELVIS_M - joints[:, :1]
        posed.append((vertices + shift).astype(np.float32))
        posed_joints.append(joints + shift)
    vertices, joints = np.concatenate(posed), np.concatenate(posed_joints)
    adults, child, adult_joints = vertices[:-1], vertices[-1], joints[:-1]
    space = principal_shapes(adults, NUM_BETAS, (10, 16, 20))
    mean_joints = adult_joints.mean(0)
    regressor = _regressor(source, skin, space.mean, mean_joints)
    regressed = np.einsum("jv,nvc->njc", regressor, adults, optimize=True)
    return _Bodies(
        space=space, child=child, joints=mean_joints, regressor=regressor,
        joint_error_mm=np.linalg.norm(regressed - adult_joints, axis=2) * 1000,
    )  # fmt: skip


def _head(
    head_rng: np.random.Generator, expression_rng: np.random.Generator, source: _Source, skin: _Skin, bodies: _Bodies
) -> _Head:
    base_ids, ids = source.body.base_ids, skin.head_ids
    changes = read_local_changes(source.root, HEAD_SECTIONS)
    head_row = bodies.regressor[SMPLX_JOINT_NAMES.index("head")]
    samples = sample_heads(head_rng, source.morphs, changes, base_ids[ids], base_ids, head_row, NUM_HEADS)
    names = expression_actions(list(source.actions))
    offsets = np.stack([source.actions[name][ids] for name in names])
    exprdirs, from_actions = expression_space(expression_rng, names, offsets)
    return _Head(
        shapes=principal_shapes(samples, NUM_HEAD_SHAPES, (10, 50, 100)),
        action_names=names,
        exprdirs=exprdirs,
        from_actions=from_actions,
        eyelids=np.stack([source.actions[name][ids] for name in ("eyeBlinkLeft", "eyeBlinkRight")], -1),
    )


def _face(source: _Source, skin: _Skin, template: np.ndarray, regions: dict[str, np.ndarray]) -> FaceSurface:
    return FaceSurface(
        vertices=template, normals=vertex_normals(template, source.body.faces), weights=skin.weights,
        skin=regions["head"] & ~regions["inner"], lips=regions["lips"], eyelids=regions["eyelids"],
        ears=regions["ears"], eye_rims={1: source.body.eye_rims["left"], -1: source.body.eye_rims["right"]},
    )  # fmt: skip


def _marks(source: _Source, skin: _Skin, bodies: _Bodies) -> _Marks:
    template = bodies.space.mean
    regions = find_regions(source.root, source.body, template, bodies.joints, skin.head_ids, skin.hand_ids)
    face = _face(source, skin, template, regions)
    landmarks = face_landmarks(face)
    brows = template[[landmarks[k] for k in range(17, 27)]]
    near_brow = np.linalg.norm(template[:, None] - brows, axis=2).min(1) < EYEBROW_RADIUS_M
    return _Marks(
        regions=regions | {"eyebrows": near_brow & face.skin},
        landmarks=landmarks,
        contour=contour_table(face, landmarks),
        keypoints=skin_keypoints(face, bodies.joints, source.eyeballs),
    )


def _number(source: _Source, skin: _Skin, bodies: _Bodies, marks: _Marks) -> _Numbering:
    keypoints, inner = marks.keypoints, marks.regions["inner"]
    order = numbered_order(len(inner), keypoints, SMPLX_NUMBERS)
    number = inverse_order(order)
    hands = {}
    for side, ids in skin.hand_ids.items():
        tips = {finger: int(np.searchsorted(ids, keypoints[f"{side}_{finger}"])) for finger in MANO_NUMBERS}
        hands[side] = number[ids[numbered_order(len(ids), tips, MANO_NUMBERS)]]
    outer = np.flatnonzero(~inner)
    face = _face(source, skin, bodies.space.mean, marks.regions)
    on_skin = {name: face.nearest(bodies.space.mean[v], ~inner) if inner[v] else v for name, v in keypoints.items()}
    places = {name: int(np.searchsorted(outer, v)) for name, v in on_skin.items()}
    return _Numbering(
        order=order, number=number, head_order=np.argsort(number[skin.head_ids]), hands=hands,
        smpl=number[outer[numbered_order(len(outer), places, SMPL_NUMBERS)]],
    )  # fmt: skip


def _stored(
    source: _Source, skin: _Skin, bodies: _Bodies, head: _Head, hands: HandSpace, marks: _Marks, numbering: _Numbering
) -> dict[str, np.ndarray]:
    """All arrays in the final vertex order and storage types; `load.unpack` is the inverse."""
    order, number, head_order = numbering.order, numbering.number, numbering.head_order
    smpl_rest = np.zeros((len(SMPL_JOINT_NAMES), 3))
    for name, degrees in SMPL_REST_OFFSET_DEG.items():
        smpl_rest[SMPL_JOINT_NAMES.index(name), 2] = np.radians(degrees)
    masks = np.stack([marks.regions[name] for name in sorted(marks.regions)])
    return {
        "v_template": bodies.space.mean[order].astype(np.float32),
        "kid_template": bodies.child[order],
        "faces": number[source.body.faces].astype(np.uint16),
        "uv": source.body.uv[order].astype(np.float32),
        "shapedirs": bodies.space.directions[order].astype(np.float16),
        "head_shapedirs": head.shapes.directions[head_order].astype(np.float16),
        "head_exprdirs": head.exprdirs[head_order].astype(np.float16),
        "eyelid_dirs": head.eyelids[head_order].astype(np.float16),
        "parents": np.array(SMPLX_PARENTS, np.int16),
        "head_vertex_ids": number[skin.head_ids][head_order].astype(np.uint16),
        "left_hand_vertex_ids": numbering.hands["left"].astype(np.uint16),
        "right_hand_vertex_ids": numbering.hands["right"].astype(np.uint16),
        "smpl_vertex_ids": numbering.smpl.astype(np.uint16),
        "smpl_rest_rotvec": smpl_rest.astype(np.float32),
        "hands_mean": hands.mean.astype(np.float32),
        "hands_fist": hands.fist.astype(np.float32),
        "hands_components": hands.components.astype(np.float32),
        "landmarks": number[[marks.landmarks[k] for k in range(17, 68)]].astype(np.uint16),
        "contour": number[marks.contour].astype(np.uint16),
        "region_bits": pack_masks(masks[:, order]),
        "expression_from_actions": head.from_actions.astype(np.float32),
        **pack_sparse("skin_weights", skin.weights[order], smallest=1e-4, dtype=np.float16),
        **pack_sparse("joint_regressor", bodies.regressor[:, order], smallest=1e-6, dtype=np.float32),
    }


def _sidecar(
    source: _Source, skin: _Skin, bodies: _Bodies, head: _Head, hands: HandSpace, marks: _Marks, numbering: _Numbering
) -> dict:
    number, error = numbering.number, bodies.joint_error_mm
    return {
        "name": "open_body",
        "licence": "CC0-1.0",
        "source": {"package": SOURCE_PACKAGE, "version": SOURCE_VERSION},
        "sizes": {
            "vertices": len(number),
            "faces": len(source.body.faces),
            "joints": len(SMPLX_JOINT_NAMES),
            "betas": NUM_BETAS,
            "expressions": len(head.action_names),
            "head_vertices": len(skin.head_ids),
            "head_shapes": NUM_HEAD_SHAPES,
            "hand_vertices": {side: len(ids) for side, ids in skin.hand_ids.items()},
            "smpl_vertices": len(numbering.smpl),
        },
        "measured": {
            "body_residual_mm": {str(k): round(v, 2) for k, v in bodies.space.residual_mm.items()},
            "head_residual_mm": {str(k): round(v, 2) for k, v in head.shapes.residual_mm.items()},
            "joint_error_mm": {"mean": round(float(error.mean()), 2), "max": round(float(error.max()), 2)},
            "hand_components_for_97_percent": int(np.searchsorted(hands.explained, 0.97)) + 1,
            "stature_m": round(float(np.ptp(bodies.space.mean[:, 1])), 3),
        },
        "joint_names": list(SMPLX_JOINT_NAMES),
        "regions": sorted(marks.regions),
        "actions": head.action_names,
        "jaw_open_rad": round(skin.jaw_open_rad, 6),
        "keypoint_vertices": {name: int(number[v]) for name, v in marks.keypoints.items()},
        "landmarks": {str(k): int(number[marks.landmarks[k]]) for k in range(17, 68)},
        "frontal_contour": [int(v) for v in number[marks.contour[0]]],
        "smpl_rest_offset_deg": SMPL_REST_OFFSET_DEG,
    }
