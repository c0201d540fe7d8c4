"""The published checkpoint.

Beside the networks, DINOv2 among them, the file holds the buffers of SMPL-X and FLAME, twice, and a matrix of 449 MB.
Those are neither read nor ever written; the body comes from the user's own files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.renderer.guava.config import PUBLISHED, GuavaConfig
from model.renderer.guava.renderer import GuavaRenderer
from model.renderer.guava.texture_inversion import UvMap
from model.tensor_file import pack
from model.weights import load_into, read_checkpoint, require_keys

PARTS = ("model", "render_model")
"""Entries of the file that hold tensors."""
WRAPPERS = ("module.", "_forward_module.")
"""What trainers on several devices put before the names of a part."""
NETWORKS = (
    "dino_encoder.", "global_feature_mapping.", "vertex_base_feature", "vertex_gs_decoder.", "uv_style_mapping.",
    "uv_feature_decoder.", "uv_base_feature", "uv_point_decoder.", "nerual_refiner.",
)  # fmt: skip
"""How the names of the networks begin."""
REFINER = "nerual_refiner."
"""How the names of the second part begin."""
FORMAT = "pear-guava/1"
UV_PREFIX = "ehm.smplx.uvmap_"
UV_NAMES = (f"{UV_PREFIX}f_idx", f"{UV_PREFIX}f_bary", f"{UV_PREFIX}mask")


def load_guava(path: Path, faces: Tensor, config: GuavaConfig = PUBLISHED) -> tuple[GuavaRenderer, str]:
    """The renderer of a checkpoint in the published layout.

    Args:
        path: `best_<iteration>_<ssim>.pt`, `latest.pt`, or what ``save_guava`` made.
        faces: (F, 3) of the body with teeth, `guava_body`.
        config: Sizes; the published ones.

    Returns:
        The renderer on the CPU, ready to draw, and the SHA-256 of the file.

    Raises:
        ValueError: The file is missing, unreadable, of another network or cut down, or does not fit the body.
    """
    file = read_checkpoint(path, PARTS)
    tensors = {_plain(name): tensor for name, tensor in file.tensors.items()}
    uv = _uv_map(tensors, path)
    with torch.device("meta"):
        renderer = GuavaRenderer(config, faces.cpu(), uv)
    own = {name: tensor for name, tensor in tensors.items() if name.startswith(NETWORKS)}
    load_into(renderer, own, path=path)
    return renderer.eval(), file.sha256


def save_guava(renderer: GuavaRenderer, came_from: Mapping[str, Any]) -> bytes:
    """The networks and the UV map as a file that ``load_guava`` reads, without anything of a body.

    Args:
        renderer: Its weights.
        came_from: What has to be known about them, plain values.
    """
    uv = renderer.uv
    tensors = {
        f"{PARTS[1] if name.startswith(REFINER) else PARTS[0]}.{name}": tensor
        for name, tensor in renderer.state_dict().items()
    }
    for name, tensor in zip(UV_NAMES, (uv.face_ids.int(), uv.weights, uv.used), strict=True):
        tensors[f"{PARTS[0]}.{name}"] = tensor
    return pack(tensors, {"format": FORMAT, **came_from})


def _plain(name: str) -> str:
    """The name inside its part, without what trainers put before it."""
    name = name.partition(".")[2]
    while name.startswith(WRAPPERS):
        name = name.partition(".")[2]
    return name


def _uv_map(tensors: Mapping[str, Tensor], path: Path) -> UvMap:
    require_keys(tensors, UV_NAMES, path=path, network="GUAVA")
    ids, weights, mask = (tensors[name] for name in UV_NAMES)
    if not torch.equal(ids >= 0, mask):
        raise ValueError(f"checkpoint {path} is damaged: its UV map's mask is not where its faces are")
    return UvMap(face_ids=ids.long(), weights=weights.float())
