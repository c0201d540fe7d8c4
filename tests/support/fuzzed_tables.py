"""Readers of tables and meshes that others wrote, and of what snapshots say, with small good files to begin from."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import scipy.io
from fuzzed_reader import Reader

from datasets_manifest.adapters.base import Inventory
from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.sources.ply import ply_vertices
from tasks.snapshots import FACTS, LabelledSet, LabelSnapshot, read_facts


def _aic(_: Path) -> list[bytes]:
    boxes, points = {"human1": [10, 20, 60, 120]}, {"human1": [30, 40, 1] * 12 + [35, 10, 2, 0, 0, 3]}
    row = {"url": "x", "image_id": "a", "human_annotations": boxes, "keypoint_annotations": points}
    return [json.dumps([row, {**row, "image_id": "b"}]).encode()]


def _mpii(_: Path) -> list[bytes]:
    person = {"joints": [[40.5, 60]] * 16, "joints_vis": [1] * 16, "image": "a.jpg", "scale": 3.5, "center": [50, 70]}
    return [json.dumps([person, person, {**person, "image": "b.jpg"}]).encode()]


def _mat(_: Path) -> list[bytes]:
    made = []
    for options in ({}, {"do_compression": True}, {"format": "4"}):
        buffer = io.BytesIO()
        joints = np.arange(42.0).reshape(14, 3)
        scipy.io.savemat(buffer, {"joints": joints if options.get("format") else joints[..., None]}, **options)
        made.append(buffer.getvalue())
    return made


def _listed(kind: str) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        has_points = kind != "ava"
        manifest = Manifest(
            id="a", version="1", licence="x", access="x", adapter="table", root=str(path.parent), split="all",
            boxes="manifest", keypoints="coco" if has_points else "none", purpose="x",
            layout={"kind": kind, "annotations": path.name},
        )  # fmt: skip
        (path.parent / "im00001.png").touch()  # As LSP's photos are called.
        list(Inventory().records(open_adapter(manifest).entries(), lambda _: None))

    return read


def _ply(_: Path) -> list[bytes]:
    head = "ply\nformat {}\nelement vertex 2\nproperty float x\nproperty float y\nproperty double z\nend_header\n"
    rows = np.array([(1, 2, 3), (4, 5, 6)], "<f4,<f4,<f8")
    return [
        head.format("ascii 1.0").encode() + b"1 2 3\n4 5 6e1\n",
        head.format("binary_little_endian 1.0").encode() + rows.tobytes(),
    ]


def _facts(_: Path) -> list[bytes]:
    manifest, count = {"id": "a", "version": "1", "hash": "00", "licence": "x"}, {"ok": 2, "failed": 1}
    own = LabelledSet(
        dataset="a", split="all", manifest=manifest, config_hash="0", body_model={}, shards=1, count=count
    )
    facts = LabelSnapshot(name="v1", hash="00", created_utc="2026", code_version="1", files=2, datasets=(own,))
    return [json.dumps(asdict(facts)).encode()]


def _read_facts(path: Path) -> None:
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    (folder / FACTS).write_bytes(path.read_bytes())
    try:
        _ = read_facts(folder).line
    except ValueError as error:
        raise ValueError(str(error).replace(folder.name, path.name)) from error


TABLES = (
    Reader(name="aic table", suffix=".json", seeds=_aic, read=_listed("aic_native")),
    Reader(name="mpii table", suffix=".json", seeds=_mpii, read=_listed("mpii_json")),
    Reader(
        name="ava table",
        suffix=".csv",
        read=_listed("ava"),
        seeds=lambda _: [b"film,0902,0.1,0.2,0.5,0.9,12,0\nfilm,0902,0.1,0.2,0.5,0.9,17,0\nfilm,0903,,,,,,\n"],
    ),
    Reader(name="lsp table", suffix=".mat", seeds=_mat, read=_listed("lspet")),
    Reader(name="ply", suffix=".ply", seeds=_ply, read=lambda path: ply_vertices(path.read_bytes(), path.name)),
    Reader(name="snapshot", suffix=".json", seeds=_facts, read=_read_facts),
)
