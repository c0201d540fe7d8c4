"""A bent sheet in front of a camera, with its texture, and renderers of any size for it."""

import torch

from model.imaging.camera import Camera
from model.networks.dinov2 import DinoConfig
from model.renderer.guava.config import GuavaConfig
from model.renderer.guava.renderer import GuavaRenderer
from model.renderer.guava.texture_inversion import UvMap
from model.rotations import rotvec_to_rotmat

ROWS, COLUMNS = 7, 5
TINY = GuavaConfig(
    dino=DinoConfig(width=12, depth=6, heads=2, side_px=56),
    image_px=32,
    uv_px=16,
    num_vertices=ROWS * COLUMNS,
    channels=6,
    pyramid_channels=(4, 5, 6, 6),
    texture_channels=3,
    sampled_channels=8,
    vertex_channels=4,
    global_channels=4,
    style_channels=8,
    texel_channels=6,
    texel_base_channels=2,
    unet_width=6,
)
DEPTH_M = 22.0


def sheet(rows=ROWS, columns=COLUMNS):
    """Vertices (1, V, 3) in the frame of a camera, the sheet bent away from it at its sides, and faces (F, 3)."""
    v, u = torch.meshgrid(torch.linspace(-0.7, 0.7, rows), torch.linspace(-0.6, 0.6, columns), indexing="ij")
    vertices = torch.stack([u, v, DEPTH_M + u.square()], -1).reshape(1, -1, 3)
    corner = (torch.arange(rows - 1)[:, None] * columns + torch.arange(columns - 1)).reshape(-1)
    right, below, across = corner + 1, corner + columns, corner + columns + 1
    faces = torch.stack([torch.stack([corner, right, below], 1), torch.stack([right, across, below], 1)], 1)
    return vertices, faces.reshape(-1, 3)


def uv_of(side, rows=ROWS, columns=COLUMNS):
    """UV map of the sheet laid flat, one texel left free all around."""
    place = (torch.arange(side) - 1.0) / (side - 3)
    v, u = torch.meshgrid(place * (rows - 1), place * (columns - 1), indexing="ij")
    inside = (v >= 0) & (v <= rows - 1) & (u >= 0) & (u <= columns - 1)
    row, column = v.floor().clamp(0, rows - 2), u.floor().clamp(0, columns - 2)
    b, a = v - row, u - column
    first = a + b <= 1
    weights = torch.where(
        first[..., None], torch.stack([1 - a - b, a, b], -1), torch.stack([1 - b, a + b - 1, 1 - a], -1)
    )
    ids = 2 * (row * (columns - 1) + column).long() + (~first).long()
    return UvMap(face_ids=torch.where(inside, ids, -1), weights=weights * inside[..., None])


def renderer_of(config=TINY, seed=0):
    """A random renderer of the sheet; noise and biases too are not zero."""
    torch.manual_seed(seed)
    renderer = GuavaRenderer(config, sheet()[1], uv_of(config.uv_px)).eval()
    shake(renderer)
    return renderer


@torch.no_grad()
def shake(network):
    """Moves what a new network has at zero or one."""
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and (tensor.ndim == 1 or name.endswith((".bias", "_embed", "_token"))):
            tensor.add_(0.3 * torch.rand_like(tensor))


def camera_of(config=TINY, batch=1):
    """The camera that the weights know."""
    half = config.image_px / 2
    return Camera(focal_px=torch.full((batch,), config.focal_px), principal_px=torch.full((batch, 2), half))


def blended_turns(count, seed=1):
    """What a skin turns (1, N, 3, 3): means of two rotations, not orthonormal."""
    torch.manual_seed(seed)
    return rotvec_to_rotmat(0.4 * torch.randn(2, 1, count, 3)).mean(0)
