"""Official SMPL-X, FLAME, MANO and SMPL files -> npz files without pickled members, once, on the user's machine.

    python -m model.body.convert --smplx SMPLX_NEUTRAL.npz --flame FLAME_NEUTRAL.pkl \\
        --head-ids SMPL-X__FLAME_vertex_ids.npy --out licensed/

The official files are pickles, many written by Python 2 with chumpy objects, and a pickle can run any code when it is
read. This module is the only place of the project that reads one. It resolves a fixed list of names, each to an inert
stand-in of its own that stores values and calls nothing; any other name ends the reading before anything happened.
Neither chumpy nor scipy is needed by the stand-ins, and numpy arrays are rebuilt from their bytes by this module.
"""

import argparse
import hashlib
import io
import math
import os
import pickle
import re
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.body.assets import NUM_JOINTS, BodyAssets, Kind, from_official_layout, save_body, save_correspondence

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
_SIMPLE_DTYPE = re.compile(r"[<>|=]?(b1|[iuf][1248]|[SU]\d{1,6}|O8?|[bBhHiIlLqQfd?])")


class ConvertError(ValueError):
    """A source file cannot be converted; the text says which, why and what to do."""


class RefusedName(ConvertError):
    """A pickle asks for something that no body-model file needs. Nothing was run."""


# --- inert stand-ins --------------------------------------------------------------------------------------------------
class _Function:
    """Wraps one harmless function so that a pickle can call it but not change it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function has no state")


class _Record:
    """An object of which only the stored state matters."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def field(self, *names: str) -> Any:
        """First of `names` that the state has."""
        for name in names:
            if isinstance(self.state, dict) and name in self.state:
                return _plain(self.state[name])
        raise pickle.UnpicklingError(f"a stored object lacks {' and '.join(names)}")

    def value(self) -> Any:
        """The plain array or container that this stands for."""
        raise pickle.UnpicklingError("a stored object has no value")


class _Marker(_Record):
    """Stands for `object` and `numpy.ndarray` where a pickle only names them."""


class _DType(_Record):
    def __init__(self, text: str = "", *_: Any) -> None:
        if not isinstance(text, str) or not _SIMPLE_DTYPE.fullmatch(text):
            raise pickle.UnpicklingError(f"unusual array type {text!r}")
        self.text = text

    def value(self) -> np.dtype:
        order = ""
        if isinstance(self.state, tuple) and len(self.state) > 4:
            if any(part is not None for part in self.state[2:5]):
                raise pickle.UnpicklingError("structured array type")
            order = self.state[1] if self.state[1] in ("<", ">") else ""
        return np.dtype(self.text if self.text[0] in "<>|=" else order + self.text)


class _Array(_Record):
    def value(self) -> NDArray:
        state = self.state
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise pickle.UnpicklingError("an array without content")
        shape, dtype, is_fortran, raw = state[-4:]
        return _array(shape, dtype, raw, "F" if is_fortran else "C")


class _SparseByColumn(_Record):
    def value(self) -> NDArray:
        rows, columns = self.field("_shape", "shape")
        return _dense(self.field("data"), self.field("indices"), self.field("indptr"), (rows, columns))


class _SparseByRow(_Record):
    def value(self) -> NDArray:
        rows, columns = self.field("_shape", "shape")
        return _dense(self.field("data"), self.field("indices"), self.field("indptr"), (columns, rows)).T


class _Chumpy(_Record):
    def value(self) -> NDArray:
        return np.asarray(self.field("x"))


class _ChumpySelect(_Record):
    def value(self) -> NDArray:
        picked = np.asarray(self.field("a")).ravel()[np.asarray(self.field("idxs")).ravel()]
        has_shape = isinstance(self.state, dict) and "preferred_shape" in self.state
        return picked.reshape(self.field("preferred_shape")) if has_shape else picked


def _array(shape: Any, dtype: Any, raw: Any, order: Any) -> NDArray:
    kind = dtype.value() if isinstance(dtype, _DType) else None
    if kind is None or not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise pickle.UnpicklingError("an array with an unusual shape or type")
    if kind.hasobject:
        if not isinstance(raw, list) or len(raw) != math.prod(shape):
            raise pickle.UnpicklingError("an object array whose length does not match its shape")
        found = np.empty(len(raw), dtype=object)
        found[:] = [_plain(item) for item in raw]
        return found.reshape(shape)
    data = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
    if len(data) != math.prod(shape) * kind.itemsize:
        raise pickle.UnpicklingError("an array whose length does not match its shape")
    return np.frombuffer(data, dtype=kind).reshape(shape, order="F" if order == "F" else "C")


def _dense(data: NDArray, indices: NDArray, indptr: NDArray, shape: tuple[int, int]) -> NDArray:
    """Compressed columns -> (rows, columns)."""
    rows, columns = shape
    counts = np.diff(indptr)
    if len(indptr) != columns + 1 or counts.min(initial=0) < 0 or not len(data) == len(indices) == counts.sum():
        raise pickle.UnpicklingError("a sparse matrix that contradicts itself")
    if indices.size and (indices.min() < 0 or indices.max() >= rows):
        raise pickle.UnpicklingError("a sparse matrix with an entry outside its shape")
    found = np.zeros(shape)
    np.add.at(found, (indices, np.repeat(np.arange(columns), counts)), data)
    return found


