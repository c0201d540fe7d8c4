"""Model files for the tests: the open body with everything that a licensed file can have."""

import pickle
import shutil
from pathlib import Path

import numpy as np

from model.body.open_body.builder.layout import model_dict


def write_licensed_like_files(package_files: Path, out_dir: Path, seed: int) -> Path:
    """The files of `package_files`, with random pose correctives and landmarks that need all three vertices."""
    rng = np.random.default_rng(seed)
    models = ("SMPLX_NEUTRAL.npz", "FLAME_NEUTRAL.pkl", "MANO_[LR]*.pkl", "SMPL_NEUTRAL.pkl")
    shutil.copytree(package_files, out_dir, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*models))
    np.savez(out_dir / "smplx/SMPLX_NEUTRAL.npz", **_licensed_like(model_dict("smplx"), rng))
    for target, part in (
        ("flame/FLAME_NEUTRAL.pkl", "flame"),
        ("mano/MANO_LEFT.pkl", "mano_left"),
        ("mano/MANO_RIGHT.pkl", "mano_right"),
        ("smpl/SMPL_NEUTRAL.pkl", "smpl"),
    ):
        model = _licensed_like(model_dict(part), rng) | {"bs_style": "lbs", "bs_type": "lrotmin"}
        (out_dir / target).write_bytes(pickle.dumps(model, protocol=2))
    return out_dir


def _licensed_like(model: dict[str, np.ndarray], rng: np.random.Generator) -> dict:
    num_joints = model["kintree_table"].shape[1]
    shape = (*model["v_template"].shape, 9 * (num_joints - 1))
    found = {**model, "posedirs": rng.standard_normal(shape, dtype=np.float32) * np.float32(1e-3)}
    for key in ("lmk_bary_coords", "dynamic_lmk_bary_coords"):
        if key in model:
            found[key] = rng.dirichlet([1.0, 1.0, 1.0], model[key].shape[:-1])
    return found
