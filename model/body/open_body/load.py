"""Read the open body from the package: arrays, names and sizes. Needs numpy only."""

import functools
import hashlib
import io
import json
from importlib import resources

import numpy as np

from model.body.open_body.archive import unpack_masks, unpack_sparse

ARRAYS_FILE, SIDECAR_FILE = "open_body.npz", "open_body.json"
_FOLDER = resources.files("model.body.open_body")


@functools.cache
def sidecar() -> dict:
    """Names, sizes, licence and hash of the open body (a shared object: do not change it)."""
    return json.loads(_FOLDER.joinpath(SIDECAR_FILE).read_text())


@functools.cache
def load_arrays() -> dict[str, np.ndarray]:
    """The open body's arrays, dense, float32 and int64 (a shared object: do not change it).

    V, Vf, Vh, Vs are the vertices of the whole body, the head, one hand and the SMPL-like body.

    Returns:
        v_template, kid_template (V, 3); faces (F, 3); shapedirs (V, 3, 20); exprdirs (V, 3, 36);
        joint_regressor (55, V); skin_weights (V, 55); parents (55,) with -1 for the root; uv (V, 2);
        head_vertex_ids (Vf,), left_hand_vertex_ids, right_hand_vertex_ids (Vh,), smpl_vertex_ids (Vs,): body vertex of
        each vertex of the part models; head_shapedirs (Vf, 3, 100); eyelid_dirs (Vf, 3, 2) left, right;
        hands_mean, hands_fist (2, 45) and hands_components (2, 45, 45), left then right, rad;
        landmark_vertices (51, 3) with landmark_weights (51, 3); contour_vertices (79, 17, 3) with contour_weights
        (79, 17, 3), row k for a yaw of -k degrees and row 39 + k for +k degrees;
        region_masks (R, V) bool, rows named by sidecar()["regions"];
        expression_from_actions (A, A): activations of sidecar()["actions"] @ this = expression coefficients;
        smpl_rest_rotvec (24, 3): the pose of this body that is the SMPL-like body's rest pose, rad.

    Raises:
        ValueError: The file does not have the hash that the sidecar states.
    """
    data = _FOLDER.joinpath(ARRAYS_FILE).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != sidecar()["sha256"]:
        raise ValueError(
            f"{ARRAYS_FILE} does not match {SIDECAR_FILE}: expected sha256 {sidecar()['sha256']}, got {digest}; "
            "check out both files again or rebuild them with `python -m model.body.open_body.builder.build`"
        )
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return unpack(dict(archive))


def unpack(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Dense arrays of the stored ones; see `load_arrays`."""
    num_vertices, num_joints = len(stored["v_template"]), len(stored["parents"])
    faces = stored["faces"].astype(np.int64)
    head_ids = stored["head_vertex_ids"].astype(np.int64)
    exprdirs = np.zeros((num_vertices, *stored["head_exprdirs"].shape[1:]), np.float32)
    exprdirs[head_ids] = stored["head_exprdirs"]
    landmark_vertices, landmark_weights = _one_hot_corners(stored["landmarks"].astype(np.int64), faces)
    contour_vertices, contour_weights = _one_hot_corners(stored["contour"].astype(np.int64), faces)
    arrays = {
        "faces": faces,
        "exprdirs": exprdirs,
        "joint_regressor": unpack_sparse("joint_regressor", stored, (num_joints, num_vertices)),
        "skin_weights": unpack_sparse("skin_weights", stored, (num_vertices, num_joints)),
        "parents": stored["parents"].astype(np.int64),
        "landmark_vertices": landmark_vertices,
        "landmark_weights": landmark_weights,
        "contour_vertices": contour_vertices,
        "contour_weights": contour_weights,
        "region_masks": unpack_masks(stored["region_bits"], num_vertices),
    }
    arrays |= {name: stored[name].astype(np.int64) for name in stored if name.endswith("_vertex_ids")}
    as_float = ("v_template", "kid_template", "shapedirs", "uv", "head_shapedirs", "eyelid_dirs", "hands_mean",
                "hands_fist", "hands_components", "expression_from_actions", "smpl_rest_rotvec")  # fmt: skip
    return arrays | {name: stored[name].astype(np.float32) for name in as_float}


def regions() -> dict[str, np.ndarray]:
    """Region name -> mask (V,) bool."""
    return dict(zip(sidecar()["regions"], load_arrays()["region_masks"], strict=True))


def _one_hot_corners(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (...,) as corners (..., 3) of some face around them, with barycentric weights (..., 3)."""
    flat = faces.ravel()
    first = np.full(flat.max() + 1, -1)
    first[flat[::-1]] = np.arange(len(flat))[::-1]
    corner = first[vertices]
    return faces[corner // 3], (np.arange(3) == (corner % 3)[..., None]).astype(np.float32)
