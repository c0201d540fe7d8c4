"""The arrays of a body model, however it was obtained: the open body, or npz files converted from licensed ones.

Every size (V, F, J, S, E) comes from the arrays; nothing in this package assumes the size of a particular release.
"""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from datasets_manifest.schema.ehm_fields import BodySize, Fusion
from model.body.open_body import load as open_body
from model.body.open_body.builder import layout as open_layout
from model.body.open_body.builder.vertex_order import MANO_NUMBERS, SMPLX_NUMBERS

Kind = Literal["smplx", "flame", "mano", "smpl"]
KINDS: tuple[Kind, ...] = ("smplx", "flame", "mano", "smpl")
NUM_JOINTS: dict[Kind, int] = {"smplx": 55, "flame": 5, "mano": 16, "smpl": 24}
_LARGE_SHAPE_SPACE = 300
ROOT_PARENT = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyAssets:
    """One skinned body model. Arrays are numpy, float32 / int64, in the model's own rest frame, metres."""

    name: str
    """What a label file records, for example `open_body_smplx`."""
    kind: Kind
    """Which model family the joints and pose layout follow."""
    sha256: str
    """Hash of the source the arrays were read from."""
    licence: str
    """Short licence name, or what is known of it."""
    v_template: NDArray[np.float32]
    """(V, 3) rest vertices."""
    faces: NDArray[np.int64]
    """(F, 3) vertex ids, counter-clockwise seen from outside."""
    shapedirs: NDArray[np.float32]
    """(V, 3, S) displacement per unit of each shape coefficient."""
    exprdirs: NDArray[np.float32]
    """(V, 3, E) displacement per unit of each expression coefficient; E may be 0."""
    posedirs: NDArray[np.float32] | None = None
    """(9 (J - 1), 3 V) pose correctives on R - I of every joint but the root; None when all are zero."""
    joint_regressor: NDArray[np.float32]
    """(J, V) rest joints = regressor @ shaped vertices."""
    skin_weights: NDArray[np.float32]
    """(V, J) rows sum to 1."""
    parents: NDArray[np.int64]
    """(J,) parent of each joint, -1 for the root, always smaller than the joint's own index."""
    hands_mean: NDArray[np.float32] | None = None
    """(2, 45) left, right relaxed hand, axis-angle; (1, 45) for MANO; None without hands."""
    hands_components: NDArray[np.float32] | None = None
    """(2, 45, 45) or (1, 45, 45) principal directions of hand pose, one a row."""
    landmark_vertices: NDArray[np.int64]
    """(51, 3) the three vertices around each inner-face landmark; 0 rows when the model has none."""
    landmark_weights: NDArray[np.float32]
    """(51, 3) their barycentric weights."""
    contour_vertices: NDArray[np.int64]
    """(79, 17, 3) face outline by head yaw: row k is -k degrees for k in 0..39, row 39 + k is +k degrees."""
    contour_weights: NDArray[np.float32]
    """(79, 17, 3) their barycentric weights."""
    eyelid_dirs: NDArray[np.float32] | None = None
    """(V, 3, 2) displacement that closes the left and the right eyelid (FLAME)."""
    keypoint_vertices: dict[str, int]
    """Vertex ids of nose, eyes, ears, toes, heels and fingertips by name; empty when unknown."""
    kid_template: NDArray[np.float32] | None = None
    """(V, 3) template of a child, where the model has one (SMPL-X)."""

    def __post_init__(self) -> None:
        num_vertices, num_joints = len(self.v_template), NUM_JOINTS[self.kind]
        expected = {
            "v_template": (num_vertices, 3),
            "shapedirs": (num_vertices, 3, self.shapedirs.shape[-1]),
            "exprdirs": (num_vertices, 3, self.exprdirs.shape[-1]),
            "joint_regressor": (num_joints, num_vertices),
            "skin_weights": (num_vertices, num_joints),
            "parents": (num_joints,),
            "faces": (len(self.faces), 3),
        }
        if self.posedirs is not None:
            expected["posedirs"] = (9 * (num_joints - 1), 3 * num_vertices)
        for name, shape in expected.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ValueError(f"{self.name}: {name} has shape {found}, a {self.kind} model needs {shape}.")
        for name in ("faces", "landmark_vertices", "contour_vertices"):
            ids = getattr(self, name)
            if ids.size and (ids.min() < 0 or ids.max() >= num_vertices):
                raise ValueError(f"{self.name}: {name} names a vertex outside 0..{num_vertices - 1}.")
        if np.any(self.parents[1:] >= np.arange(1, num_joints)) or np.any(self.parents[1:] < 0):
            raise ValueError(f"{self.name}: the kinematic tree must list every parent before its children.")

    @property
    def num_vertices(self) -> int:
        """V."""
        return len(self.v_template)

    @property
    def num_joints(self) -> int:
        """J."""
        return len(self.parents)


