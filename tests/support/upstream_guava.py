"""GUAVA's own code beside ours: a checkout that is no package, without what its networks do not need.

`make upstream` puts it into `src/guava` of its environment. Lightning, PyTorch3D, Open3D, the CUDA rasteriser, the
backbone and the bodies are stood in for. What stands in for the rasterisers of Gaussians and of meshes and for the
backbone is ours: the first two are not compared, the backbone is compared with timm's.
"""

import importlib
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from torch import nn
from upstream_packages import upstream

from model.imaging.camera import Camera
from model.networks.dinov2 import DinoV2
from model.renderer.guava.body import LOWER_LIP, UPPER_LIP
from model.renderer.guava.texture_inversion import visible_faces
from model.renderer.splat.conventions import KERBL
from model.renderer.splat.draw import draw
from model.renderer.splat.gaussians import Gaussians

FOLDER = Path(sys.prefix) / "src" / "guava"
NOT_NEEDED = (
    "colored",
    "open3d",
    "plyfile",
    "pytorch3d.io",
    "pytorch3d.structures",
    "pytorch3d.renderer.mesh.rasterizer",
)


class Harmonic:
    """PyTorch3D's encoding of directions: sines, cosines, values."""

    def __init__(self, count):
        self.frequencies = [2.0**k for k in range(count)]

    def __call__(self, values):
        angles = [value * frequency for value in values.unbind(-1) for frequency in self.frequencies]
        angles = torch.stack(angles, -1)
        return torch.cat([torch.sin(angles), torch.cos(angles), values], -1)


class Hub(DinoV2):
    """The backbone as torch.hub gives it."""

    def get_intermediate_layers(self, images, count):
        return tuple(tokens.flatten(2).transpose(1, 2) for tokens in self.last_blocks(images, count))


class Rasteriser(nn.Module):
    """In the place of the CUDA extension: (N, 3) centres, scales, (N, 4) quaternions in the world -> (C, H, W)."""

    drawn = None
    """What was drawn last."""

    def __init__(self, raster_settings):
        super().__init__()
        self.settings = raster_settings

    def forward(self, *, means3D, colors_precomp, opacities, scales, rotations, **_):
        view, side = self.settings.viewmatrix.T, self.settings.image_height
        w, x, y, z = rotations.unbind(-1)
        turned = torch.stack(
            [
                *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
                *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
                *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
            ],
            -1,
        ).unflatten(-1, (3, 3))
        gaussians = Gaussians(
            centres_m=(means3D @ view[:3, :3].T + view[:3, 3])[None],
            factors_m=(view[:3, :3] @ turned * scales[:, None])[None],
            colours=colors_precomp[None],
            opacities=opacities[None, :, 0],
        )
        half = side / 2
        camera = Camera(
            focal_px=torch.tensor([half / self.settings.tanfovx]), principal_px=torch.tensor([[half, half]])
        )
        found = draw(gaussians, camera, (side, side), conventions=KERBL, rasteriser="tiles")
        Rasteriser.drawn = found.colour[0].movedim(-1, 0)
        return Rasteriser.drawn, torch.zeros(0), torch.zeros(0)


class Surface(nn.Module):
    """In the place of the body: holds the texture, and returns the vertices that it is given."""

    def __init__(self, vertices, faces, uv):
        super().__init__()
        self.v_template = nn.Parameter(vertices[0], requires_grad=False)
        self.laplacian_matrix = torch.zeros(1)
        self.smplx = nn.Module()
        buffers = {
            "v_template": vertices[0], "faces_tensor": faces, "uvmap_f_idx": uv.face_ids.int(),
            "uvmap_f_bary": uv.weights, "uvmap_mask": uv.used,
        }  # fmt: skip
        for name, tensor in buffers.items():
            self.smplx.register_buffer(name, tensor)
        self.smplx.faces_uv_idx = self.smplx.texcoords = self.smplx.lbs_weights = None

    def forward(self, smplx, flame, static_offset=None):
        return smplx


def modules(monkeypatch):
    """Upstream's modules `ubody_gaussian` and `gaussian_render`, or a skipped test."""
    if not FOLDER.is_dir():
        pytest.skip(f"GUAVA's code is not at {FOLDER}: make upstream")
    upstream("torchvision")
    lightning = types.ModuleType("lightning")
    lightning.LightningModule = nn.Module
    renderer = MagicMock()
    for name in ("CamerasBase", "MeshRasterizer"):
        setattr(renderer, name, type(name, (nn.Module,), {}))
    embedding = types.ModuleType("pytorch3d.renderer.implicit.harmonic_embedding")
    embedding.HarmonicEmbedding = Harmonic
    rasteriser = types.ModuleType("diff_gaussian_rasterization_32")
    rasteriser.GaussianRasterizationSettings = types.SimpleNamespace
    rasteriser.GaussianRasterizer_32 = Rasteriser
    stand_ins = {
        "lightning": lightning, "pytorch3d": MagicMock(), "pytorch3d.renderer": renderer, embedding.__name__: embedding,
        "pytorch3d.renderer.implicit": MagicMock(), "pytorch3d.renderer.mesh": MagicMock(),
        rasteriser.__name__: rasteriser, **{name: MagicMock() for name in NOT_NEEDED},
    }  # fmt: skip
    for name, module in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, module)
    # `models`, `utils` are theirs while the test runs.
    for name in [name for name in sys.modules if name.partition(".")[0] in ("models", "utils")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(FOLDER))
    from models.UbodyAvatar import gaussian_render, ubody_gaussian

    return ubody_gaussian, gaussian_render


