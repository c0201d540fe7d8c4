"""Readers of pictures and of texts that others wrote, with small good files to begin from."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import yaml
from fuzzed_reader import Reader
from manifests import FOLDER_MANIFEST
from PIL import Image

from datasets_manifest.adapters.camera_files import read_cameras
from datasets_manifest.adapters.coco_index import CocoIndex
from datasets_manifest.manifest import load_manifest
from datasets_manifest.sources.images import decode_image, decode_reduced, exif_focal_px, exif_orientation
from datasets_manifest.sources.opening import open_images
from tasks.annotate.settings import load_config

MAX_PIXELS = 1_000_000


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


TEXTS = (
    Reader(name="image", suffix=".jpg", seeds=_images, read=_read_image),
    Reader(name="manifest", suffix=".yaml", seeds=_manifests, read=_read_manifest),
    Reader(name="settings", suffix=".yaml", seeds=lambda _: [_SETTINGS], read=load_config),
    Reader(
        name="cameras",
        suffix=".yaml",
        seeds=lambda _: [_CAMERAS],
        read=lambda path: read_cameras(open_images(path.parent), path.name),
    ),
    Reader(name="coco", suffix=".json", seeds=_coco, read=_read_coco),
)