@dataclass(frozen=True, kw_only=True, slots=True)
class EhmAssets:
    """What EHM-s needs: a body, a head and how their vertices correspond."""

    smplx: BodyAssets
    """The body."""
    flame: BodyAssets
    """The head."""
    head_vertex_ids: NDArray[np.int64]
    """(V_flame,) body vertex of each head vertex."""
    hand_vertex_ids: dict[str, NDArray[np.int64]]
    """`left`, `right` -> (V_mano,) body vertex of each hand vertex."""
    regions: dict[str, NDArray[np.bool_]]
    """Named masks (V,) over body vertices (lips, ears, eyelids, eyes, inner, fingernails, head); may be empty."""
    uv: NDArray[np.float32] | None
    """(V, 2) one texture coordinate a body vertex, or None."""
    sha256: str
    """One hash for the pair, recorded in every label file."""
    keep_body_ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """(N,) body vertices that the head has too and that stay with the body in the fusion `paper` (the lower neck)."""
    fusion: Fusion = "blended"
    """Which definition of EHM-s this body is."""

    def __post_init__(self) -> None:
        if self.head_vertex_ids.shape != (self.flame.num_vertices,):
            raise ValueError(
                f"The head correspondence lists {self.head_vertex_ids.size} vertices, the FLAME file "
                f"{self.flame.name} has {self.flame.num_vertices}: take both from the same release."
            )
        if self.head_vertex_ids.min() < 0 or self.head_vertex_ids.max() >= self.smplx.num_vertices:
            raise ValueError(
                f"The head correspondence names vertex {self.head_vertex_ids.max()}, the SMPL-X file "
                f"{self.smplx.name} has {self.smplx.num_vertices} vertices: take both from the same release."
            )
        if self.fusion not in get_args(Fusion):
            raise ValueError(f"fusion: expected one of {', '.join(get_args(Fusion))}, got {self.fusion!r}")

    @property
    def entry(self) -> dict[str, str]:
        """What footers and checkpoints state of the body; `blended` is not said, as in files that knew nothing else."""
        stated = {"name": self.smplx.name, "sha256": self.sha256, "licence": self.smplx.licence}
        if self.fusion != "blended":
            stated["fusion"] = self.fusion
            if len(self.keep_body_ids):
                kept = np.sort(self.keep_body_ids).astype("<i8").tobytes()
                stated["kept_sha256"] = hashlib.sha256(kept).hexdigest()
        return stated

    def available(self, asked: BodySize) -> BodySize:
        """Numbers of coefficients to use: those asked for, but never more than there are."""
        return BodySize(
            num_betas=min(asked.num_betas, self.smplx.shapedirs.shape[-1]),
            num_flame_shape=min(asked.num_flame_shape, self.flame.shapedirs.shape[-1]),
            num_expression=min(asked.num_expression, self.flame.exprdirs.shape[-1]),
        )


def from_official_layout(
    kind: Kind,
    data: Mapping[str, NDArray],
    *,
    name: str,
    sha256: str,
    licence: str,
    landmarks: Mapping[str, NDArray] | None = None,
    eyelids: NDArray | None = None,
    kid_template: NDArray | None = None,
    keypoint_vertices: Mapping[str, int] | None = None,
) -> BodyAssets:
    """Arrays named and laid out as in the published model files -> `BodyAssets`.

    Args:
        kind: Model family.
        data: `v_template` (V, 3), `f` (F, 3), `shapedirs` (V, 3, n), `posedirs` (V, 3, 9 (J - 1)),
            `J_regressor` (J, V), `weights` (V, J), `kintree_table` (2, J); hand and landmark arrays under their
            published names. Without `posedirs` there are no pose correctives.
        name: Name recorded in label files.
        sha256: Hash of the source.
        licence: Short licence name.
        landmarks: `lmk_faces_idx`, `lmk_bary_coords`, `dynamic_lmk_faces_idx`, `dynamic_lmk_bary_coords` when they are
            not in `data` (FLAME keeps them in files of their own).
        eyelids: (V, 3, 2) eyelid displacements of FLAME.
        kid_template: (V, 3) child template of SMPL-X.
        keypoint_vertices: Overrides the published vertex ids.

    Returns:
        Assets whose all-zero trailing shape columns and all-zero pose correctives were dropped.
    """
    faces = np.asarray(data["f"]).astype(np.int64)
    shapedirs, exprdirs = _split_shape_space(kind, np.asarray(data["shapedirs"]))
    parents = np.asarray(data["kintree_table"])[0].astype(np.int64)
    parents[0] = ROOT_PARENT
    landmarks = data if landmarks is None else landmarks
    static = _landmarks(faces, landmarks, "lmk_faces_idx", "lmk_bary_coords", (0,))
    contour = _landmarks(faces, landmarks, "dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords", (0, 17))
    hands_mean, hands_components = _hands(data)
    default_keypoints = {"smplx": SMPLX_NUMBERS, "mano": MANO_NUMBERS}.get(kind, {})
    return BodyAssets(
        name=name,
        kind=kind,
        sha256=sha256,
        licence=licence,
        v_template=_f32(data["v_template"]),
        faces=faces,
        shapedirs=_f32(_trim(shapedirs)),
        exprdirs=_f32(_trim(exprdirs)),
        posedirs=_pose_correctives(np.asarray(data["posedirs"])) if "posedirs" in data else None,
        joint_regressor=_f32(data["J_regressor"]),
        skin_weights=_f32(data["weights"]),
        parents=parents,
        hands_mean=hands_mean,
        hands_components=hands_components,
        landmark_vertices=static[0],
        landmark_weights=static[1],
        contour_vertices=contour[0],
        contour_weights=contour[1],
        eyelid_dirs=None if eyelids is None else _f32(eyelids),
        keypoint_vertices=dict(default_keypoints if keypoint_vertices is None else keypoint_vertices),
        kid_template=None if kid_template is None else _f32(kid_template),
    )


