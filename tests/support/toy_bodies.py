"""Random bodies and states: small, without structure, so that nothing holds by luck."""

import numpy as np
import torch

from fitting import so3
from fitting.result import parameters_of
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.body import skeleton
from model.body.assets import BodyAssets, EhmAssets
from model.body.ehms import EhmOutput, EHMs


def make_toy_assets(*, corners: bool, correctives: bool, seed: int = 0) -> EhmAssets:
    """A random body: blended skin everywhere, landmarks on one vertex or inside a triangle, optional correctives."""
    rng = np.random.default_rng(seed)
    J, V, S, E = skeleton.NUM_SMPLX_JOINTS, 480, 10, 10
    joints = np.zeros((J, 3))
    for joint in range(1, J):
        joints[joint] = joints[skeleton.SMPLX_PARENTS[joint]] + rng.normal(0, 0.1, 3)
    nearest = np.repeat(np.arange(J), 8)[:V]
    nearest = np.concatenate([nearest, rng.integers(0, J, V - len(nearest))])
    vertices = joints[nearest] + rng.normal(0, 0.05, (V, 3))
    skin = np.zeros((V, J))
    skin[np.arange(V), nearest] = 1.0
    for vertex, joint in enumerate(nearest):
        parent = max(skeleton.SMPLX_PARENTS[joint], 0)
        skin[vertex, parent] += rng.uniform(0, 1)
    skin /= skin.sum(1, keepdims=True)
    regressor = np.zeros((J, V))
    for joint in range(J):
        members = np.flatnonzero(nearest == joint)
        regressor[joint, members] = rng.dirichlet(np.ones(len(members)))
    head = np.flatnonzero(np.isin(nearest, (12, 15, 22, 23, 24)))
    on_face = np.flatnonzero(np.isin(nearest, (15, 22, 23, 24)))

    def landmarks(*shape: int) -> tuple[np.ndarray, np.ndarray]:
        ids = rng.choice(on_face, (*shape, 3))
        weights = rng.dirichlet(np.ones(3), shape) if corners else np.broadcast_to([0.0, 1.0, 0.0], (*shape, 3))
        return ids.astype(np.int64), np.ascontiguousarray(weights, dtype=np.float32)

    inner, contour = landmarks(51), landmarks(79, 17)

    def vertex_of(*joint_names: str) -> int:
        joints = [skeleton.SMPLX_JOINT_NAMES.index(name) for name in joint_names]
        return int(rng.choice(np.flatnonzero(np.isin(nearest, joints))))

    keypoints = {}
    for name in skeleton.KEYPOINT_VERTEX_NAME.values():
        side, _, part = name.partition("_")
        if part in ("thumb", "index", "middle", "ring", "pinky"):
            keypoints[name] = vertex_of(f"{name}3")
        elif "toe" in part or part == "heel":
            keypoints[name] = vertex_of(f"{side}_foot", f"{side}_ankle")
        else:
            keypoints[name] = vertex_of("head", "jaw")
    posedirs = None
    if correctives:
        posedirs = np.zeros((J - 1, 9, V, 3))
        for vertex in range(V):
            for joint in {nearest[vertex], skeleton.SMPLX_PARENTS[nearest[vertex]]} - {0, -1}:
                posedirs[joint - 1, :, vertex] = rng.normal(0, 0.01, (9, 3))
        posedirs = posedirs.reshape(9 * (J - 1), 3 * V).astype(np.float32)
    basis = np.stack([np.linalg.qr(rng.normal(size=(45, 45)))[0] for _ in range(2)])
    body = BodyAssets(
        name="toy_smplx", kind="smplx", sha256="", licence="",
        v_template=vertices.astype(np.float32), faces=np.zeros((1, 3), np.int64),
        shapedirs=rng.normal(0, 0.01, (V, 3, S)).astype(np.float32), exprdirs=np.zeros((V, 3, 0), np.float32),
        posedirs=posedirs, joint_regressor=regressor.astype(np.float32), skin_weights=skin.astype(np.float32),
        parents=np.array(skeleton.SMPLX_PARENTS), hands_mean=rng.normal(0, 0.1, (2, 45)).astype(np.float32),
        hands_components=basis.astype(np.float32), landmark_vertices=inner[0], landmark_weights=inner[1],
        contour_vertices=contour[0], contour_weights=contour[1], keypoint_vertices=keypoints,
    )  # fmt: skip
    F = len(head)
    head_skin = rng.dirichlet(np.ones(5), F)
    head_correctives = rng.normal(0, 0.01, (36, 3 * F)).astype(np.float32) if correctives else None
    flame = BodyAssets(
        name="toy_flame", kind="flame", sha256="", licence="", v_template=vertices[head].astype(np.float32),
        faces=np.zeros((1, 3), np.int64), shapedirs=rng.normal(0, 0.01, (F, 3, S)).astype(np.float32),
        exprdirs=rng.normal(0, 0.01, (F, 3, E)).astype(np.float32), posedirs=head_correctives,
        joint_regressor=rng.dirichlet(np.ones(F), 5).astype(np.float32), skin_weights=head_skin.astype(np.float32),
        parents=np.array(skeleton.FLAME_PARENTS), landmark_vertices=inner[0] * 0, landmark_weights=inner[1],
        contour_vertices=contour[0] * 0, contour_weights=contour[1], keypoint_vertices={},
        eyelid_dirs=rng.normal(0, 0.01, (F, 3, 2)).astype(np.float32),
    )  # fmt: skip
    return EhmAssets(smplx=body, flame=flame, head_vertex_ids=head, hand_vertex_ids={}, regions={}, uv=None, sha256="")


def random_state(body: SparseBody, count: int, seed: int = 0) -> State:
    """People in front of the camera with random pose, shape and place; hip and shoulder keypoints at their joints."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(body.dtype)

    facing = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=body.dtype))
    position = torch.cat([0.1 * normal(count, 2), 1.3 + 0.2 * normal(count, 1)], 1)
    state = State(
        global_orient=facing @ so3.exp(0.4 * normal(count, 3)),
        body_pose=so3.exp(0.3 * normal(count, 21, 3)),
        jaw_pose=so3.exp(0.1 * normal(count, 3)),
        hand_pca=0.4 * normal(count, 2, 45),
        coefficients=normal(count, body.layout.num_coefficients),
        log_head_scale=0.1 * normal(count, 3),
        position=position,
        eye_pose=so3.exp(0.1 * normal(count, 2, 3)),
        eyelids=torch.rand(count, 2, generator=generator, dtype=torch.float64).to(body.dtype),
        contour_bin=torch.zeros(count, dtype=torch.int64),
    )
    bins = torch.randint(0, 79, (count,), generator=generator)
    state.coefficients[:, -body.num_groups[-1] :] = 0
    return State(**{name: getattr(state, name) for name in State.__slots__} | {"contour_bin": bins})


def full_keypoints(model: EHMs, body: SparseBody, state: State) -> EhmOutput:
    """The same people through the full mesh."""
    return model(parameters_of(body, state))
