"""Nothing that is read runs anything, and no archive reaches outside of itself."""

import ast
import io
import pickle
import re
import tarfile
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from annotated_project import annotate
from hostile_pickles import Call, hostile_pickles
from manifests import write_manifest
from published_people import hmr2_person
from stub_estimators import write_stub_params
from tar_files import write_tar

from datasets_manifest.adapters.people.npz_file import NpzFile
from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.tar_archive import TarArchive
from model.body.official_files import read_source
from model.tensor_file import unpack
from model.weights import read_checkpoint

ROOT = Path(__file__).parents[2]
CODE = ("flows", "tasks", "fitting", "model", "datasets_manifest", "benchmarks")


def unsafe_reads(path):
    """Where a file reads pickles, or switches the guard of numpy or torch off."""
    names = (
        *("pickle.load", "pickle.loads", "pickle.Unpickler", "pd.read_pickle", "pandas.read_pickle"),
        *("cloudpickle.load", "cloudpickle.loads", "joblib.load", "dill.load", "dill.loads"),
    )
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (name := f"{node.value.id}.{node.attr}") in names:
                yield f"{path.relative_to(ROOT)}:{node.lineno} {name}"
        elif isinstance(node, ast.Call):
            words = {word.arg: ast.unparse(word.value) for word in node.keywords}
            is_unsafe = words.get("allow_pickle") == "True" or words.get("weights_only") == "False"
            if is_unsafe and not ast.unparse(node.func).endswith(("np.save", "write_array")):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node.func)}"


@pytest.mark.promise(
    12,
    "Body models that are published as pickles are read without running anything in them",
    "12 hostile pickles, none runs; one module derives an unpickler, nothing else in the code reads pickles",
)
@pytest.mark.long
def test_no_pickle_of_a_body_model_runs_anything(tmp_path, measured):
    sentinel = tmp_path / "sentinel"
    hostile = hostile_pickles(sentinel)
    assert len(hostile) >= 12
    for name, data in hostile.items():
        path = tmp_path / f"{name}.pkl"
        path.write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name}\.pkl"):
            read_source(path)
    assert not sentinel.exists()
    found = [line for folder in CODE for path in (ROOT / folder).rglob("*.py") for line in unsafe_reads(path)]
    assert [line.partition(":")[0] for line in found] == ["datasets_manifest/restricted_pickle.py"], found
    measured(f"{len(hostile)} hostile pickles, 0 ran; 1 unpickler in the code")


def test_tests_unpickle_in_one_place():
    found = {line.partition(":")[0] for path in (ROOT / "tests").rglob("*.py") for line in unsafe_reads(path)}
    assert found == {"tests/support/pickling.py"}


def makes(sentinel):
    """What makes a file when an ordinary unpickler reads it."""
    return Call(eval, f"open({str(sentinel)!r}, 'w')")


def checkpoint_with(hostile, *, is_zip):
    """A file of torch.save that holds an object."""
    out = io.BytesIO()
    torch.save({"state_dict": {"a": torch.ones(2)}, "more": hostile}, out, _use_new_zipfile_serialization=is_zip)
    return out.getvalue()


