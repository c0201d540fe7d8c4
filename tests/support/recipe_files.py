"""A folder with every file that the paper's recipe needs, self-made, at the places and in the layouts of the official.

Networks have random weights, the bodies are the open body: what reads the official files reads these, and the labels
are as bad as such weights make them.
"""

import pickle
import shutil
from pathlib import Path

import numpy as np
import scipy.sparse
import torch
from body_files import write_smplx_package_files
from face_checkpoints import face_tensors
from onnx_files import standing_person, write_detector, write_fixed_pose
from upstream_checkpoints import write_checkpoint

from model.body.surface_map import load_open_surface_map, save_surface_map
from model.licensed_files.table import BY_ID

OFFICIAL_FROM_PACKAGE = {
    "official.smplx": "smplx/SMPLX_NEUTRAL.npz",
    "official.flame": "flame/FLAME_NEUTRAL.pkl",
    "official.left-eyelid": "flame/l_eyelid.npy",
    "official.right-eyelid": "flame/r_eyelid.npy",
    "official.flame-static": "flame/flame_static_embedding.pkl",
    "official.flame-dynamic": "flame/flame_dynamic_embedding.npy",
    "official.head-ids": "smplx/SMPL-X__FLAME_vertex_ids.npy",
    "official.hand-ids": "smplx/MANO_SMPLX_vertex_ids.pkl",
    "official.lower-head": "flame/selected_lowerhead.npy",
    "official.flame-masks": "flame/FLAME_masks.pkl",
    "official.smpl": "smpl/SMPL_NEUTRAL.pkl",
}
"""Id of an official file -> the same among those of the package smplx."""


def place(root, id):
    """Where a file of the asset table goes, its folder made."""
    path = Path(root) / BY_ID[id].place
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_weights(root, boxes=((150, 60, 360, 600),), scores=(0.9,)):
    """Every estimator's network, tiny where the size is read from the file.

    The keypoint network sees a person who stands upright in whatever crop it is shown, the detector sees ``boxes``
    (P, 4), px of its canvas of 640 x 640, in whatever photo.
    """
    write_fixed_pose(place(root, "dwpose.pose"), standing_person())
    write_detector(place(root, "dwpose.detector"), boxes, scores)
    for kind in ("prohmr", "hmr2", "hamer"):
        write_checkpoint(place(root, kind), kind)
    for name in ("teaser", "smirk"):
        torch.save(face_tensors(name), place(root, name))


def write_official_bodies(root, scratch, *, transfer=True):
    """The open body as the official files in ``official/``; the transfer file takes 2 GB of memory to convert."""
    write_smplx_package_files(scratch)
    for id, name in OFFICIAL_FROM_PACKAGE.items():
        shutil.move(Path(scratch) / name, place(root, id))
    if transfer:
        place(root, "official.smpl-to-smplx").write_bytes(pickle.dumps({"mtx": _transfer_matrix()}, protocol=2))


def _transfer_matrix():
    """(V_smplx, 2 V_smpl), the second half for normals, as the publisher's."""
    surface = load_open_surface_map()
    shape = (int(surface.smplx_ids.max()) + 1, 2 * (int(surface.smpl_ids.max()) + 1))
    corners = surface.smpl_ids.shape[1]
    entries = (np.repeat(surface.smplx_ids, corners), surface.smpl_ids.ravel())
    return scipy.sparse.csc_matrix((surface.smpl_weights.ravel(), entries), shape=shape, dtype=np.float32)


def write_converted_transfer(root):
    """What the converter makes of the transfer file."""
    save_surface_map(place(root, "smpl_to_smplx"), load_open_surface_map())