def _f32(array: NDArray) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, dtype=np.float32)


def _split_shape_space(kind: Kind, dirs: NDArray) -> tuple[NDArray, NDArray]:
    """(V, 3, n) -> shape (V, 3, S), expression (V, 3, E): 300 + the rest, or halves in the small releases."""
    if kind in ("mano", "smpl"):
        return dirs, dirs[..., :0]
    num_shape = _LARGE_SHAPE_SPACE if dirs.shape[-1] > _LARGE_SHAPE_SPACE else dirs.shape[-1] // 2
    return dirs[..., :num_shape], dirs[..., num_shape:]


def _trim(dirs: NDArray) -> NDArray:
    used = np.flatnonzero(np.any(dirs != 0, axis=(0, 1)))
    return dirs[..., : used[-1] + 1 if used.size else 0]


def _pose_correctives(posedirs: NDArray) -> NDArray[np.float32] | None:
    """(V, 3, P) -> (P, 3 V), or None when there is nothing to add."""
    if not posedirs.any():
        return None
    return _f32(posedirs.reshape(-1, posedirs.shape[-1]).T)


def _landmarks(
    faces: NDArray[np.int64], data: Mapping[str, NDArray], ids: str, weights: str, empty: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Face index and barycentrics -> three vertex ids (..., 3) and weights (..., 3)."""
    if ids not in data:
        return np.zeros((*empty, 3), np.int64), np.zeros((*empty, 3), np.float32)
    return faces[np.asarray(data[ids]).astype(np.int64)], _f32(data[weights])


def _hands(data: Mapping[str, NDArray]) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
    if "hands_meanl" in data:
        sides = ("l", "r")
        mean = np.stack([data[f"hands_mean{s}"] for s in sides])
        return _f32(mean), _f32(np.stack([data[f"hands_components{s}"] for s in sides]))
    if "hands_mean" in data:
        return _f32(np.asarray(data["hands_mean"])[None]), _f32(np.asarray(data["hands_components"])[None])
    return None, None


# --- the open body ----------------------------------------------------------------------------------------------------
@functools.lru_cache(maxsize=1)
def load_open_body() -> EhmAssets:
    """The body that ships with the project (a shared object: do not change its arrays)."""
    arrays, sidecar = open_body.load_arrays(), open_body.sidecar()
    body, head = load_open_part("smplx"), load_open_part("flame")
    return EhmAssets(
        smplx=body,
        flame=head,
        head_vertex_ids=arrays["head_vertex_ids"],
        hand_vertex_ids={side: arrays[f"{side}_hand_vertex_ids"] for side in ("left", "right")},
        regions=open_body.regions(),
        uv=arrays["uv"],
        sha256=sidecar["sha256"],
    )


@functools.lru_cache(maxsize=len(open_layout.KINDS))
def load_open_part(part: str) -> BodyAssets:
    """One model of the open body: `smplx`, `flame`, `mano_left`, `mano_right` or `smpl`."""
    data, sidecar = open_layout.model_dict(part), open_body.sidecar()
    kind = cast(Kind, part.split("_")[0])
    eyelids = np.stack([data["l_eyelid"], data["r_eyelid"]], axis=-1) if kind == "flame" else None
    return from_official_layout(
        kind,
        data,
        name=f"{sidecar['name']}_{part}",
        sha256=sidecar["sha256"],
        licence=sidecar["licence"],
        eyelids=eyelids,
        kid_template=open_body.load_arrays()["kid_template"] if kind == "smplx" else None,
        keypoint_vertices=sidecar["keypoint_vertices"] if kind == "smplx" else {},
    )
