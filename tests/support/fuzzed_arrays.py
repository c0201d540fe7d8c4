"""Readers of tensors, arrays, pickles and archives that others wrote, with small good files to begin from."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from fuzzed_reader import Reader
from labelled_photos import labelled_photos

from datasets_manifest.adapters.people.npz_file import NpzFile
from datasets_manifest.canonical import config_hash
from datasets_manifest.shards.selection_file import METADATA_KEY as METADATA_KEY_OF_SELECTIONS
from datasets_manifest.shards.selection_file import read_selections, write_selections
from datasets_manifest.sources.tar_archive import TarArchive
from model.body.asset_files import load_body
from model.body.official_files import read_source
from model.tensor_file import pack, unpack
from model.weights import read_checkpoint
from tasks.predict.avatar.motion import read_motion
from tasks.training.regressor.mean_file import read_mean_file


def _tensors(_: Path) -> list[bytes]:
    return [pack({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.int64)}, {"step": 3})]


def _read_tensors(path: Path) -> None:
    unpack(path.read_bytes(), path.name)


def _checkpoints(_: Path) -> list[bytes]:
    state = {"state_dict": {"layer.weight": torch.ones(2, 2), "layer.bias": torch.zeros(2)}, "epoch": 3}
    made = []
    for zipped in (True, False):
        buffer = io.BytesIO()
        torch.save(state, buffer, _use_new_zipfile_serialization=zipped)
        made.append(buffer.getvalue())
    return made


def _member(name: str) -> Callable[[bytes], bytes]:
    def member(whole: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            return next(archive.read(own) for own in archive.namelist() if own.endswith(name))

    return member


def _with_pickle(data: bytes) -> bytes:
    """A checkpoint of today's form whose pickle is this."""
    whole, out = _checkpoints(Path())[0], io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            target.writestr(name, data if name.endswith("data.pkl") else source.read(name))
    return out.getvalue()


def _pickles(_: Path) -> list[bytes]:
    value = {"v_template": np.arange(6.0).reshape(2, 3), "names": ["a", None], "ids": np.array([{"a": 1}, 2], object)}
    return [pickle.dumps(value, protocol) for protocol in (0, 2, 4, 5)]


def _archives(_: Path) -> list[bytes]:
    made = []
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, a=np.arange(6.0).reshape(2, 3), b=np.array({"jaw": 22}, object), c=np.array(["x", "yy"]))
        made.append(buffer.getvalue())
    return made


def _arrays(_: Path) -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(_archives(Path())[0])) as archive:
        return [archive.read(name) for name in archive.namelist()]


def _with_array(data: bytes) -> bytes:
    """An .npz with one array of this content."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.npy", data)
    return out.getvalue()


def _read_npz(path: Path) -> None:
    file = NpzFile(path)
    for name in file._members:
        file.array(name)


def _bodies(folder: Path) -> list[bytes]:
    keypoints = {"keypoint_names": np.array(["nose"]), "keypoint_ids": np.array([1])}
    texts = {"kind": "flame", "name": "FLAME", "sha256": "00", "licence": "x"}
    np.savez(folder / "body.npz", v_template=np.zeros((4, 3)), **keypoints, **texts)
    return [(folder / "body.npz").read_bytes()]


def _motions(folder: Path) -> list[bytes]:
    np.savez(folder / "motion.npz", poses=np.zeros((3, 165), np.float32), mocap_frame_rate=np.array(30.0))
    return [(folder / "motion.npz").read_bytes()]


def _selections(folder: Path) -> list[bytes]:
    write_selections(folder / "selection.arrow", [labelled_photos(folder / "photos", 2, name="a").selection])
    return [(folder / "selection.arrow").read_bytes()]


def _read_selection(path: Path) -> None:
    """By the hash that it states, so that what else is wrong with it comes to light."""
    stated = {}
    with suppress(pa.ArrowException, OSError, ValueError):
        stated = json.loads((pa.ipc.open_file(path).schema.metadata or {})[METADATA_KEY_OF_SELECTIONS])
    read_selections(path, config_hash(stated))


def _tars(folder: Path) -> list[bytes]:
    made = []
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=form) as file:
            for name in ("a.jpg", f"folder/{'x' * 99}ä.jpg"[: 90 if form == tarfile.USTAR_FORMAT else None]):
                info = tarfile.TarInfo(name)
                info.size = 3
                file.addfile(info, io.BytesIO(b"123"))
        made.append(buffer.getvalue()[: 12 * tarfile.BLOCKSIZE])
    return made


def _read_tar(path: Path) -> None:
    archive = TarArchive.index(path)
    for name in archive.members:
        archive.read(name)


ARRAYS = (
    Reader(name="tensors", suffix=".safetensors", seeds=_tensors, read=_read_tensors),
    Reader(name="safetensors", suffix=".safetensors", seeds=_tensors, read=read_checkpoint),
    Reader(name="checkpoint", suffix=".pth", seeds=_checkpoints, read=read_checkpoint),
    Reader(
        name="checkpoint pickle",
        suffix=".pth",
        read=read_checkpoint,
        packed=_with_pickle,
        seeds=lambda folder: [_member("data.pkl")(_checkpoints(folder)[0])],
    ),
    Reader(name="pickle", suffix=".pkl", seeds=_pickles, read=read_source),
    Reader(name="body npz", suffix=".npz", seeds=_archives, read=read_source),
    Reader(name="body array", suffix=".npz", seeds=_arrays, read=read_source, packed=_with_array),
    Reader(name="people npz", suffix=".npz", seeds=_archives, read=_read_npz),
    Reader(name="people array", suffix=".npz", seeds=_arrays, read=_read_npz, packed=_with_array),
    Reader(name="body", suffix=".npz", seeds=_bodies, read=lambda path: load_body(path, "flame")),
    Reader(name="mean", suffix=".npz", seeds=_archives, read=read_mean_file),
    Reader(name="motion", suffix=".npz", seeds=_motions, read=lambda path: read_motion(path, {})),
    Reader(name="selection", suffix=".arrow", seeds=_selections, read=_read_selection),
    Reader(name="tar", suffix=".tar", seeds=_tars, read=_read_tar),
)
