"""The open body in the key layout of the official SMPL-X, FLAME, MANO and SMPL files.

Every array comes from the same few stored ones: the part models are subsets of the whole body, so a FLAME-like head
and a MANO-like hand coincide with the body's head and hands.
"""

import numpy as np

from model.body.open_body.load import load_arrays
from model.body.skeleton import FLAME_PARENTS, MANO_PARENTS, SMPL_PARENTS, SMPLX_JOINT_NAMES, SMPLX_PARENTS

KINDS = ("smplx", "flame", "mano_left", "mano_right", "smpl")
SHAPE_COLUMNS, ALL_COLUMNS = 300, 400
"""The official files keep 300 shape columns, then 100 expression columns."""
SMPL_BETAS, MANO_BETAS = 10, 10
_HEAD_JOINTS = [SMPLX_JOINT_NAMES.index(n) for n in ("neck", "head", "jaw", "left_eye", "right_eye")]


def model_dict(kind: str) -> dict[str, np.ndarray]:
    """Arrays of one model under the official keys.

    `posedirs` is left out: this body has no pose correctives, they would be all zero.

    Args:
        kind: `smplx`, `flame`, `mano_left`, `mano_right` or `smpl`.
    """
    if kind not in KINDS:
        raise ValueError(f"model kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if kind == "smplx":
        return _smplx()
    if kind == "flame":
        return _flame()
    return _smpl() if kind == "smpl" else _mano(kind.removeprefix("mano_"))


def _smplx() -> dict[str, np.ndarray]:
    a = load_arrays()
    landmarks = _face_embedding(a["faces"], a["landmark_vertices"], a["landmark_weights"])
    contour = _face_embedding(a["faces"], a["contour_vertices"], a["contour_weights"])
    return {
        "v_template": a["v_template"],
        "f": a["faces"].astype(np.uint32),
        "shapedirs": _columns(a["shapedirs"], a["exprdirs"]),
        "J_regressor": a["joint_regressor"],
        "weights": a["skin_weights"],
        "kintree_table": _kintree(SMPLX_PARENTS),
        "hands_meanl": a["hands_mean"][0],
        "hands_meanr": a["hands_mean"][1],
        "hands_componentsl": a["hands_components"][0],
        "hands_componentsr": a["hands_components"][1],
        "lmk_faces_idx": landmarks[0],
        "lmk_bary_coords": landmarks[1],
        "dynamic_lmk_faces_idx": contour[0],
        "dynamic_lmk_bary_coords": contour[1],
    }


def _flame() -> dict[str, np.ndarray]:
    a = load_arrays()
    ids = a["head_vertex_ids"]
    regressor = _rows_to_one(a["joint_regressor"][_HEAD_JOINTS][:, ids])
    weights = a["skin_weights"][ids][:, _HEAD_JOINTS]
    weights[:, 0] += 1 - weights.sum(1)
    faces = _subset_faces(a["faces"], ids)
    vertices = a["v_template"][ids]
    local = _local_ids(ids, len(a["v_template"]))
    landmarks = _vertex_embedding(faces, local[_picked(a["landmark_vertices"], a["landmark_weights"])])
    contour = _vertex_embedding(faces, local[_picked(a["contour_vertices"], a["contour_weights"])])
    return {
        "v_template": vertices - regressor[1] @ vertices,
        "f": faces.astype(np.uint32),
        "shapedirs": _columns(a["head_shapedirs"], a["exprdirs"][ids]),
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": _kintree(FLAME_PARENTS),
        "lmk_faces_idx": landmarks[0],
        "lmk_bary_coords": landmarks[1],
        "dynamic_lmk_faces_idx": contour[0],
        "dynamic_lmk_bary_coords": contour[1],
        "l_eyelid": a["eyelid_dirs"][..., 0],
        "r_eyelid": a["eyelid_dirs"][..., 1],
    }


def _mano(side: str) -> dict[str, np.ndarray]:
    a = load_arrays()
    ids, which = a[f"{side}_hand_vertex_ids"], ("left", "right").index(side)
    first = 25 + 15 * which
    joints = [20 + which, *range(first, first + 15)]
    regressor = _rows_to_one(a["joint_regressor"][joints][:, ids])
    weights = a["skin_weights"][ids][:, joints]
    weights[:, 0] += 1 - weights.sum(1)
    shapedirs = a["shapedirs"][ids][..., :MANO_BETAS]
    return {
        "v_template": a["v_template"][ids] - regressor[0] @ a["v_template"][ids],
        "f": _subset_faces(a["faces"], ids).astype(np.uint32),
        "shapedirs": shapedirs - np.einsum("v,vcs->cs", regressor[0], shapedirs),
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": _kintree(MANO_PARENTS),
        "hands_mean": a["hands_mean"][which],
        "hands_components": a["hands_components"][which],
    }


def _smpl() -> dict[str, np.ndarray]:
    """The SMPL-like body: 24 joints, no eyeballs and mouth cavity, and another rest pose (`smpl_rest_rotvec`)."""
    a = load_arrays()
    ids = a["smpl_vertex_ids"]
    full = a["skin_weights"][ids]
    weights = np.zeros((len(ids), len(SMPL_PARENTS)), np.float32)
    weights[:, :22] = full[:, :22]
    weights[:, 15] += full[:, 22:25].sum(1)
    weights[:, 22], weights[:, 23] = full[:, 25:40].sum(1), full[:, 40:55].sum(1)
    knuckles = [SMPLX_JOINT_NAMES.index(f"{side}_middle1") for side in ("left", "right")]
    regressor = _rows_to_one(a["joint_regressor"][[*range(22), *knuckles]][:, ids])
    vertices = a["v_template"][ids]
    transforms = _skin_transforms(vertices, regressor @ vertices, weights, a["smpl_rest_rotvec"])
    return {
        "v_template": np.einsum("vab,vb->va", transforms[..., :3], vertices) + transforms[..., 3],
        "f": _subset_faces(a["faces"], ids).astype(np.uint32),
        "shapedirs": np.einsum("vab,vbs->vas", transforms[..., :3], a["shapedirs"][ids][..., :SMPL_BETAS]),
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": _kintree(SMPL_PARENTS),
    }


def _columns(shape: np.ndarray, expression: np.ndarray) -> np.ndarray:
    columns = np.zeros((*shape.shape[:2], ALL_COLUMNS), np.float32)
    columns[..., : shape.shape[2]] = shape
    columns[..., SHAPE_COLUMNS : SHAPE_COLUMNS + expression.shape[2]] = expression
    return columns


def _kintree(parents: tuple[int, ...]) -> np.ndarray:
    """(2, J) uint32; the root's parent is 2^32 - 1 in the official files."""
    table = np.array([parents, range(len(parents))], np.int64)
    table[0, table[0] < 0] = 2**32 - 1
    return table.astype(np.uint32)


def _rows_to_one(matrix: np.ndarray) -> np.ndarray:
    return matrix / matrix.sum(1, keepdims=True)


def _local_ids(ids: np.ndarray, count: int) -> np.ndarray:
    local = np.full(count, -1)
    local[ids] = np.arange(len(ids))
    return local


def _subset_faces(faces: np.ndarray, ids: np.ndarray) -> np.ndarray:
    local = _local_ids(ids, faces.max() + 1)[faces]
    return local[(local >= 0).all(1)]


def _picked(corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The vertices (...,) that one-hot weights (..., 3) pick."""
    return np.take_along_axis(corners, weights.argmax(-1)[..., None], -1)[..., 0]


def _face_embedding(faces: np.ndarray, corners: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _vertex_embedding(faces, _picked(corners, weights))


def _vertex_embedding(faces: np.ndarray, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (...,) as face (...,) and barycentric coordinates (..., 3)."""
    flat = faces.ravel()
    first = np.full(flat.max() + 1, -1)
    first[flat[::-1]] = np.arange(len(flat))[::-1]
    corner = first[vertices]
    return corner // 3, (np.arange(3) == (corner % 3)[..., None]).astype(np.float32)


def _skin_transforms(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray, rotvec: np.ndarray) -> np.ndarray:
    """Blended transforms (V, 3, 4) of a pose (24, 3) in the plain definition of linear blend skinning."""
    world: list[np.ndarray] = []
    for joint, parent in enumerate(SMPL_PARENTS):
        local = np.eye(4)
        local[:3, :3] = _rotation(rotvec[joint])
        local[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        world.append(world[parent] @ local if parent >= 0 else local)
    transforms = np.array(world)
    transforms[:, :3, 3] -= np.einsum("jab,jb->ja", transforms[:, :3, :3], joints)
    return np.einsum("vj,jab->vab", weights, transforms[:, :3]).astype(vertices.dtype)


def _rotation(rotvec: np.ndarray) -> np.ndarray:
    """Rodrigues' formula for one rotation vector (3,), rad."""
    angle = float(np.linalg.norm(rotvec))
    if angle == 0:
        return np.eye(3)
    x, y, z = rotvec / angle
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew
