"""Our renderer against GUAVA's own code on the same random weights and the same noise (`make upstream`)."""

import dataclasses
import types

import pytest
import roma
import torch
from guava_scene import blended_turns, camera_of, shake, sheet, uv_of
from official_sizes import official_sizes
from upstream_guava import Rasteriser, loss_model, networks, with_teeth
from upstream_packages import upstream

from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.networks.dinov2 import DINO_B, DinoConfig, DinoV2
from model.renderer.guava.body import guava_body
from model.renderer.guava.checkpoint import load_guava
from model.renderer.guava.config import PUBLISHED
from model.renderer.guava.gaussians import Appearance, Attributes, posed
from model.renderer.guava.losses import GuavaLossConfig, guava_loss
from model.renderer.guava.renderer import Picture
from model.renderer.perceptual.term import PerceptualConfig, build_perceptual
from model.rotations import rotvec_to_rotmat

pytestmark = [pytest.mark.upstream, pytest.mark.timeout(900)]
TOLERANCE = 1e-4
SMALL = dataclasses.replace(PUBLISHED, dino=DinoConfig(depth=5, side_px=56), image_px=64, uv_px=64, num_vertices=35)
SIZES = {"small": (SMALL, 7, 5), "published": (PUBLISHED, 163, 65)}


def close(ours, theirs):
    assert ours.shape == theirs.shape
    assert float(theirs.abs().max()) > 1e-3  # not a picture of nothing
    difference = float((ours - theirs).abs().max())
    print(f"{difference:.1e} of {float(theirs.abs().max()):.2g}")
    assert difference < TOLERANCE


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_the_whole_flow(size, monkeypatch, tmp_path):
    config, rows, columns = SIZES[size]
    placed, faces = sheet(rows, columns)
    uv = uv_of(config.uv_px, rows, columns)
    torch.manual_seed(0)
    inferer, renderer, person_of = networks(monkeypatch, config, placed, faces, uv)
    inferer, renderer = inferer.eval(), renderer.eval()
    for network in (inferer, renderer):
        shake(network)
    path = tmp_path / "latest.pt"
    parts = {"model": inferer.state_dict(), "render_model": renderer.state_dict()}
    torch.save({**parts, "meta_cfg": {"MODEL": {}}, "global_iter": 7}, path)
    ours, _ = load_guava(path, faces, config)

    # A world in which the camera is turned, and a picture.
    turned = rotvec_to_rotmat(torch.tensor([[0.2, -0.3, 0.1]]))
    place = torch.eye(4)[None].clone()
    place[:, :3, :3] = turned
    place[:, :3, 3] = torch.tensor([0.1, 0.2, 0.3])
    world = (placed - place[:, None, :3, 3]) @ turned
    picture = torch.rand(1, 3, config.dino.side_px, config.dino.side_px)
    camera = camera_of(config)

    seen = inferer.dino_encoder(picture, output_size=config.image_px)
    found = ours.dino_encoder(picture)
    close(found.texture_map, seen["f_map1"])
    close(found.vertex_map, seen["f_map2"])
    close(found.whole, seen["f_global"])

    torch.manual_seed(3)
    batch = {"image": picture, "w2c_cam": place, "smplx_coeffs": {"vertices": world}, "flame_coeffs": None}
    vertices, texels, _ = inferer(batch)
    noise = torch.Generator().manual_seed(3)
    appearance = ours.appearance(picture, placed, camera, rotation_cam_world=turned, generator=noise)
    for mine, other in ((appearance.vertices, vertices), (appearance.texels, texels)):
        close(mine.colours, other["colors"])
        close(mine.opacities, other["opacities"][..., 0])
        close(mine.scales, other["scales"])
        close(mine.rotations_wxyz, torch.nn.functional.normalize(other["rotations"], dim=-1))
    close(appearance.offsets, texels["local_pos"])

    # The other pose: as it is in the frame of the camera.
    pose = placed @ rotvec_to_rotmat(torch.tensor([0.0, 0.0, 0.2])).mT
    turns = blended_turns(config.num_vertices)
    person = person_of(vertices, texels)
    person.ehm, person.smplx = inferer.ehm, inferer.ehm.smplx
    deformed = person({"smplx_coeffs": {"vertices": pose, "ver_transform_mat": turns}, "flame_coeffs": None})
    used = ours.uv.used
    gaussians = posed(appearance, pose, turns, faces, ours.uv.face_ids[used], ours.uv.weights[used])
    close(gaussians.centres_m, deformed["xyz"])
    close(gaussians.opacities, deformed["opacity"][..., 0])
    close(gaussians.colours, deformed["features_color"])
    axes = roma.unitquat_to_rotmat(roma.quat_wxyz_to_xyzw(deformed["rotation"]))
    close(gaussians.factors_m, axes * deformed["scaling"][:, :, None])

    torch.manual_seed(4)
    view = {
        "image_height": [config.image_px], "image_width": [config.image_px], "tanfovx": [1 / 24], "tanfovy": [1 / 24],
        "world_view_transform": torch.eye(4)[None], "full_proj_transform": [None], "camera_center": [None],
    }  # fmt: skip
    theirs = renderer(deformed, view, bg=0.0)
    refined = ours.nerual_refiner(Rasteriser.drawn[None], generator=torch.Generator().manual_seed(4)).sigmoid()
    close(refined, theirs["renders"])
    without = ours.nerual_refiner(Rasteriser.drawn[None]).sigmoid()
    assert float((without - refined).abs().max()) > TOLERANCE  # the noise was there
    drawn = ours.draw(appearance, pose, turns, camera, generator=torch.Generator().manual_seed(4))
    # Alpha is cut at 1/255, and of Gaussians of one depth either may be the first: pixels jump with the last bit.
    for mine, other in ((drawn.raw, theirs["raw_renders"]), (drawn.refined, theirs["renders"])):
        difference = (mine - other).abs()
        assert float(difference.max()) < 1 / 255
        assert float(difference.mean()) < TOLERANCE / 10


@torch.no_grad()
def test_the_backbone():
    timm = upstream("timm")
    theirs = timm.create_model("vit_base_patch14_dinov2", num_classes=0).eval()
    shake(theirs)
    ours = DinoV2(DINO_B).eval()
    left_over = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert left_over.missing_keys == ["mask_token"]
    assert not left_over.unexpected_keys
    images = torch.randn(1, 3, 518, 518)
    expected = theirs.get_intermediate_layers(images, n=5, reshape=True, norm=True)
    for mine, other in zip(ours.last_blocks(images, 5), expected, strict=True):
        close(mine, other)


@torch.no_grad()
def test_the_body_with_teeth(monkeypatch):
    assets = official_sizes()
    head, body = with_teeth(monkeypatch, assets)
    ours = guava_body(assets)
    close(torch.from_numpy(ours.flame.v_template), head.v_template)
    assert torch.equal(torch.from_numpy(ours.flame.faces), head.faces)
    assert torch.equal(torch.from_numpy(ours.smplx.faces), body.faces_tensor)
    close(torch.from_numpy(ours.smplx.skin_weights), body.lbs_weights)
    close(torch.from_numpy(ours.flame.skin_weights), head.lbs_weights)
    assert (ours.head_vertex_ids == body.smplx2flame_ind).all()

    from models.modules.ehm.EHM import EHM

    rotvecs = {
        "global_pose": (1, 3), "body_pose": (21, 3), "left_hand_pose": (15, 3), "right_hand_pose": (15, 3),
        "jaw_params": (3,), "eye_pose_params": (6,),
    }  # fmt: skip
    torch.manual_seed(0)
    turns = {name: 0.3 * torch.randn(2, *shape) for name, shape in rotvecs.items()}
    betas, shape, expression = torch.randn(2, 10), torch.randn(2, 10), torch.randn(2, 10)
    scale, lids = 1 + 0.1 * torch.randn(2, 3), torch.rand(2, 2)
    smplx = {**turns, "shape": betas, "exp": torch.zeros(2, 0), "head_scale": scale}
    flame = {**turns, "shape_params": shape, "expression_params": expression, "eyelid_params": lids}
    flame["pose_params"] = torch.randn(2, 3)
    body.smplx2mano_ind = {"left_hand": torch.arange(3), "right_hand": torch.arange(3)}
    theirs = EHM.forward(types.SimpleNamespace(smplx=body, flame=head), smplx, flame)
    rotations = {name: rotvec_to_rotmat(value.reshape(2, -1, 3)) for name, value in turns.items()}
    people = EhmParameters(
        global_orient=rotations["global_pose"][:, 0], body_pose=rotations["body_pose"],
        left_hand_pose=rotations["left_hand_pose"], right_hand_pose=rotations["right_hand_pose"],
        jaw_pose=rotations["jaw_params"][:, 0], eye_pose=rotations["eye_pose_params"], betas=betas,
        flame_shape=shape, flame_expression=expression, eyelids=lids, head_scale=scale,
    )  # fmt: skip
    vertices, turned = EHMs(ours).posed_surface(people)
    close(vertices, theirs["vertices"])
    close(turned, theirs["ver_transform_mat"][..., :3, :3])


@pytest.mark.parametrize("step", [10, 999, 1_000, 10_000, 10_001])
def test_the_loss(step, monkeypatch):
    config = dataclasses.replace(GuavaLossConfig(), term=PerceptualConfig(batch="sum"))
    term = build_perceptual(config.term)
    theirs = loss_model(monkeypatch, term)
    torch.manual_seed(step)
    refined, raw, target = torch.rand(3, 2, 3, 128, 128)
    mask = (torch.rand(2, 1, 128, 128) > 0.5).float()
    boxes = {
        "head": [[10, 20, 90, 100], [5, 6, 70, 80]],
        "left_hand": [[0, 0, 30, 40], [64, 64, 64, 64]],
        "right_hand": [[50, 60, 100, 128], [1, 2, 30, 40]],
    }
    offsets, scales = 4 * torch.randn(2, 50, 3), torch.rand(2, 50, 3)
    batch = {"image": target, "mask": mask}
    for name, values in boxes.items():
        left, top, right, bottom = torch.tensor(values).unbind(1)
        batch[f"{name}_box"] = torch.stack([left, right, top, bottom], 1)
    extra = {"uv_point_xyz": offsets, "uv_point_scale": scales}
    expected, _ = theirs({"renders": refined, "raw_renders": raw}, batch, extra, step)
    texels = Attributes(colours=refined, opacities=refined, scales=scales, rotations_wxyz=refined)
    total, _ = guava_loss(
        Picture(refined, raw, mask[:, 0]), Appearance(vertices=texels, texels=texels, offsets=offsets), target * mask,
        mask, {name: torch.tensor(values) for name, values in boxes.items()}, step - 1, config, term,
    )  # fmt: skip
    assert float(total) == pytest.approx(float(sum(expected.values())), rel=1e-5)