def _reconstruct_object(cls: Any, base: Any = None, state: Any = None) -> _Record:
    if not (isinstance(cls, type) and issubclass(cls, _Record)):
        raise pickle.UnpicklingError("an object of an unusual class")
    return cls()


def _reconstruct_array(cls: Any, shape: Any, dtype: Any) -> _Array:
    return _Array()


def _array_from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    found = _Array()
    found.state = (shape, dtype, order == "F", raw)
    return found


def _scalar(dtype: Any, raw: Any = b"") -> _Array:
    found = _Array()
    found.state = ((), dtype, False, raw)
    return found


def _latin1(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"unusual text encoding {encoding!r}")
    return text.encode("latin1")


def _allowed_names() -> dict[tuple[str, str], Any]:
    names: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): _Marker,
        ("numpy", "dtype"): _DType,
        ("_codecs", "encode"): _Function(_latin1),
        ("collections", "OrderedDict"): _Function(lambda items=(): dict(items)),
        ("chumpy", "Ch"): _Chumpy,
        ("chumpy.ch", "Ch"): _Chumpy,
        ("chumpy.reordering", "Select"): _ChumpySelect,
    }
    for module in ("numpy.core", "numpy._core"):
        names[module + ".multiarray", "_reconstruct"] = _Function(_reconstruct_array)
        names[module + ".multiarray", "scalar"] = _Function(_scalar)
        names[module + ".numeric", "_frombuffer"] = _Function(_array_from_buffer)
    for module in ("builtins", "__builtin__"):
        names[module, "object"] = _Marker
        names[module, "set"] = _Function(lambda items=(): list(items))
    for module in ("copyreg", "copy_reg"):
        names[module, "_reconstructor"] = _Function(_reconstruct_object)
    for stem, cls in (("csc", _SparseByColumn), ("csr", _SparseByRow)):
        for module in (f"scipy.sparse.{stem}", f"scipy.sparse._{stem}"):
            names[module, f"{stem}_matrix"] = cls
            names[module, f"{stem}_array"] = cls
    return names


_ALLOWED = _allowed_names()


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, source: str) -> None:
        super().__init__(file, encoding="latin1")
        self._source = source

    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module, name))
        if found is None:
            raise RefusedName(
                f"{self._source} asks for {module}.{name}, which no body-model file needs; nothing was run. "
                "Delete it and get the file again from its publisher."
            )
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise RefusedName(f"{self._source} refers to an object outside itself; nothing was run.")


def _plain(value: Any) -> Any:
    """Replace stand-ins by the arrays and containers they stand for."""
    if isinstance(value, _Record):
        return value.value()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if isinstance(key, str)}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value


def _unpickle(data: bytes, source: str) -> Any:
    try:
        return _plain(_RestrictedUnpickler(io.BytesIO(data), source).load())
    except RefusedName:
        raise
    except (
        pickle.UnpicklingError, EOFError, AttributeError, ImportError, LookupError, ValueError, TypeError,
        MemoryError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise ConvertError(f"{source} is corrupt or not a model file ({error or type(error).__name__}).") from error


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
    return _unpickle(data, path.name)


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
        found = _unpickle(rest, source)
        return found.item() if isinstance(found, np.ndarray) and found.shape == () else found
    if len(rest) != math.prod(shape) * dtype.itemsize:
        raise ConvertError(f"{source} is corrupt (its length does not match its shape): download it again.")
    return np.frombuffer(rest, dtype=dtype).reshape(shape, order="F" if is_fortran else "C")


def sha256_of(*paths: Path) -> str:
    """Hash of one file, or of the hashes of several."""
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
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


# --- command line -----------------------------------------------------------------------------------------------------
def main(arguments: list[str] | None = None) -> int:
    """Convert what was given; returns the exit code."""
    args = _parser().parse_args(arguments)
    try:
        written = _convert_all(args)
    except ConvertError as error:
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
    if args.head_ids is None and all(path is None for _, _, path, _ in models):
        raise ConvertError("Nothing to convert: pass at least one model file, for example --smplx FILE.")
    args.out.mkdir(parents=True, exist_ok=True)
    written = []
    for stem, kind, path, options in models:
        if path is None:
            continue
        assets = convert_model(kind, path, **options)
        target = args.out / f"{stem}.npz"
        _replace(target, lambda temporary, assets=assets: save_body(temporary, assets))
        written.append((target, f"{kind} {assets.name}, {assets.num_vertices} vertices, sha256 {assets.sha256[:12]}"))
    if args.head_ids is not None:
        head, hands = read_correspondence(args.head_ids, args.hand_ids)
        target = args.out / "correspondence.npz"
        _replace(target, lambda temporary: save_correspondence(temporary, head, hands))
        written.append((target, f"{len(head)} head vertices"))
    return written


def _replace(target: Path, write: Callable[[Path], None]) -> None:
    """Write next to `target`, then put the finished file in its place."""
    temporary = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        write(temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


if __name__ == "__main__":
    raise SystemExit(main())
