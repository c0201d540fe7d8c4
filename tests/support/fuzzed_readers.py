"""The readers of files that others wrote, each with small good files to begin from; for fuzzing by Hypothesis and by
coverage.

A reader reads a file or raises the error that it documents, whose sentence names the file. Anything else is a fault.
"""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.io
import torch
import yaml
from label_shards import footer, label_table
from labelled_photos import labelled_photos
from manifests import FOLDER_MANIFEST
from PIL import Image

from datasets_manifest.adapters.base import Inventory
from datasets_manifest.adapters.camera_files import read_cameras
from datasets_manifest.adapters.coco_index import CocoIndex
from datasets_manifest.adapters.people.npz_file import NpzFile
from datasets_manifest.canonical import config_hash
from datasets_manifest.corrections.kept import read_corrections
from datasets_manifest.corrections.schema import CORRECTION_FORM
from datasets_manifest.manifest import Manifest, load_manifest, open_adapter
from datasets_manifest.reviews.schema import REVIEW_FORM
from datasets_manifest.reviews.verdicts import read_verdicts
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.schema.part_files import PART_SCHEMAS
from datasets_manifest.shards.journal import Journal
from datasets_manifest.shards.selection_file import METADATA_KEY as METADATA_KEY_OF_SELECTIONS
from datasets_manifest.shards.selection_file import read_selections, write_selections
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.shards.store import write_shard
from datasets_manifest.sittings import Form
from datasets_manifest.sources.images import decode_image, decode_reduced, exif_focal_px, exif_orientation
from datasets_manifest.sources.opening import open_images
from datasets_manifest.sources.ply import ply_vertices
from datasets_manifest.sources.tar_archive import TarArchive
from model.body.asset_files import load_body
from model.body.official_files import read_source
from model.tensor_file import pack, unpack
from model.weights import read_checkpoint
from tasks.annotate.plan_files import PlanFile, write_plan_file
from tasks.annotate.settings import load_config
from tasks.predict.avatar.motion import read_motion
from tasks.snapshots import FACTS, LabelledSet, LabelSnapshot, read_facts
from tasks.training.regressor.mean_file import read_mean_file

MAX_PIXELS = 1_000_000
WORDS = (
    *(b"null", b"NaN", b"-1", b"1e999", b"9" * 25, b"0x10", b"2026-13-45", b"~", b"''", b"\0", b"\xff\xfe", b"[]"),
    *(b"{}", b"true", b"[" * 3000, b'{"a":' * 3000, b"a: &a [*a]", b"!!python/object/apply:os.system [id]", b"../x"),
    *(b"<<: *a", b"\n- ", b"? ", b"|", b"%", b"cos\nsystem\n", b"\x80\x04", b"R.", b"PAR1", b"/etc/passwd"),
)
"""What an edit may put into a file besides bytes at random."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """One way in which a file of others is read."""

    name: str
    """Of the reader."""
    suffix: str
    """Of the file."""
    seeds: Callable[[Path], Sequence[bytes]]
    """Good contents, made in a folder."""
    read: Callable[[Path], object]
    """Reads a file."""
    packed: Callable[[bytes], bytes] = bytes
    """From what is fuzzed to the bytes of a file: behind checksums and headers, where edits of the whole file seldom
    come."""

    def problem(self, folder: Path, data: bytes) -> Exception | None:
        """What a file of this content makes the reader raise that it should not, None if nothing."""
        path = folder / f"hostile{self.suffix}"
        path.write_bytes(self.packed(data))
        try:
            self.read(path)
        except ValueError as error:
            return None if path.name in str(error) else error
        except Exception as error:
            return error
        return None


@cache
def seeds_of(reader: Reader, folder: Path) -> tuple[bytes, ...]:
    """The good contents of a reader, made once a folder."""
    return tuple(reader.seeds(folder))


# --- images -----------------------------------------------------------------------------------------------------------
def _images(_: Path) -> list[bytes]:
    y, x = np.mgrid[0:24, 0:32]
    picture = Image.fromarray(np.stack([8 * x, 9 * y, 4 * (x + y)], 2).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8769] = {0xA405: 50, 0xA002: 32, 0xA003: 24}
    made = []
    for fmt, options in (
        *(("JPEG", {"exif": exif}), ("JPEG", {"progressive": True}), ("PNG", {"exif": exif}), ("WEBP", {"exif": exif})),
        *(("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})),
    ):
        buffer = io.BytesIO()
        picture.save(buffer, fmt, **options)
        made.append(buffer.getvalue())
    for mode, fmt in (("CMYK", "JPEG"), ("L", "JPEG"), ("P", "PNG"), ("LA", "PNG"), ("I;16", "PNG")):
        buffer = io.BytesIO()
        picture.convert("L" if mode == "I;16" else mode).convert(mode).save(buffer, fmt)
        made.append(buffer.getvalue())
    return made


def _read_image(path: Path) -> None:
    data = path.read_bytes()
    rgb = decode_image(data, name=path.name, max_pixels=MAX_PIXELS)
    assert rgb.ndim == 3
    assert rgb.shape[2] == 3
    assert 1 <= exif_orientation(data) <= 8
    focal = exif_focal_px(data)
    assert focal is None or 0 < focal < float("inf")
    decode_reduced(data, name=path.name, reduction=4, max_pixels=MAX_PIXELS)


# --- YAML and JSON ----------------------------------------------------------------------------------------------------
def _manifests(_: Path) -> list[bytes]:
    texts = [FOLDER_MANIFEST.format(id="a", root="/data", split="all", layout="{frames: {every: 3}}")]
    stated = yaml.safe_load(texts[0])
    coco = {"adapter": "coco", "layout": {"annotations": "a.json"}, "boxes": "manifest", "keypoints": "coco"}
    texts.append(yaml.safe_dump({**stated, **coco, "expected": {"images": 3}, "trusted": ["face"], "steps": ["get"]}))
    return [text.encode() for text in texts]


def _read_manifest(path: Path) -> None:
    manifest = load_manifest(path)
    try:
        _ = manifest.typed_layout, manifest.hash, manifest.footer
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error  # Of a manifest that is read, the options alone.


_SETTINGS = b"""annotate:
  datasets: [coco]
  keypoints: {backend: simulated, options: {seed: 3}}
  refine: {iterations: 3, beta_sigma: 1.5}
  run: {images_per_shard: 2, workers: 2, retries: 0}
