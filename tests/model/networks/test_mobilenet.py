"""The MobileNets against TensorFlow's padding rule, and with timm installed against timm."""

import pytest
import torch
import torch.nn.functional as F
from face_checkpoints import randomise
from upstream_packages import upstream

from model.networks import mobilenet


@pytest.mark.parametrize("size", [7, 8, 223, 224])
@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding_covers_the_image_with_the_odd_pixel_behind(size: int, stride: int) -> None:
    before, after = mobilenet.same_padding(size, 3, stride)
    outputs = (size + before + after - 3) // stride + 1
    assert outputs == -(-size // stride)
    assert after - before in (0, 1)
    assert before + after < 3


def test_a_strided_convolution_starts_at_the_first_pixel() -> None:
    """With 8 px and stride 2 TensorFlow pads 0 before and 1 behind; PyTorch's padding=1 would start outside."""
    conv = mobilenet.SameConv(1, 1, 3, stride=2)
    conv.weight.data.zero_()
    conv.weight.data[0, 0, 0, 0] = 1
    image = torch.arange(64.0).reshape(1, 1, 8, 8)
    assert torch.equal(conv(image)[0, 0], image[0, 0, ::2, ::2])
    assert not torch.equal(F.conv2d(image, conv.weight, stride=2, padding=1)[0, 0], image[0, 0, ::2, ::2])


@pytest.mark.parametrize(("build", "entries", "features"), [(mobilenet.small, 204, 576), (mobilenet.large, 276, 960)])
def test_shapes_and_number_of_entries(build, entries: int, features: int) -> None:
    network = build().eval()
    assert len(network.state_dict()) == entries
    with torch.no_grad():
        assert network(torch.rand(1, 3, 224, 224)).shape == (1, features, 7, 7)


def test_all_batch_norms_have_the_epsilon_of_tensorflow() -> None:
    epsilons = {m.eps for m in mobilenet.large().modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert epsilons == {1e-3}


@pytest.mark.upstream
@pytest.mark.parametrize("name", ["small", "large"])
@pytest.mark.parametrize("size", [(224, 224), (223, 160)])
def test_keys_and_features_are_those_of_timm(name: str, size: tuple[int, int]) -> None:
    timm = upstream("timm")
    theirs = timm.create_model(f"tf_mobilenetv3_{name}_minimal_100", pretrained=False, features_only=True)
    randomise(theirs).eval()
    ours = getattr(mobilenet, name)().eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    crops = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = theirs(crops)[-1]
        assert wanted.std() > 0.01
        assert (ours(crops) - wanted).abs().max() < 1e-4
