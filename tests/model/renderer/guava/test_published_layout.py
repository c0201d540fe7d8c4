"""Names and shapes of the published size."""

import itertools

import pytest
import torch

from model.renderer.guava.config import PUBLISHED
from model.renderer.guava.renderer import GuavaRenderer
from model.renderer.guava.texture_inversion import UvMap

UNET_CHANNELS = {4: 256, 8: 256, 16: 256, 32: 256, 64: 128, 128: 64, 256: 32, 512: 16}
MILLIONS = {
    "dino_encoder.dino_model": (175, 86.58),
    "dino_encoder": (67, 16.624),
    "vertex_gs_decoder": (24, 0.479),
    "uv_feature_decoder": (275, 30.248),
    "uv_point_decoder": (28, 1.069),
    "nerual_refiner": (243, 28.133),
}
"""Names of a module, and millions of numbers."""


def linear(source, target, bias=True):
    return {"weight": (target, source), **({"bias": (target,)} if bias else {})}


def convolution(source, target, side=3, bias=True):
    return {"weight": (target, source, side, side), **({"bias": (target,)} if bias else {})}


def named(**modules):
    """Names of modules in one another, dots written as `__`."""
    return {
        f"{module.replace('__', '.')}.{name}".removeprefix("."): shape
        for module, names in modules.items()
        for name, shape in names.items()
    }


def row(layers, step=2):
    return named(**{str(step * place): layer for place, layer in enumerate(layers)})


def modulated(source, target, side, style=512):
    return {"weight": (1, target, source, side, side)} | named(modulation=linear(style, source))


def styled(source, target):
    noise = {"weight": (1,), "bias": (1, target, 1, 1)}
    return noise | named(modulated_conv=modulated(source, target, 3))


def read_out(source, target):
    return {"bias": (1, target, 1, 1)} | named(modulated_conv=modulated(source, target, 1))


