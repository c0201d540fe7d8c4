"""The regressor: what it says before and after training weights, its types, and upstream's network on equal weights."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from upstream_packages import upstream

from model.networks.sizes import VIT_SIZES
from model.regressor.backbone_weights import backbone_tensors
from model.regressor.config import BackboneConfig, ReadoutConfig, RegressorConfig
from model.regressor.mean_parameters import neutral
from model.regressor.network import EhmRegressor, normalise
from model.rotations import rotmat_to_6d, sixd_to_rotmat

TINY = RegressorConfig(
    backbone=BackboneConfig(size="", width=32, depth=1, heads=2),
    decoder=ReadoutConfig(width=32, depth=1, heads=1, hidden=32),
    crop_px=64,
    side_px=8,
    num_betas=11,
    num_flame_shape=7,
    num_expression=5,
)
ROTATIONS = (
    "global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "head_orient", "jaw_pose", "eye_pose",
)  # fmt: skip


def crops_of(num=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return normalise(torch.randint(0, 256, (num, 3, 64, 64), dtype=torch.uint8, generator=generator))


def random_regressor(config=TINY, seed=0):
    """Weights so large that every number depends on the image."""
    torch.manual_seed(seed)
    network = EhmRegressor(config).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
            elif "norm" not in name:
                parameter.normal_(0, 0.1)
    return network


def flat(prediction):
    return {**prediction.parameters.named(), "camera": prediction.camera}


def test_normalise_is_imagenets():
    crops = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    expected = (crops.double().numpy() / 255 - np.reshape([0.485, 0.456, 0.406], (3, 1, 1))) / np.reshape(
        [0.229, 0.224, 0.225], (3, 1, 1)
    )
    assert normalise(crops).dtype == torch.float32
    np.testing.assert_allclose(normalise(crops).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("crops", [torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, 8, 3, dtype=torch.uint8)])
def test_normalise_refuses_what_is_no_crop(crops):
    with pytest.raises(ValueError, match=r"expected .* uint8, got"):
        normalise(crops)


def test_shapes_and_rotations():
    found = flat(random_regressor()(crops_of()))
    assert {name: tuple(tensor.shape[1:]) for name, tensor in found.items()} == {
        "global_orient": (3, 3), "body_pose": (21, 3, 3), "left_hand_pose": (15, 3, 3), "right_hand_pose": (15, 3, 3),
        "betas": (11,), "head_orient": (3, 3), "jaw_pose": (3, 3), "eye_pose": (2, 3, 3), "eyelids": (2,),
        "flame_shape": (7,), "flame_expression": (5,), "head_scale": (3,), "camera": (3,),
    }  # fmt: skip
    for name in ROTATIONS:
        rotations = found[name]
        assert torch.allclose(rotations @ rotations.mT, torch.eye(3).expand_as(rotations), atol=1e-5), name
        assert bool((torch.linalg.det(rotations) > 0.99).all()), name


def test_mean_is_what_the_readouts_add_to():
    torch.manual_seed(0)
    mean = {name: torch.randn(value.shape) for name, value in neutral(TINY).items()}
    network = EhmRegressor(TINY, mean)
    for name, tensor in mean.items():
        assert torch.equal(network.mean[name], tensor)
    with torch.no_grad():
        for head in (network.smplx_head, network.flame_head):
            for readout in head.children():
                readout.linear.weight.zero_()
        found = flat(network(crops_of()))
    pose = sixd_to_rotmat(mean["pose"])
    expected = mean | {
        "global_orient": pose[0], "body_pose": pose[1:22], "left_hand_pose": pose[22:37], "right_hand_pose": pose[37:],
        "head_orient": sixd_to_rotmat(mean["head_orient"]), "jaw_pose": sixd_to_rotmat(mean["jaw_pose"]),
        "eye_pose": sixd_to_rotmat(mean["eye_pose"]),
    }  # fmt: skip
    for name, tensor in found.items():
        assert torch.allclose(tensor, expected[name].expand_as(tensor), atol=1e-6), name


def test_untrained_network_says_about_the_mean():
    torch.manual_seed(0)
    found, mean = flat(EhmRegressor(TINY)(crops_of())), neutral(TINY)
    assert torch.allclose(found["camera"], mean["camera"].expand(3, 3), atol=0.1)
    assert torch.allclose(rotmat_to_6d(found["global_orient"]), mean["pose"][0].expand(3, 6), atol=0.1)


@pytest.mark.parametrize(
    ("joint", "name", "entry"),
    [
        (0, "global_orient", ()),
        (1, "body_pose", (0,)),
        (21, "body_pose", (20,)),
        (22, "left_hand_pose", (0,)),
        (36, "left_hand_pose", (14,)),
        (37, "right_hand_pose", (0,)),
        (51, "right_hand_pose", (14,)),
    ],
)
def test_each_joint_has_its_numbers(joint, name, entry):
    network, crops = random_regressor(), crops_of(1)
    with torch.no_grad():
        before = flat(network(crops))
        network.smplx_head.pose.linear.bias[6 * joint : 6 * joint + 6] += torch.randn(6)
        after = flat(network(crops))
    moved = {key: (after[key] - before[key]).abs().amax((-2, -1)) > 1e-6 for key in ROTATIONS}
    assert sum(int(flags.sum()) for flags in moved.values()) == 1
    assert bool(moved[name][(0, *entry)])


def test_people_do_not_see_each_other():
    network, crops = random_regressor().double(), crops_of(4).double()
    together = flat(network(crops))
    for person in range(4):
        for name, tensor in flat(network(crops[person : person + 1])).items():
            assert torch.allclose(tensor[0], together[name][person], atol=1e-12), name


def test_crop_is_cut_left_and_right():
    network, crops = random_regressor(), crops_of()
    other = crops.clone()
    other[..., :8] = other[..., -8:] = 9.0
    assert torch.equal(network(crops).camera, network(other).camera)
    other[..., 8] = 9.0
    assert not torch.equal(network(crops).camera, network(other).camera)


def test_whole_crop_without_a_cut():
    network = random_regressor(dataclasses.replace(TINY, side_px=0))
    crops = crops_of()
    other = crops.clone()
    other[..., -3] = 9.0  # Patches begin at -2 px, so that the last two columns are in none.
    assert not torch.equal(network(crops).camera, network(other).camera)


@pytest.mark.parametrize(
    "crops", [torch.zeros(1, 3, 64, 48), torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.zeros(3, 64, 64)]
)
def test_other_crops_are_refused(crops):
    with pytest.raises(ValueError, match=r"expected normalised float crops of \(B, 3, 64, 64\)"):
        EhmRegressor(TINY)(crops)


@pytest.mark.parametrize("how", ["autocast", "weights"])
def test_heads_stay_in_float32(how):
    network, crops = random_regressor(), crops_of()
    exact = flat(network(crops))
    if how == "weights":
        network.backbone.bfloat16()
        found = flat(network(crops))
    else:
        with torch.autocast("cpu", torch.bfloat16):
            assert network.backbone(crops[..., 8:56]).dtype == torch.float32  # The last norm is autocast to float32,
            assert network.backbone.blocks[0].mlp(torch.zeros(1, 1, 32)).dtype == torch.bfloat16  # the rest is not.
            found = flat(network(crops))
    for name, tensor in found.items():
        assert tensor.dtype == torch.float32, name
        assert (tensor - exact[name]).norm() < 0.03 * exact[name].norm(), name
        assert not torch.equal(tensor, exact[name]), name  # the backbone itself does not stay
    for name in ROTATIONS:
        assert torch.allclose(found[name] @ found[name].mT, torch.eye(3).expand_as(found[name]), atol=1e-5), name


def test_heads_under_autocast_are_those_without():
    network = random_regressor()
    tokens = network.backbone(crops_of()[..., 8:56])
    exact = flat(network.heads(tokens))
    network.backbone.forward = lambda images: tokens
    with torch.autocast("cpu", torch.bfloat16):
        found = flat(network(crops_of()))
    assert all(torch.equal(found[name], exact[name]) for name in exact)


def test_every_parameter_has_a_gradient():
    network = random_regressor().train()
    loss = sum(tensor.square().sum() + tensor.sum() for tensor in flat(network(crops_of())).values())
    loss.backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []
    # One token attends to itself alone, whatever its query and key; and its input is zero.
    still = [name for name, parameter in network.named_parameters() if not bool(parameter.grad.any())]
    assert still == ["decoder.to_token_embedding.weight"]


def test_host_reads_nothing():
    """On the meta device every read of a value raises."""
    with torch.device("meta"):
        network = EhmRegressor(RegressorConfig(backbone=BackboneConfig(size="H")))
    found = flat(network(normalise(torch.empty(2, 3, 256, 256, dtype=torch.uint8, device="meta"))))
    assert found["body_pose"].shape == (2, 21, 3, 3)
    assert all(tensor.is_meta for tensor in found.values())


def test_same_seed_same_weights_other_seed_others():
    def built(seed):
        torch.manual_seed(seed)
        return EhmRegressor(TINY).state_dict()

    first, again, other = built(1), built(1), built(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["backbone.patch_embed.proj.weight"], other["backbone.patch_embed.proj.weight"])


def test_drop_path_reaches_the_blocks():
    config = dataclasses.replace(TINY, backbone=BackboneConfig(size="", width=32, depth=5, heads=2, drop_path=0.4))
    shares = [block.drop_path for block in EhmRegressor(config).backbone.blocks]
    np.testing.assert_allclose(shares, [0, 0.1, 0.2, 0.3, 0.4])


@pytest.mark.upstream
@pytest.mark.timeout(600)
@pytest.mark.parametrize("size", ["S", "B"])
def test_upstreams_transformer_decoder_and_readouts(size, tmp_path):
    """HMR2's own classes at this size with 52 joints: same names, same numbers, same gradients."""
    vit = upstream("hmr2.models.backbones.vit")
    head = upstream("hmr2.models.heads.smpl_head")
    node = upstream("yacs.config").CfgNode
    figures, config = VIT_SIZES[size], RegressorConfig(backbone=BackboneConfig(size=size))
    torch.manual_seed(0)
    backbone = vit.ViT(
        img_size=(256, 192), patch_size=16, embed_dim=figures.width, depth=figures.depth, num_heads=figures.heads,
        ratio=1, mlp_ratio=4, qkv_bias=True, drop_path_rate=0.3,
    )  # fmt: skip
    mean = neutral(config)
    np.savez(tmp_path / "mean.npz", pose=mean["pose"].flatten().numpy(), shape=np.ones(10), cam=mean["camera"].numpy())
    decoder = {"depth": 6, "heads": 8, "mlp_dim": 1024, "dim_head": 64, "context_dim": figures.width}
    settings = {
        "MODEL": {"SMPL_HEAD": {"TYPE": "transformer_decoder", "TRANSFORMER_DECODER": decoder}},
        "SMPL": {"NUM_BODY_JOINTS": 51, "MEAN_PARAMS": str(tmp_path / "mean.npz")},
    }
    theirs = nn.Module()
    theirs.backbone, theirs.smpl_head = backbone, head.SMPLTransformerDecoderHead(node(settings))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if parameter.ndim == 1 and name.endswith("weight"):
                parameter.uniform_(0.7, 1.4, generator=generator)
            elif parameter.ndim >= 2 and "pos_embed" not in name:
                parameter.normal_(0, parameter[0].numel() ** -0.5, generator=generator)
            else:
                parameter.normal_(0, 0.05, generator=generator)
    theirs.eval()

    ours = EhmRegressor(config, {**mean, "betas": torch.ones(10)}).eval()
    state = theirs.state_dict()
    ours.backbone.load_state_dict(backbone_tensors(state, config.vit, source="upstream"))
    prefix = "smpl_head.transformer."
    ours.decoder.load_state_dict({k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)})
    for name, readout in (("decpose", "pose"), ("decshape", "betas"), ("deccam", "camera")):
        ours.smplx_head.get_submodule(readout).linear.load_state_dict(theirs.smpl_head.get_submodule(name).state_dict())

    crops = torch.randn(2, 3, 256, 256)
    pose, camera, _ = theirs.smpl_head(theirs.backbone(crops[..., 32:-32]))
    found = ours(crops)
    ours_pose = torch.cat([getattr(found.parameters, name) for name in ROTATIONS[1:4]], 1)
    pairs = {
        "global_orient": (found.parameters.global_orient, pose["global_orient"][:, 0]),
        "pose": (ours_pose, pose["body_pose"]),
        "betas": (found.parameters.betas, pose["betas"]),
        "camera": (found.camera, camera),
    }
    largest = {name: float((a - b).detach().abs().max()) for name, (a, b) in pairs.items()}
    print(f"\n{size}: largest difference {largest}")
    assert max(largest.values()) < 1e-4
    sum(a.sum() for a, _ in pairs.values()).backward()
    sum(b.sum() for _, b in pairs.values()).backward()
    for name, parameter in theirs.backbone.named_parameters():
        gradient = ours.backbone.get_parameter(name).grad
        assert torch.allclose(gradient, parameter.grad, rtol=1e-3, atol=1e-3 * float(parameter.grad.abs().max())), name