class Node(dict):
    """A configuration read by names and by keys."""

    __getattr__ = dict.__getitem__


def networks(monkeypatch, config, vertices, faces, uv):
    """Upstream's inferer, renderer and class of posed Gaussians, of our sizes."""
    people, render = modules(monkeypatch)
    monkeypatch.setattr(torch.hub, "load", lambda *_, **__: Hub(config.dino))
    monkeypatch.setattr(people, "EHM", lambda *_, **__: Surface(vertices, faces, uv))

    class Mesh(nn.Module):
        def render_fragments(self, posed, transform_matrix):
            placed = posed @ transform_matrix[:, :3, :3].mT + transform_matrix[:, None, :3, 3]
            half = config.image_px / 2
            batch = len(posed)
            camera = Camera(focal_px=torch.full((batch,), config.focal_px), principal_px=torch.full((batch, 2), half))
            seen = visible_faces(placed, faces, camera, config.image_px)
            return torch.cat([torch.tensor([-1]), seen.flatten().nonzero()[:, 0]]), None

    monkeypatch.setattr(people, "BaseMeshRenderer", lambda **_: Mesh())
    cfg = Node(
        sh_degree=0, color_dim=config.channels, uvmap_size=config.uv_px, image_size=config.image_px, invtanfov=24,
        dino_out_dim=config.texture_channels, uv_out_dim=config.texel_channels, smplx_fea_dim=config.vertex_channels,
        prj_out_dim=config.sampled_channels, global_vertex_dim=config.global_channels, opacity_threshold=0.001,
        add_teeth=True, flame_assets_dir="", smplx_assets_dir="", mano_assets_dir="", refiner_type="styleunet",
        styleunet={
            "in_size": config.image_px, "in_dim": config.channels, "out_dim": 3, "out_size": config.image_px,
            "num_style_feat": config.style_channels, "num_mlp": 8, "channel_scale": 1, "small": True,
        },
    )  # fmt: skip
    return people.Ubody_Gaussian_inferer(cfg), render.GaussianRenderer(cfg), lambda *a: people.Ubody_Gaussian(cfg, *a)


def with_teeth(monkeypatch, assets):
    """Upstream's FLAME and SMPL-X of our arrays after they were given teeth, as its class EHM takes them."""
    modules(monkeypatch)
    flame = importlib.import_module("models.modules.flame.FLAME")  # the package has the class by that name
    smplx = importlib.import_module("models.modules.smplx.SMPLX")

    mask = MagicMock()
    mask.v.left_half = mask.v.right_half = torch.zeros(0, dtype=torch.int64)
    mask.get_vid_by_region = lambda names, keep_order: torch.tensor(UPPER_LIP if "upper" in names[0] else LOWER_LIP)
    head = _arrays(assets.flame)
    head.faces, head.mask, head.n_ori_verts = head.faces_tensor, mask, assets.flame.num_vertices
    head.head_index = torch.arange(assets.flame.num_vertices).numpy()
    head.textures_idx, head.verts_uvs, head.neck_pose = head.faces_tensor, torch.zeros(0, 2), torch.zeros(1, 3)
    head.l_eyelid, head.r_eyelid = torch.from_numpy(assets.flame.eyelid_dirs)[None].unbind(-1)
    flame.FLAME.add_teeth(head)
    monkeypatch.setattr(flame, "FLAME", lambda *_, **__: head)
    body = _arrays(assets.smplx)
    body.smplx_assets_dir, body.smplx2flame_ind = "", assets.head_vertex_ids
    body.faces_uv_idx, body.texcoords = body.faces_tensor, torch.zeros(0, 2)
    body.face_l_eyelid = body.face_r_eyelid = body.v_template[None]
    body.extra_joint_regressor = body.J_regressor
    smplx.SMPLX.add_teeth(body)
    return head, body


def _arrays(assets):
    expression = torch.from_numpy(assets.exprdirs)
    shape = torch.from_numpy(assets.shapedirs)
    return types.SimpleNamespace(
        n_shape=shape.shape[-1], n_exp=expression.shape[-1], dtype=torch.float32,
        v_template=torch.from_numpy(assets.v_template), faces_tensor=torch.from_numpy(assets.faces),
        shapedirs=torch.cat([shape, expression], -1), parents=torch.from_numpy(assets.parents),
        posedirs=torch.zeros(9 * (assets.num_joints - 1), 3 * assets.num_vertices),
        J_regressor=torch.from_numpy(assets.joint_regressor), lbs_weights=torch.from_numpy(assets.skin_weights),
    )  # fmt: skip


def loss_model(monkeypatch, perceptual):
    """Upstream's loss with its published weights, on our perceptual term."""
    modules(monkeypatch)
    for name in ("fused_ssim", "submodules", "submodules.lpipsPyTorch"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    losses = importlib.import_module("utils.loss_utils")
    monkeypatch.setattr(losses, "LPIPS", lambda *_: perceptual)
    weights = Node(
        lambda_l1=1.0, lambda_perpetual=0.025, lambda_head_crop=0.25, lambda_hand_crop=0.1, lambda_local_xyz=0.01,
        lambda_local_scale=1, perpetual_increase_iter=10000, lambda_perpetual_high=0.05, threshold_local_xyz=3.0,
        threshold_scale=0.6,
    )  # fmt: skip
    return losses.Optimization_Loss(Node(OPTIMIZE=weights))
