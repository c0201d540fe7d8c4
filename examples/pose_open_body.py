"""Poses the open body, writes glTF and PNG: python examples/pose_open_body.py [folder]. Some 5 seconds.

Parameters are those of a label row: the same lines draw a person of a label file, with `EhmParameters.from_columns`.
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch

from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.body.skeleton import SMPLX_JOINT_NAMES
from model.renderer.mesh_files import encode_meshes
from model.renderer.overlay import draw_mesh, encode_png, side_colours
from model.rotations import rotvec_to_rotmat

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "work/pose_open_body")
folder.mkdir(parents=True, exist_ok=True)

assets = load_open_body()
body = EHMs(assets)

pose = torch.zeros(2, 21, 3)  # axis-angle of the joints after the pelvis
for name, turn in {"left_shoulder": (0, 0, 1.2), "right_shoulder": (0, 0, 1.0), "left_elbow": (0, -1.6, 0)}.items():
    pose[:, SMPLX_JOINT_NAMES.index(name) - 1] = torch.tensor(turn)
people = EhmParameters.neutral(
    2,
    body_pose=rotvec_to_rotmat(pose),
    global_orient=rotvec_to_rotmat(torch.tensor([[math.pi, 0.0, 0.0]] * 2)),  # the camera's y points down
    jaw_pose=rotvec_to_rotmat(torch.tensor([[0.0, 0.0, 0.0], [0.3, 0.0, 0.0]])),
    head_scale=torch.tensor([[1.0, 1.0, 1.0], [1.25, 1.25, 1.25]]),
    transl_m=torch.tensor([[-0.6, 0.3, 3.5], [0.6, 0.3, 3.5]]),
)
with torch.inference_mode():
    posed = body(people)
vertices, faces = posed.vertices.numpy(), body.faces.numpy()
print("vertices", vertices.shape, "- joints", tuple(posed.joints.shape), "- keypoints", tuple(posed.keypoints.shape))

(folder / "people.glb").write_bytes(encode_meshes(vertices, faces, ["mean head", "large head"]))
picture = np.full((480, 640, 3), 255, np.uint8)
for person in vertices:
    picture = draw_mesh(
        picture, person, faces, 600.0, np.array([320.0, 240.0]), colours=side_colours(assets), alpha=1.0
    )
(folder / "people.png").write_bytes(encode_png(picture))
print("written:", folder / "people.glb", folder / "people.png")