def unet(source, target, *, small):
    sides = list(UNET_CHANNELS)
    rising = list(UNET_CHANNELS.values())
    found = named(
        conv_body_first=convolution(source, 16, 1),
        final_conv=convolution(256, 256),
        final_linear=linear(256 * 16, 512),
        stylegan_decoder__constant_input={"weight": (1, 256, 4, 4)},
        stylegan_decoder__style_conv1=styled(256, 256),
        stylegan_decoder__to_rgb1=read_out(256, target),
    )
    if not small:
        found |= named(style_fuse=row([linear(1024, 512), linear(512, 512)]))
    for layer in range(1, 17, 2):
        found |= named(**{f"stylegan_decoder__style_mlp__{layer}": linear(512, 512)})
    for direction, channels in (("down", rising[::-1]), ("up", rising)):
        for level, (before, here) in enumerate(itertools.pairwise(channels)):
            block = named(
                conv1=convolution(before, before), conv2=convolution(before, here),
                skip=convolution(before, here, 1, bias=False),
            )  # fmt: skip
            found |= named(**{f"conv_body_{direction}__{level}": block})
    for level, (before, here) in enumerate(itertools.pairwise(rising)):
        inner = [styled(before, here)] if small else [styled(before, here), styled(here, here)]
        for place, layer in enumerate(inner):
            found |= named(**{f"stylegan_decoder__style_convs__{len(inner) * level + place}": layer})
        if small:
            found |= named(**{f"stylegan_decoder__normal_convs__{level}__0": convolution(here, here)})
        found |= named(**{f"stylegan_decoder__to_rgbs__{level}": read_out(here, target)})
        condition = row([convolution(here, here), convolution(here, here)])
        found |= named(**{f"condition_scale__{level}": condition, f"condition_shift__{level}": condition})
    resolutions = [sides[(layer + 1) // 2] for layer in range(8 if small else 15)]
    noises = {f"noise{layer}": (1, 1, side, side) for layer, side in enumerate(resolutions)}
    return found | named(stylegan_decoder__noises=noises)


def encoder():
    levels = (256, 512, 1024, 1024)
    found = named(
        resize_layers__0={"weight": (256, 256, 4, 4), "bias": (256,)},
        resize_layers__1={"weight": (512, 512, 2, 2), "bias": (512,)},
        resize_layers__3=convolution(1024, 1024),
        project_l__1=convolution(768, 64, bias=False), project_l__3=convolution(64, 32, bias=False),
        fuse_l__0=convolution(99, 64, bias=False), fuse_l__2=convolution(64, 64, bias=False),
        skip_l=convolution(67, 64, bias=False),
        output_conv=convolution(64, 32), output_conv_2=convolution(64, 128),
    )  # fmt: skip
    unit = named(conv1=convolution(64, 64), conv2=convolution(64, 64))
    for level, channels in enumerate(levels):
        found |= named(**{
            f"projects__{level}": convolution(768, channels, 1),
            f"layer_rn__{level}": convolution(channels + 3, 64, bias=False),
            f"refinenet__{level}": named(out_conv=convolution(64, 64, 1), resConfUnit1=unit, resConfUnit2=unit),
        })  # fmt: skip
    return found


def backbone():
    found = {"cls_token": (1, 1, 768), "pos_embed": (1, 1370, 768), "mask_token": (1, 768)}
    norm = {"weight": (768,), "bias": (768,)}
    found |= named(patch_embed__proj=convolution(3, 768, 14), norm=norm)
    block = named(
        norm1=norm, norm2=norm, ls1={"gamma": (768,)}, ls2={"gamma": (768,)},
        attn__qkv=linear(768, 2304), attn__proj=linear(768, 768),
        mlp__fc1=linear(768, 3072), mlp__fc2=linear(3072, 768),
    )  # fmt: skip
    for place in range(12):
        found |= named(**{f"blocks__{place}": block})
    return found


def everything():
    vertex = named(
        feature_layers=row([linear(512, 256), linear(256, 256), linear(256, 256), linear(256, 256)]),
        **{
            f"{name}_layers": row([linear(283, 128), linear(128, count)])
            for name, count in (("color", 32), ("opacity", 1), ("scale", 3), ("rotation", 4))
        },
    )
    texel = named(
        feature_conv=row([convolution(155, 128), convolution(128, 128), convolution(128, 128)]),
        color_head=row([convolution(128, 128), convolution(128, 32, 1)]),
        local_pos_head=row([convolution(128, 128), convolution(128, 64), convolution(64, 3, 1)]),
        **{
            f"{name}_head": row([convolution(128, 64), convolution(64, count, 1)])
            for name, count in (("rot", 4), ("scale", 3), ("opacity", 1))
        },
    )
    return {"vertex_base_feature": (10_595, 128), "uv_base_feature": (32, 512, 512)} | named(
        dino_encoder=encoder() | named(dino_model=backbone()),
        global_feature_mapping=row([linear(768, 256), linear(256, 256), linear(256, 256)]),
        uv_style_mapping=row([linear(768, 512), linear(512, 512), linear(512, 512)]),
        vertex_gs_decoder=vertex,
        uv_feature_decoder=unet(35, 96, small=False),
        uv_point_decoder=texel,
        nerual_refiner=unet(32, 3, small=True),
    )


@pytest.fixture(scope="module")
def published():
    uv = UvMap(face_ids=torch.zeros(512, 512, dtype=torch.int64), weights=torch.zeros(512, 512, 3))
    faces = torch.tensor([[0, 1, 10_594]])
    with torch.device("meta"):
        return GuavaRenderer(PUBLISHED, faces, uv)


def test_every_name_and_shape_is_that_of_the_published_file(published):
    assert {name: tuple(tensor.shape) for name, tensor in published.state_dict().items()} == everything()


def test_modules_are_as_large_as_the_published_ones(published):
    found = dict.fromkeys(MILLIONS, (0, 0))
    for name, tensor in published.state_dict().items():
        part = max((part for part in MILLIONS if name.startswith(f"{part}.")), key=len, default=None)
        if part is not None:
            found[part] = found[part][0] + 1, found[part][1] + tensor.numel()
    assert {part: (names, round(count / 1e6, 3)) for part, (names, count) in found.items()} == MILLIONS


def test_the_backbone_is_frozen(published):
    assert not any(parameter.requires_grad for parameter in published.dino_encoder.dino_model.parameters())
    assert published.dino_encoder.output_conv.weight.requires_grad
