"""Official SMPL-X, FLAME, MANO and SMPL files -> npz files without pickled members, once, on the user's machine.

    python -m model.body.convert --smplx SMPLX_NEUTRAL.npz --flame FLAME_NEUTRAL.pkl \\
        --head-ids SMPL-X__FLAME_vertex_ids.npy --out licensed/

The official files are pickles, or npz files with pickled members; `datasets_manifest.restricted_pickle` reads those
without running anything in them. What comes out needs no pickle.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets_manifest.restricted_pickle import PickleError
from model.body.asset_files import Correspondence, save_body, save_correspondence
from model.body.assets import NUM_JOINTS, BodyAssets, Kind, from_official_layout
from model.body.official_files import ConvertError, read_source, sha256_of
from model.body.surface_map import SurfaceMap, save_surface_map, surface_map_of_matrix

LICENCE = "registration-gated, non-commercial; see the publisher's terms"
_BASE_KEYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")
REQUIRED_KEYS: dict[Kind, tuple[str, ...]] = {
    "smplx": (*_BASE_KEYS, "hands_meanl", "hands_meanr", "hands_componentsl", "hands_componentsr"),
    "flame": _BASE_KEYS,
    "mano": (*_BASE_KEYS, "hands_mean", "hands_components"),
    "smpl": _BASE_KEYS,
}
_LANDMARK_KEYS = ("lmk_faces_idx", "lmk_bary_coords", "dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords")


# --- models -----------------------------------------------------------------------------------------------------------
def convert_model(
    kind: Kind,
    path: Path,
    *,
    static_landmarks: Path | None = None,
    dynamic_landmarks: Path | None = None,
    eyelids: tuple[Path, Path] | None = None,
    kid_template: Path | None = None,
) -> BodyAssets:
    """Read one official model file and the files that belong to it.

    Args:
        kind: What the file has to be.
        path: The model file.
        static_landmarks: FLAME's flame_static_embedding.pkl.
        dynamic_landmarks: FLAME's flame_dynamic_embedding.npy.
        eyelids: l_eyelid.npy and r_eyelid.npy for FLAME.
        kid_template: smplx_kid_template.npy.
    """
    data = _model_dict(kind, path)
    extras = [p for p in (static_landmarks, dynamic_landmarks, *(eyelids or ()), kid_template) if p is not None]
    num_vertices = len(data["v_template"])
    lids = None
    if eyelids is not None:
        lids = np.stack([_vertex_array(lid, num_vertices) for lid in eyelids], axis=-1)
    try:
        return from_official_layout(
            kind,
            data,
            name=path.stem,
            sha256=sha256_of(path, *extras),
            licence=LICENCE,
            landmarks=_landmark_files(static_landmarks, dynamic_landmarks) if kind == "flame" else None,
            eyelids=lids,
            kid_template=None if kid_template is None else _vertex_array(kid_template, num_vertices),
        )
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise ConvertError(f"{path.name} is not a usable {kind} file: {error}.") from error


def _model_dict(kind: Kind, path: Path) -> dict[str, NDArray]:
    data = read_source(path)
    found = sorted(data) if isinstance(data, dict) else [type(data).__name__]
    missing = [key for key in REQUIRED_KEYS[kind] if not isinstance(data, dict) or key not in data]
    if missing:
        raise ConvertError(
            f"{path.name} is not a {kind} model: expected the keys {', '.join(REQUIRED_KEYS[kind])}; "
            f"missing {', '.join(missing)}; found {', '.join(found[:40])}."
        )
    keys = [key for key in (*REQUIRED_KEYS[kind], *_LANDMARK_KEYS) if key in data]
    arrays = {key: np.asarray(data[key]) for key in keys}
    wrong = [key for key, array in arrays.items() if array.dtype.kind not in "iufb"]
    if wrong:
        raise ConvertError(f"{path.name} is not a {kind} model: {', '.join(wrong)} should be numbers.")
    infinite = [key for key, array in arrays.items() if not np.isfinite(array).all()]
    if infinite:
        raise ConvertError(f"{path.name} is damaged: {', '.join(infinite)} holds values that are not finite.")
    num_joints = arrays["weights"].shape[-1] if arrays["weights"].ndim == 2 else 0
    if num_joints != NUM_JOINTS[kind]:
        raise ConvertError(
            f"{path.name} is not a {kind} model: expected skin weights for {NUM_JOINTS[kind]} joints, "
            f"found {arrays['weights'].shape}."
        )
    return arrays


def _landmark_files(static: Path | None, dynamic: Path | None) -> dict[str, NDArray]:
    found: dict[str, NDArray] = {}
    for path, prefix in ((static, ""), (dynamic, "dynamic_")):
        if path is None:
            continue
        data = read_source(path)
        if not isinstance(data, dict) or not {"lmk_face_idx", "lmk_b_coords"} <= set(data):
            keys = ", ".join(sorted(data)) if isinstance(data, dict) else type(data).__name__
            raise ConvertError(f"{path.name} should hold lmk_face_idx and lmk_b_coords, found {keys}.")
        found[f"{prefix}lmk_faces_idx"] = np.asarray(data["lmk_face_idx"])
        found[f"{prefix}lmk_bary_coords"] = np.asarray(data["lmk_b_coords"])
    return found


def _vertex_array(path: Path, num_vertices: int) -> NDArray:
    array = np.asarray(read_source(path))
    if array.shape != (num_vertices, 3) or array.dtype.kind != "f":
        raise ConvertError(f"{path.name} has shape {array.shape}, the model needs ({num_vertices}, 3) numbers.")
    return array


def read_correspondence(
    head_ids: Path, hand_ids: Path | None = None, lower_head: Path | None = None, flame_masks: Path | None = None
) -> Correspondence:
    """Official lists of vertices -> which vertices of SMPL-X are head, hands, lips, and stay with the body.

    Args:
        head_ids: SMPL-X__FLAME_vertex_ids.npy.
        hand_ids: MANO_SMPLX_vertex_ids.pkl.
        lower_head: selected_lowerhead.npy of EHM-Tracker and GUAVA, in FLAME's numbers.
        flame_masks: FLAME_masks.pkl, in FLAME's numbers.
    """
    head, hands, kept, lips = _vertex_ids(head_ids), {}, np.zeros(0, np.int64), None
    if hand_ids is not None:
        found = read_source(hand_ids)
        if not isinstance(found, dict) or not {"left_hand", "right_hand"} <= set(found):
            raise ConvertError(f"{hand_ids.name} should hold left_hand and right_hand.")
        hands = {side: np.asarray(found[f"{side}_hand"]) for side in ("left", "right")}
    if lower_head is not None:
        kept = _of_head(lower_head, _vertex_ids(lower_head), head)
    if flame_masks is not None:
        masks = read_source(flame_masks)
        if not isinstance(masks, dict) or "lips" not in masks:
            raise ConvertError(f"{flame_masks.name} should hold masks of FLAME's vertices by name, lips among them.")
        lips = _of_head(flame_masks, np.asarray(masks["lips"]), head)
    return Correspondence(head=head, hands=hands, kept=kept, lips=lips)


def _vertex_ids(path: Path) -> NDArray[np.int64]:
    ids = np.asarray(read_source(path))
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ConvertError(f"{path.name} should be one row of vertex ids, found shape {ids.shape}.")
    return ids.astype(np.int64)


def _of_head(path: Path, flame_ids: NDArray, head: NDArray[np.int64]) -> NDArray[np.int64]:
    """FLAME's vertices in the numbers of the body."""
    is_row = flame_ids.ndim == 1 and flame_ids.dtype.kind in "iu"
    if not is_row or (flame_ids.size and not 0 <= flame_ids.min() <= flame_ids.max() < len(head)):
        raise ConvertError(f"{path.name} should name vertices of FLAME, 0 to {len(head) - 1}, in one row.")
    return head[flame_ids]