"""
_CAMERAS = b"""unit: cm
direction: world_to_camera
synchronised: true
cameras:
  left: {size_px: [80, 60], focal_px: [90, 90], principal_px: [40, 30], rotation_vector: [0, 0, 0],
    translation: [0, 0, 300], lens: none}
  right: {size_px: [80, 60], focal_px: [90, 90], principal_px: [40, 30], rotation_vector: [0, 0.5, 0],
    translation: [50, 0, 300], lens: brown, coefficients: [0.1, 0, 0, 0, 0]}
"""


def _coco(_: Path) -> list[bytes]:
    people = [{"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "keypoints": [1, 2, 2] * 17}]
    images = [{"id": 1, "file_name": "ä.jpg", "width": 8, "height": 9}, {"id": 1, "file_name": "b.jpg"}]
    whole = {"info": {}, "images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}
    return [json.dumps(whole).encode(), json.dumps(whole, ensure_ascii=False, indent=1).encode()]


def _read_coco(path: Path) -> None:
    with CocoIndex(path, path.name, lambda _: 0, lambda _: 0, 1) as index:
        for image in range(len(index.image_ids)):
            index.rows(image, np.flatnonzero(index.images_of == image).tolist())


# --- tables, meshes, what a snapshot says -----------------------------------------------------------------------------
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


# --- Parquet ----------------------------------------------------------------------------------------------------------
def _labels(folder: Path) -> list[bytes]:
    write_shard(folder / "seed.parquet", label_table(2), footer())
    return [(folder / "seed.parquet").read_bytes()]


def _plans(folder: Path) -> list[bytes]:
    schema = PART_SCHEMAS["plan"]
    rows = {"sample_id": "a/all/x#0", "dataset": "a", "split": "all", "image": "x", "person": 0, "status": "ok"}
    write_plan_file(folder / "plan.parquet", {3: (pa.Table.from_pylist([rows], schema=schema), footer())})
    return [(folder / "plan.parquet").read_bytes()]


def _read_plan(path: Path) -> None:
    with PlanFile(path) as file:
        for index in file.footers:
            file.rows(index)


def _footers(folder: Path) -> list[bytes]:
    write_shard(folder / "seed.parquet", label_table(2), footer())
    raw = pq.read_metadata(folder / "seed.parquet").metadata
    return [json.dumps({key.decode(): json.loads(raw[key]) for key in raw if key != b"ARROW:schema"}).encode()]


def _with_footer(data: bytes) -> bytes:
    """Labels whose footer has these values; what is no JSON object becomes the value of one of its keys."""
    try:
        values = json.loads(data)
        raw = {key: json.dumps(value) for key, value in values.items()}
        {key.encode(): value.encode() for key, value in raw.items()}
    except (ValueError, AttributeError, RecursionError):
        raw = {"config": data}
    buffer = io.BytesIO()
    pq.write_table(label_table(2).replace_schema_metadata(raw), buffer)
    return buffer.getvalue()


def _sitting(form: Form, **values: object) -> list[bytes]:
    """A file of verdicts or corrections with one row; texts that are not given are x."""
    row = {field.name: "x" for field in form.schema if pa.types.is_string(field.type)} | values
    stated = json.dumps({"schema_version": form.version}).encode()
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row], form.schema.with_metadata({form.key: stated})), buffer)
    return [buffer.getvalue()]


def _reviews(_: Path) -> list[bytes]:
    return _sitting(REVIEW_FORM, part="face", verdict="reject", reviewed_utc=1)


def _corrections(_: Path) -> list[bytes]:
    box = {"keypoint": 3, "state": "moved", "x_px": 1.0, "y_px": 2.0, "bbox_xyxy": [0.0, 0.0, 9.0, 9.0]}
    return _sitting(CORRECTION_FORM, corrected_utc=1, **box)


def _journals(folder: Path) -> list[bytes]:
    from datasets_manifest.shards.journal import Entry

    path = folder / "a.parquet"
    table = label_table(2)
    journal = Journal(folder / "journal")
    journal.add("refine/a/all/00000.parquet", path.parent.stat(), Entry.of(write_shard(path, table, footer()), table))
    journal.save()
    return [next((folder / "journal").glob("*.parquet")).read_bytes()]


def _read_journal(path: Path) -> None:
    journal = Journal(path.parent)
    for place in journal._rows:
        journal._entry(journal._rows[place])


# --- tensors and arrays -----------------------------------------------------------------------------------------------
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


READERS = {
    reader.name: reader
    for reader in (
        Reader(name="image", suffix=".jpg", seeds=_images, read=_read_image),
        Reader(name="manifest", suffix=".yaml", seeds=_manifests, read=_read_manifest),
        Reader(name="settings", suffix=".yaml", seeds=lambda _: [_SETTINGS], read=load_config),
        Reader(
            name="cameras", suffix=".yaml", seeds=lambda _: [_CAMERAS],
            read=lambda path: read_cameras(open_images(path.parent), path.name),
        ),
        Reader(name="coco", suffix=".json", seeds=_coco, read=_read_coco),
        Reader(name="labels", suffix=".parquet", seeds=_labels, read=lambda path: read_shard(path, LABEL_SCHEMA)),
        Reader(
            name="footer", suffix=".parquet", seeds=_footers, read=lambda path: read_shard(path, LABEL_SCHEMA),
            packed=_with_footer,
        ),
        Reader(name="plan", suffix=".parquet", seeds=_plans, read=_read_plan),
        Reader(name="reviews", suffix=".parquet", seeds=_reviews, read=lambda path: read_verdicts(path.parent)),
        Reader(
            name="corrections",
            suffix=".parquet",
            seeds=_corrections,
            read=lambda path: read_corrections(path.parent.parent, path.parent.name),
        ),
        Reader(name="journal", suffix=".parquet", seeds=_journals, read=_read_journal),
        Reader(name="tensors", suffix=".safetensors", seeds=_tensors, read=_read_tensors),
        Reader(name="safetensors", suffix=".safetensors", seeds=_tensors, read=read_checkpoint),
        Reader(name="checkpoint", suffix=".pth", seeds=_checkpoints, read=read_checkpoint),
        Reader(
            name="checkpoint pickle", suffix=".pth", read=read_checkpoint, packed=_with_pickle,
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
        Reader(name="aic table", suffix=".json", seeds=_aic, read=_listed("aic_native")),
        Reader(name="mpii table", suffix=".json", seeds=_mpii, read=_listed("mpii_json")),
        Reader(
            name="ava table", suffix=".csv", read=_listed("ava"),
            seeds=lambda _: [b"film,0902,0.1,0.2,0.5,0.9,12,0\nfilm,0902,0.1,0.2,0.5,0.9,17,0\nfilm,0903,,,,,,\n"],
        ),
        Reader(name="lsp table", suffix=".mat", seeds=_mat, read=_listed("lspet")),
        Reader(
            name="ply", suffix=".ply", seeds=_ply, read=lambda path: ply_vertices(path.read_bytes(), path.name)
        ),
        Reader(name="snapshot", suffix=".json", seeds=_facts, read=_read_facts),
        Reader(name="tar", suffix=".tar", seeds=_tars, read=_read_tar),
    )
}  # fmt: skip
"""By name."""
