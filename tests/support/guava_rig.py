"""A tiny training of GUAVA's renderer: two clips of one person each with masks, on a body of the official size."""

import dataclasses

import numpy as np
import torch
from guava_scene import TINY, shake, uv_of
from labelled_photos import label_row
from official_sizes import official_sizes
from table_rows import table_from_rows
from video_files import SIZE, write_video

from datasets_manifest.schema.labels import label_schema
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.label_sets import LabelSet
from datasets_manifest.shards.store import shard_path, write_shard
from datasets_manifest.sources.masks import mask_path, mask_png
from model.body.asset_files import Correspondence, save_body, save_correspondence
from model.body.skeleton import FACE
from model.renderer.guava.body import guava_body
from model.renderer.guava.checkpoint import save_guava
from model.renderer.guava.config import PUBLISHED
from model.renderer.guava.losses import GuavaLossConfig
from model.renderer.guava.renderer import GuavaRenderer
from model.renderer.guava.texture_inversion import UvMap
from tasks.body_model import ehm_assets
from tasks.settings import BodyModelConfig
from tasks.training.engine.config import IntervalConfig, OptimiserConfig, ProcessConfig
from tasks.training.guava.settings import GuavaOutputConfig, GuavaTrainConfig

WIDTH, HEIGHT = SIZE
NETWORK = dataclasses.replace(TINY, num_vertices=PUBLISHED.num_vertices)
FRAMES = 3


def write_body(folder):
    """The random body as the converter writes one."""
    assets = official_sizes()
    folder.mkdir(parents=True)
    save_body(folder / "smplx.npz", assets.smplx)
    save_body(folder / "flame.npz", assets.flame)
    hands = {"left": np.arange(30), "right": np.arange(30, 60)}
    save_correspondence(folder / "correspondence.npz", Correspondence(head=assets.head_vertex_ids, hands=hands))
    return BodyModelConfig(path=str(folder), fusion="paper")


def write_checkpoint(path, body):
    """Random networks for that body, whose Gaussians are small: its faces are as large as the person."""
    torch.manual_seed(0)
    faces = torch.from_numpy(guava_body(ehm_assets(body)).smplx.faces)
    flat = uv_of(NETWORK.uv_px)
    renderer = GuavaRenderer(NETWORK, faces, UvMap(face_ids=flat.face_ids, weights=flat.weights))
    shake(renderer)
    with torch.no_grad():
        renderer.uv_point_decoder.scale_head[2].bias.sub_(3.0)
    path.write_bytes(save_guava(renderer, {"step": 0}))
    return path


FACE_PX = (45.0, 32.0)
"""Centre of the face in every frame; its square has a side of 20 px."""


def keypoints():
    """Of a face alone, whose points are 10 px wide and 8 px high."""
    found = np.zeros((133, 3))
    around = np.linspace(0, 2 * np.pi, 68)
    found[FACE] = np.column_stack([FACE_PX[0] + 5 * np.cos(around), FACE_PX[1] + 4 * np.sin(around), np.ones(68)])
    found[FACE.start + 34, 0] = FACE_PX[0] - 5
    return found


def clip_rows(name, clip, split="train", people=1):
    """Labels of the frames of a clip."""
    for frame in range(FRAMES):
        for person in range(people):
            row = label_row(frame, f"{clip}::{frame:06d}", person, name)
            yield row | {
                "sample_id": f"{name}/{split}/{clip}::{frame:06d}#{person}", "split": split,
                "image_width": WIDTH, "image_height": HEIGHT, "bbox_xyxy": [20.0, 4.0, 70.0, 60.0],
                "keypoints_2d": keypoints(),
                "principal_px": [WIDTH / 2, HEIGHT / 2], "transl_m": [0.0, 0.0, 4.0],
            }  # fmt: skip


def write_clips(folder, body, clips=("one.avi", "two.avi"), name="clips", people=1):
    """Clips, labels and masks, as settings name them."""
    videos, masks = folder / "videos", folder / "masks"
    videos.mkdir(parents=True, exist_ok=True)
    rows = []
    for clip in clips:
        write_video(videos / clip, FRAMES)
        rows += clip_rows(name, clip, people=people)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[6:58, 24:66] = 255
    mask[50:58, 24:40] = 128
    for row in rows:
        path = mask_path(masks, row["image"], row["person"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mask_png(mask))
    entry = ehm_assets(body).entry
    footer = Footer(config={"step": "test"}, code_version="0", manifest={"id": name}, shard="00000", body_model=entry)
    write_shard(shard_path(folder / "labels", name, "train", 0), table_from_rows(rows, label_schema()), footer)
    return LabelSet(path=str(folder / "labels" / name), images=str(videos), masks=str(masks))


def guava_config(folder, **changes):
    """Settings of a training of seconds."""
    body = write_body(folder / "licensed")
    stated = {
        "kind": "guava",
        "checkpoint": str(write_checkpoint(folder / "begin.safetensors", body)),
        "datasets": (write_clips(folder / "train", body),),
        "validation": (write_clips(folder / "val", body, clips=("three.avi",), name="others"),),
        "body_model": body,
        "network": NETWORK,
        "loss": GuavaLossConfig(crop_px=32, masked_steps=1),
        "optimiser": OptimiserConfig(
            lr=5e-3, betas=(0.0, 0.99), weight_decay=0.0, clip_norm=None, backbone_lr_share=0.1, schedule="linear",
            final_lr_share=0.03,
        ),
        "ema_decay": 0.0,
        "steps": 6,
        "run": ProcessConfig(batch_size=2, device="cpu", loader_workers=0, threads=1),
        "every": IntervalConfig(log=1, checkpoint=3, evaluate=6, pictures=6),
        "output": GuavaOutputConfig(**{
            name: str(folder / "out" / f"{name}.safetensors") for name in GuavaOutputConfig.__dataclass_fields__
        }),
    }  # fmt: skip
    return GuavaTrainConfig(**{**stated, **changes})