def read_surface_map(transfer: Path, mask: Path | None) -> SurfaceMap:
    """smpl2smplx_deftrafo_setup.pkl and smplx_mask_ids.npy -> where the SMPL-X vertices lie on the SMPL surface.

    The first half of the columns of `mtx` belongs to the vertices, the second to their normals. The mask lists the
    SMPL-X vertices that have a counterpart.
    """
    data = read_source(transfer)
    matrix = np.asarray(data.get("mtx") if isinstance(data, dict) else None)
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or matrix.shape[1] % 2:
        raise ConvertError(f"{transfer.name} should hold `mtx`, a matrix with two columns for each SMPL vertex.")
    used = None if mask is None else np.asarray(read_source(mask))
    if used is not None and (used.ndim != 1 or used.dtype.kind not in "iu"):
        raise ConvertError(f"{mask} should be one row of vertex ids, found {used.dtype} of shape {used.shape}.")
    try:
        return surface_map_of_matrix(matrix[:, : matrix.shape[1] // 2], used)
    except ValueError as error:
        raise ConvertError(f"{transfer.name}: {error}") from error


# --- command line -----------------------------------------------------------------------------------------------------
def main(arguments: list[str] | None = None) -> int:
    """Convert what was given; returns the exit code."""
    args = _parser().parse_args(arguments)
    try:
        written = _convert_all(args)
    except (ConvertError, PickleError, OSError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 2
    for path, text in written:
        print(f"{path}: {text}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model.body.convert", description=(__doc__ or "").split("\n")[0])
    for option, text in (
        ("--smplx", "SMPL-X model, .npz or .pkl"),
        ("--flame", "FLAME 2020 or 2023 model, .pkl"),
        ("--mano-left", "MANO_LEFT.pkl"),
        ("--mano-right", "MANO_RIGHT.pkl"),
        ("--smpl", "SMPL model, .pkl"),
        ("--head-ids", "SMPL-X__FLAME_vertex_ids.npy"),
        ("--hand-ids", "MANO_SMPLX_vertex_ids.pkl"),
        ("--lower-head", "selected_lowerhead.npy, FLAME vertices that stay with the body in the fusion paper"),
        ("--flame-masks", "FLAME_masks.pkl"),
        ("--flame-static", "flame_static_embedding.pkl"),
        ("--flame-dynamic", "flame_dynamic_embedding.npy"),
        ("--left-eyelid", "l_eyelid.npy"),
        ("--right-eyelid", "r_eyelid.npy"),
        ("--kid-template", "smplx_kid_template.npy"),
        ("--smpl-to-smplx", "smpl2smplx_deftrafo_setup.pkl"),
        ("--smplx-mask", "smplx_mask_ids.npy"),
    ):
        parser.add_argument(option, type=Path, metavar="FILE", help=text)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the npz files")
    return parser


_OF_HEAD = ("--hand-ids", "--lower-head", "--flame-masks")
"""Options whose files go into that of --head-ids."""


def _given(args: argparse.Namespace, flag: str) -> bool:
    return getattr(args, flag[2:].replace("-", "_")) is not None


def _convert_all(args: argparse.Namespace) -> list[tuple[Path, str]]:
    if (args.left_eyelid is None) != (args.right_eyelid is None):
        raise ConvertError("Pass both --left-eyelid and --right-eyelid, or neither.")
    models: list[tuple[str, Kind, Path | None, dict[str, Any]]] = [
        ("smplx", "smplx", args.smplx, {"kid_template": args.kid_template}),
        ("flame", "flame", args.flame, {
            "static_landmarks": args.flame_static,
            "dynamic_landmarks": args.flame_dynamic,
            "eyelids": None if args.left_eyelid is None else (args.left_eyelid, args.right_eyelid),
        }),
        ("mano_left", "mano", args.mano_left, {}),
        ("mano_right", "mano", args.mano_right, {}),
        ("smpl", "smpl", args.smpl, {}),
    ]  # fmt: skip
    others = (args.head_ids, args.smpl_to_smplx)
    if args.head_ids is None and (given := [flag for flag in _OF_HEAD if _given(args, flag)]):
        raise ConvertError(f"Pass --head-ids as well: {', '.join(given)} goes into the same file as it.")
    if all(path is None for path in (*others, *(path for _, _, path, _ in models))):
        raise ConvertError("Nothing to convert: pass at least one model file, for example --smplx FILE.")
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ConvertError(f"{args.out} is a file, --out takes a folder; name another one.") from error
    written = []
    for stem, kind, path, options in models:
        if path is None:
            continue
        assets = convert_model(kind, path, **options)
        target = args.out / f"{stem}.npz"
        save_body(target, assets)
        written.append((target, f"{kind} {assets.name}, {assets.num_vertices} vertices, sha256 {assets.sha256[:12]}"))
    if args.head_ids is not None:
        known = read_correspondence(args.head_ids, args.hand_ids, args.lower_head, args.flame_masks)
        target = args.out / "correspondence.npz"
        save_correspondence(target, known)
        absent = [flag for flag in _OF_HEAD if not _given(args, flag)]
        lacks = f", without {', '.join(absent)}" if absent else ""
        written.append(
            (target, f"{len(known.head)} head vertices, {len(known.kept)} of them stay with the body{lacks}")
        )
    if args.smpl_to_smplx is not None:
        surface = read_surface_map(args.smpl_to_smplx, args.smplx_mask)
        target = args.out / "smpl_to_smplx.npz"
        save_surface_map(target, surface)
        written.append((target, f"{len(surface.smplx_ids)} SMPL-X vertices on the SMPL surface"))
    return written


if __name__ == "__main__":
    raise SystemExit(main())