@pytest.mark.promise(
    13,
    "Checkpoints run nothing when they are read, and say which file they are",
    "torch 2.10 or newer; hostile checkpoints of both forms of torch.save, none runs; `weights_only=False` nowhere; "
    "our own are safetensors; the sha256 of a file of weights is checked before it is loaded",
)
def test_no_checkpoint_runs_anything(tmp_path, measured):
    sentinel = tmp_path / "sentinel"
    calls = [makes(sentinel), Call(open, str(sentinel), "w"), Call(__import__, "antigravity")]
    number = 0
    for is_zip in (True, False):
        for call in calls:
            path = tmp_path / f"{number}.pth"
            path.write_bytes(checkpoint_with(call, is_zip=is_zip))
            with pytest.raises(ValueError, match=rf"{number}\.pth asks for .* nothing was run"):
                read_checkpoint(path)
            number += 1
    for name, data in hostile_pickles(sentinel).items():
        path = tmp_path / f"{name}.ckpt"
        path.write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name}\.ckpt"):
            read_checkpoint(path)
        with pytest.raises(ValueError, match="own"):
            unpack(data, "own")
        number += 1
    assert not sentinel.exists()
    assert tuple(map(int, version("torch").split(".")[:2])) >= (2, 10)
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert "torch>=2.10,<3" in stated
    code = [path.read_text() for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    assert not [text for text in code if re.search(r"weights_only\s*=\s*False", text)]
    measured(f"torch {version('torch')}; {number} hostile files, 0 ran")


@pytest.mark.promise(
    14,
    "Pickles inside data run nothing, and labels are never pickled",
    "hostile `.pyd`, `.pkl`, `.npz` and Parquet files: none runs",
)
def test_no_pickle_inside_data_runs_anything(tmp_path, measured):
    sentinel = tmp_path / "sentinel"
    hostile, number = hostile_pickles(sentinel), 0
    for name, data in hostile.items():
        folder = tmp_path / name
        folder.mkdir()
        for entry in ("p.data.pyd", "q.data.pyd"):  # Alone, and inside of a person who is whole.
            content = data if entry[0] == "p" else pickle.dumps([hmr2_person(extra_info=makes(sentinel))])
            write_tar(folder / f"{entry[0]}.tar", [(f"{entry[0]}.jpg", b"photo"), (entry, content)])
        entries = list(people_of_tars(folder).entries())
        assert {type(entry).__name__ for entry in entries} <= {"Missing", "ImageRecord", "LeftOut"}
        path = folder / "a.parquet"
        note = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": data}
        field = pa.field("sample_id", pa.string(), metadata=note)
        pq.write_table(pa.table({"sample_id": ["x"]}, schema=pa.schema([field])), path)
        with pytest.raises(ValueError, match=r"a\.parquet"):
            read_shard(path, LABEL_SCHEMA)
        number += 3
    np.savez(tmp_path / "people.npz", imgname=np.array(makes(sentinel), dtype=object))
    with pytest.raises(ValueError, match="nothing was run"):
        NpzFile(tmp_path / "people.npz").array("imgname")
    assert not sentinel.exists()
    measured(f"{number + 1} hostile files of data, 0 ran")


def people_of_tars(folder):
    return open_adapter(
        Manifest(
            id="tars", version="1", licence="x", access="x", adapter="tar_people", root=str(folder), split="train",
            boxes="manifest", keypoints="coco_wholebody", purpose="test", layout={"records": "hmr2"},
        )
    )  # fmt: skip


@pytest.mark.promise(
    17,
    "No member of an archive leads outside",
    "members named `../`, absolute ones, links and devices: no file outside is read or written; members are read where "
    "they lie, unpacked is nothing",
)
def test_no_member_of_an_archive_leads_outside(tmp_path, measured):
    photos, secret = tmp_path / "photos", tmp_path / "secret.png"
    photos.mkdir()
    secret.write_bytes(b"secret")
    names = ["../secret.png", str(secret), "a/../../secret.png", "..", "./../secret.png", "a//../../secret.png"]
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
    path = write_tar(photos / "photos.tar", [(name, b"other") for name in names])
    with tarfile.open(path, "a") as file:
        for number, kind in enumerate(kinds):
            info = tarfile.TarInfo(f"special{number}.png")
            info.type, info.linkname = kind, str(secret)
            file.addfile(info)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    archive = TarArchive.index(path)
    assert not archive.members
    for name in (*names, *(f"special{number}.png" for number in range(len(kinds)))):
        with pytest.raises(ImageError):
            archive.read(name)
    params = write_stub_params(tmp_path)
    manifest = write_manifest(tmp_path / "tars.yaml", "tars", photos)
    with pytest.raises(ValueError, match=r"no photo was found .* the member's name is not a plain path"):
        annotate(params, datasets=[str(manifest)])
    assert {path: path.read_bytes() for path in before} == before
    made = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert made <= {"photos", "secret.png", "params.yaml", "tars.yaml", "work", "labels", "reports", "metrics"}, made
    measured(f"{len(names) + len(kinds)} such members: none is read, 0 files outside are written or changed")
