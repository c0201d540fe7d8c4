"""The open body as the files that the package `smplx` reads, for parity tests. Pickles are written only here."""

import pickle
from pathlib import Path

import numpy as np

from model.body.open_body.builder.layout import model_dict
from model.body.open_body.load import load_arrays, regions
from model.body.skeleton import FLAME_JOINT_NAMES


def write_smplx_package_files(out_dir: Path) -> Path:
    """Write smplx/, flame/, mano/ and smpl/ folders for `smplx.create(out_dir, model_type=...)`; returns `out_dir`.

    SMPL-X is an npz (`ext="npz"`), the others are pickles (`ext="pkl"`). Also there, under the official names: both
    landmark embeddings, both eyelid arrays, the masks and the lower head in `flame/`; the FLAME and MANO vertex ids and
    the kid template in `smplx/`.
    """
    out_dir = Path(out_dir)
    (out_dir / "smplx").mkdir(parents=True, exist_ok=True)
    np.savez(out_dir / "smplx/SMPLX_NEUTRAL.npz", **_with_posedirs(model_dict("smplx")))
    arrays = load_arrays()
    np.save(out_dir / "smplx/smplx_kid_template.npy", arrays["kid_template"])
    np.save(out_dir / "smplx/SMPL-X__FLAME_vertex_ids.npy", arrays["head_vertex_ids"])
    hands = {f"{side}_hand": arrays[f"{side}_hand_vertex_ids"] for side in ("left", "right")}
    _dump(out_dir / "smplx/MANO_SMPLX_vertex_ids.pkl", hands)

    flame = model_dict("flame")
    keys = {"lmk_face_idx": "lmk_faces_idx", "lmk_b_coords": "lmk_bary_coords"}
    _dump(out_dir / "flame/FLAME_NEUTRAL.pkl", _with_posedirs(flame))
    _dump(out_dir / "flame/flame_static_embedding.pkl", {new: flame[old] for new, old in keys.items()})
    contour = {new: flame[f"dynamic_{old}"] for new, old in keys.items()}
    np.save(out_dir / "flame/flame_dynamic_embedding.npy", np.array(contour, dtype=object), allow_pickle=True)
    # The body's own, in the numbers of the head: the lips, and what hangs on the neck more than on the head.
    lips = np.flatnonzero(regions()["lips"][arrays["head_vertex_ids"]])
    _dump(out_dir / "flame/FLAME_masks.pkl", {"lips": lips, "neck": lips[:1]})
    lower = flame["weights"][:, FLAME_JOINT_NAMES.index("root")] > 0.5
    np.save(out_dir / "flame/selected_lowerhead.npy", np.flatnonzero(lower))
    for name in ("l_eyelid", "r_eyelid"):
        np.save(out_dir / f"flame/{name}.npy", flame[name])

    for side in ("left", "right"):
        _dump(out_dir / f"mano/MANO_{side.upper()}.pkl", _with_posedirs(model_dict(f"mano_{side}")))
    _dump(out_dir / "smpl/SMPL_NEUTRAL.pkl", _with_posedirs(model_dict("smpl")))
    return out_dir


def _with_posedirs(model: dict[str, np.ndarray]) -> dict:
    num_joints = model["kintree_table"].shape[1]
    posedirs = np.zeros((*model["v_template"].shape, 9 * (num_joints - 1)), np.float32)
    return {**model, "posedirs": posedirs, "bs_style": "lbs", "bs_type": "lrotmin"}


def _dump(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=2))
