"""The encoders' names, limits and reading of a file."""

import pytest
import torch
from face_checkpoints import face_tensors, randomise
from torch import Tensor
from upstream_packages import upstream

from model.estimators.teaser.face import load_network
from model.estimators.teaser.network import FaceEncoder, TokenEncoder
from model.networks import mobilenet


def crops(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("tokens", "entries"), [(True, 974), (False, 762)])
def test_number_of_entries(tokens: bool, entries: int) -> None:
    assert len(FaceEncoder(tokens=tokens).state_dict()) == entries


def test_the_upstream_names_of_heads() -> None:
    shapes = {name: tuple(t.shape) for name, t in FaceEncoder(tokens=True).state_dict().items()}
    assert shapes["pose_encoder.pose_cam_layers.0.weight"] == (6, 576)
    assert shapes["shape_encoder.shape_layers.0.weight"] == (300, 960)
    assert shapes["expression_encoder.expression_layers.0.weight"] == (55, 960)
    assert [shapes[f"token_encoder.token_layers.{k}.0.weight"] for k in range(4)] == [
        (256, 576),
        (256, 192),
        (256, 384),
        (256, 1024),
    ]
    assert "pose_encoder.encoder.blocks.5.0.conv.weight" in shapes


def test_eyelids_and_jaw_keep_their_limits() -> None:
    network = randomise(FaceEncoder(tokens=False)).eval()
    layer = network.expression_encoder.expression_layers[0]
    layer.weight.data.zero_()
    with torch.no_grad():
        for value, eyelid, opening, side in ((5.0, 1.0, 5.0, 0.2), (-5.0, 0.0, 0.0, -0.2), (0.1, 0.1, 0.1, 0.1)):
            layer.bias.data.fill_(value)
            read = network(crops(1))
            assert torch.allclose(read.expression, torch.full((1, 50), value))
            assert torch.allclose(read.eyelids, torch.full((1, 2), eyelid))
            assert torch.allclose(read.jaw_rotvec, torch.tensor([[opening, side, side]]))


@pytest.mark.parametrize("name", ["teaser", "smirk"])
def test_a_file_with_its_generator_gives_the_network_its_weights(name: str, tmp_path) -> None:
    tensors = face_tensors(name)
    torch.save(tensors, tmp_path / "face.pt")
    network, sha256 = load_network(tmp_path / "face.pt", name=name, tokens=name == "teaser")
    assert not network.training
    assert len(sha256) == 64
    state = network.state_dict()
    assert all(
        torch.equal(state[key.removeprefix(f"{name}_encoder.")], t) for key, t in tensors.items() if "_enc" in key[:14]
    )


def test_a_missing_and_an_unexpected_name_are_listed(tmp_path) -> None:
    tensors = face_tensors("smirk")
    del tensors["smirk_encoder.shape_encoder.shape_layers.0.bias"]
    tensors["smirk_encoder.token_encoder.extra"] = torch.zeros(1)
    torch.save(tensors, tmp_path / "face.pt")
    with pytest.raises(ValueError, match=r"1 missing: smirk_encoder.shape_encoder.*1 unexpected: smirk_encoder.token"):
        load_network(tmp_path / "face.pt", name="smirk", tokens=False)


def test_smirk_weights_are_no_teaser_weights(tmp_path) -> None:
    torch.save(face_tensors("smirk"), tmp_path / "face.pt")
    with pytest.raises(ValueError, match="974 missing"):
        load_network(tmp_path / "face.pt", name="teaser", tokens=True)


def test_an_absent_file_is_said_to_be_absent(tmp_path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        load_network(tmp_path / "face.pt", name="smirk", tokens=False)


@pytest.mark.upstream
def test_the_encoders_give_what_timm_with_the_published_heads_gives() -> None:
    """The published encoders are timm backbones, averaged, with one linear layer each."""
    timm = upstream("timm")
    network = randomise(FaceEncoder(tokens=True)).eval()

    def features(name: str, encoder: mobilenet.MobileNetV3Minimal) -> Tensor:
        backbone = timm.create_model(f"tf_mobilenetv3_{name}_minimal_100", pretrained=False, features_only=True)
        backbone.load_state_dict(encoder.state_dict())
        return F.adaptive_avg_pool2d(backbone.eval()(crops())[-1], (1, 1)).flatten(1)

    F = torch.nn.functional
    with torch.no_grad():
        read = network(crops())
        pose, shape, face = network.pose_encoder, network.shape_encoder, network.expression_encoder
        wanted_pose = pose.pose_cam_layers(features("small", pose.encoder))
        wanted_shape = shape.shape_layers(features("large", shape.encoder))
        wanted_face = face.expression_layers(features("large", face.encoder))
    assert (torch.cat([read.pose_rotvec, read.camera], 1) - wanted_pose).abs().max() < 1e-4
    assert (read.shape - wanted_shape).abs().max() < 1e-4
    assert (read.expression - wanted_face[:, :50]).abs().max() < 1e-4
    assert isinstance(network.token_encoder, TokenEncoder)
