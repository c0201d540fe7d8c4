"""Official SMPL-X, FLAME, MANO and SMPL files -> npz files without pickled members, once, on the user's machine.

    python -m model.body.convert --smplx SMPLX_NEUTRAL.npz --flame FLAME_NEUTRAL.pkl \\
        --head-ids SMPL-X__FLAME_vertex_ids.npy --out licensed/

The official files are pickles, or npz files with pickled members; `model.body.restricted_pickle` reads those without
running anything in them. What comes out needs no pickle, and nothing else of the project reads one.
"""

import argparse
import hashlib
import io
import math
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets_manifest.files import file_sha256
from model.body.asset_files import save_body, save_correspondence
from model.body.assets import NUM_JOINTS, BodyAssets, Kind, from_official_layout
from model.body.restricted_pickle import ConvertError, unpickle
from model.body.surface_map import SurfaceMap, save_surface_map, surface_map_of_matrix

LICENCE = "registration-gated, non-commercial; see the publisher's terms"
MAX_SOURCE_BYTES = 4 << 30
"""Larger sources, or archives that unpack to more, are refused: no published body model comes near."""
_BASE_KEYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")
REQUIRED_KEYS: dict[Kind, tuple[str, ...]] = {
    "smplx": (*_BASE_KEYS, "hands_meanl", "hands_meanr", "hands_componentsl", "hands_componentsr"),
    "flame": _BASE_KEYS,
    "mano": (*_BASE_KEYS, "hands_mean", "hands_components"),
    "smpl": _BASE_KEYS,
}
_LANDMARK_KEYS = ("lmk_faces_idx", "lmk_bary_coords", "dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords")


# --- files ------------------------------------------------------------------------------------------------------------
def read_source(path: Path) -> Any:
    """Read an official .npz, .npy or .pkl file by its content, running nothing in it.

    Returns:
        A dict of arrays for .npz and for a pickled dict; an array for .npy.
    """
    if not path.is_file():
        raise ConvertError(f"{path} does not exist: download it from the model's site and pass its path.")
    if path.stat().st_size > MAX_SOURCE_BYTES:
        raise ConvertError(f"{path} has {path.stat().st_size} bytes; no body-model file is larger than 4 GB.")
    data = path.read_bytes()
    if data.startswith(b"PK\x03\x04"):
        return _read_npz(data, path.name)
    if data.startswith(b"\x93NUMPY"):
        return _read_npy(data, path.name)
    return unpickle(data, path.name)


def _read_npz(data: bytes, source: str) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_SOURCE_BYTES:
                raise ConvertError(f"{source} unpacks to more than 4 GB; no body-model file does.")
            members = [name for name in archive.namelist() if name.endswith(".npy")]
            return {name[: -len(".npy")]: _read_npy(archive.read(name), f"{source}:{name}") for name in members}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ConvertError(f"{source} is corrupt ({error}): download it again.") from error


def _read_npy(data: bytes, source: str) -> Any:
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read_header(file)
    except (ValueError, SyntaxError, TypeError) as error:
        raise ConvertError(f"{source} is corrupt ({error}): download it again.") from error
    rest = data[file.tell() :]
    if dtype.hasobject:
        found = unpickle(rest, source)
        return found.item() if isinstance(found, np.ndarray) and found.shape == () else found
    if len(rest) != math.prod(shape) * dtype.itemsize:
        raise ConvertError(f"{source} is corrupt (its length does not match its shape): download it again.")
    return np.frombuffer(rest, dtype=dtype).reshape(shape, order="F" if is_fortran else "C")


def sha256_of(*paths: Path) -> str:
    """Hash of one file, or of the hashes of several."""
    digests = [file_sha256(path) for path in paths]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


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


def read_correspondence(head_ids: Path, hand_ids: Path | None) -> tuple[NDArray, dict[str, NDArray]]:
    """SMPL-X__FLAME_vertex_ids.npy and MANO_SMPLX_vertex_ids.pkl -> head ids (V_flame,), hand ids by side."""
    head = np.asarray(read_source(head_ids))
    if head.ndim != 1 or head.dtype.kind not in "iu":
        raise ConvertError(f"{head_ids.name} should be one row of vertex ids, found shape {head.shape}.")
    if hand_ids is None:
        return head, {}
    hands = read_source(hand_ids)
    if not isinstance(hands, dict) or not {"left_hand", "right_hand"} <= set(hands):
        raise ConvertError(f"{hand_ids.name} should hold left_hand and right_hand.")
    return head, {side: np.asarray(hands[f"{side}_hand"]) for side in ("left", "right")}


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
    except (ConvertError, OSError) as error:
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
        head, hands = read_correspondence(args.head_ids, args.hand_ids)
        target = args.out / "correspondence.npz"
        save_correspondence(target, head, hands)
        written.append((target, f"{len(head)} head vertices"))
    if args.smpl_to_smplx is not None:
        surface = read_surface_map(args.smpl_to_smplx, args.smplx_mask)
        target = args.out / "smpl_to_smplx.npz"
        save_surface_map(target, surface)
        written.append((target, f"{len(surface.smplx_ids)} SMPL-X vertices on the SMPL surface"))
    return written


if __name__ == "__main__":
    raise SystemExit(main())
