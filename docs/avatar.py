"""Draws docs/avatar.jpg: people of `make demo` turned and in other people's poses: python docs/avatar.py.

It takes their labels for predictions, since those lie over the photos, and runs/renderer.safetensors of
`pear finetune-renderer`.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from model.body.parameters import EhmParameters
from model.estimators.base import PersonBatch
from model.estimators.mediapipe.masks import MediapipeMasks
from model.imaging.camera import Camera
from model.renderer.overlay import View
from model.renderer.texture.file import load_renderer
from tasks.annotate.look.inspect import find_label
from tasks.annotate.settings import load_config
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.workspace import Workspace
from tasks.body_model import full_body
from tasks.predict.avatar.drawing import Avatars, PhotoWithPeople
from tasks.predict.avatar.motion import read_motion
from tasks.predict.settings import AvatarConfig

PEOPLE = ("demo_portrait/all/grace_hopper.jpg#0", "demo_people/all/images/000015#0", "demo_people/all/images/000001#0")
MOTION, POSES = Path("labels/demo_people/all/00001.parquet"), 3
VIEWS, TILE_PX = 5, 256
RENDERER, OUT = Path("runs/renderer.safetensors"), Path(__file__).with_name("avatar.jpg")


def main() -> None:
    """Draws and writes the picture: a row a person, the photo, a turn, poses."""
    config = load_config("params.yaml")
    workspace, body, masks = Workspace.of(config.output), full_body(config.body_model), MediapipeMasks()
    renderer, _ = load_renderer(RENDERER.read_bytes(), body.faces, body.assets.smplx.num_vertices, source=str(RENDERER))
    motion = read_motion(MOTION, body.assets.entry)
    avatars = Avatars(renderer, body, AvatarConfig(views=VIEWS, size_px=TILE_PX), motion)
    rows = []
    for sample_id in PEOPLE:
        label, shard = find_label(workspace, sample_id)
        rgb = ShardJob(shard, workspace, config).photos().read(label["image"])
        known = {name: np.asarray(label[name], np.float32)[None] for name in LABEL_PARAMETERS}
        focal, principal = np.float32([label["focal_px"]]), np.float32([label["principal_px"]])
        keypoints = np.asarray(label["keypoints_2d"], np.float32).reshape(1, -1, 3)
        batch = PersonBatch(
            images=[rgb],
            boxes_xyxy=np.float32([label["bbox_xyxy"]]),
            keypoints=keypoints,
            sigma_px=np.where(keypoints[..., 2] > 0, 1.0, np.inf),
            focal_px=focal,
            principal_px=principal,
        )
        photo = PhotoWithPeople(
            name=sample_id,
            rgb=rgb,
            people=EhmParameters.from_columns(known),
            numbers=[0],
            masks=masks.estimate(batch),
            camera=Camera(focal_px=torch.from_numpy(focal), principal_px=torch.from_numpy(principal)),
        )
        strips = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
                  for name, data in avatars.draw(photo) if name.endswith(".png")]  # fmt: skip
        source = View.around(np.array([0, 0, *rgb.shape[1::-1]]), TILE_PX, margin=1.0).cut(rgb)
        rows.append(np.concatenate([source, strips[0], strips[1][:, : POSES * TILE_PX]], axis=1))
    Image.fromarray(np.concatenate(rows)).save(OUT, quality=88)


if __name__ == "__main__":
    main()
