"""Not a test: small data sets with labels, written in milliseconds."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from table_rows import table_from_rows

from datasets_manifest.schema.ehm_fields import BodySize
from datasets_manifest.schema.labels import label_schema
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.selection import select_labels
from datasets_manifest.shards.store import shard_path, write_shard
from datasets_manifest.sources.opening import open_images
from tasks.training.labelled_photos import LabelledPhotos

WIDTH, HEIGHT = 120, 150


def write_photo(path: Path, seed: int, size=(WIDTH, HEIGHT)) -> None:
    """A photo of coloured blobs."""
    noise = np.random.default_rng(seed).integers(0, 255, (size[1] // 8, size[0] // 8, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cv2.resize(noise, size)).save(path, quality=90)


def label_row(number: int, image: str, person: int, dataset: str, num_betas: int = 10) -> dict:
    """A row with all parts."""
    rng = np.random.default_rng([number, person])
    keypoints = np.column_stack([rng.uniform(20, 100, 133), rng.uniform(30, 130, 133), rng.uniform(0.4, 1, 133)])
    row = {
        "sample_id": f"{dataset}/train/{image}#{person}",
        "dataset": dataset,
        "split": "train",
        "image": image,
        "image_width": WIDTH,
        "image_height": HEIGHT,
        "person": person,
        "bbox_xyxy": [15.0, 20.0, 105.0 - 20 * person, 140.0],
        "bbox_source": "manifest",
        "status": "ok",
        "keypoints_2d": keypoints,
        "focal_px": 170.0,
        "principal_px": [WIDTH / 2, HEIGHT / 2],
        "transl_m": [0.0, 0.0, 3.0],
        "eyelids": rng.uniform(0, 1, 2),
        "head_scale": np.ones(3),
        "hand_scale": np.ones(3),
        "joint_seen": np.ones(22, bool),
        **dict.fromkeys(("quality", "body_quality"), quality := 0.1 + 0.8 * rng.random()),
        **{f"{part}_quality": quality / 2 for part in ("left_hand", "right_hand", "face")},
        "body_group_valid": np.ones(6, bool),
        "eyes_valid": True,
        "eyelids_valid": True,
    }
    sizes = {"global_orient": 3, "body_pose": 63, "left_hand_pose": 45, "right_hand_pose": 45, "jaw_pose": 3}
    sizes |= {"eye_pose": 6, "betas": num_betas, "flame_shape": 10, "flame_expression": 10}
    row |= {name: rng.normal(0, 0.2, size) for name, size in sizes.items()}
    return row | {f"{part}_valid": True for part in ("body", "left_hand", "right_hand", "face")}


def labelled_photos(
    folder: Path,
    photos: int = 6,
    people: int = 1,
    *,
    name: str = "small",
    weight: float = 1.0,
    num_betas: int = 10,
    body_sha256: str = "0",
) -> LabelledPhotos:
    """A data set of photos with people in each, as training reads it."""
    rows = []
    for k in range(photos):
        image = f"{k:03d}.jpg"
        write_photo(folder / "photos" / image, k)
        rows += [label_row(k, image, person, name, num_betas) for person in range(people)]
    footer = Footer(
        config={"step": "test"},
        code_version="0",
        manifest={"id": name},
        shard="00000",
        body_model={"name": "b", "sha256": body_sha256},
    )
    schema = label_schema(BodySize(num_betas=num_betas))
    write_shard(shard_path(folder / "labels", name, "train", 0), table_from_rows(rows, schema), footer)
    selection = select_labels(folder / "labels" / name, max_dropped_share=0.0, size=BodySize(num_betas=num_betas))
    return LabelledPhotos(selection=selection, images=open_images(folder / "photos"), weight=weight)
