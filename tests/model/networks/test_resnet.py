"""The residual network: torchvision's names and sizes, and its numbers against a slow version in plain steps."""

import pytest
import torch
import torch.nn.functional as F

from model.networks.resnet import ResNet, ResNetConfig

SMALL = ResNetConfig(blocks=(1, 2, 1, 1), width=4)


def slow_resnet(state, config, images):
    """Convolutions and norms by their names in the file, one after the other."""

    def conv(x, name, stride=1):
        kernel = state[f"{name}.weight"]
        return F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)

    def norm(x, name):
        p = {k: state[f"{name}.{k}"][:, None, None] for k in ("running_mean", "running_var", "weight", "bias")}
        return (x - p["running_mean"]) / (p["running_var"] + 1e-5).sqrt() * p["weight"] + p["bias"]

    x = norm(conv(images, "conv1", 2), "bn1").clamp(min=0)
    x = F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2)
    for layer, num in enumerate(config.blocks, start=1):
        for block in range(num):
            at = f"layer{layer}.{block}"
            stride = 2 if layer > 1 and block == 0 else 1
            out = norm(conv(x, f"{at}.conv1"), f"{at}.bn1").clamp(min=0)
            out = norm(conv(out, f"{at}.conv2", stride), f"{at}.bn2").clamp(min=0)
            out = norm(conv(out, f"{at}.conv3"), f"{at}.bn3")
            short = norm(conv(x, f"{at}.downsample.0", stride), f"{at}.downsample.1") if block == 0 else x
            x = (out + short).clamp(min=0)
    return x.mean((-1, -2))


def random_resnet():
    torch.manual_seed(0)
    network = ResNet(SMALL).double().eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point() and tensor.ndim == 1:
            tensor.normal_(0.5, 0.5)
    return network


def test_same_as_the_slow_version():
    network = random_resnet()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    expected = slow_resnet(network.state_dict(), SMALL, images)
    assert expected.shape == (2, SMALL.num_features)
    assert torch.allclose(network(images), expected, atol=1e-10)


def test_resnet_50_has_torchvisions_entries():
    """318 entries and 23.5 million numbers: ResNet-50 without its classifier."""
    with torch.device("meta"):
        network = ResNet(ResNetConfig())
    state = network.state_dict()
    assert len(state) == 318
    assert sum(p.numel() for p in network.parameters()) == 23_508_032
    assert tuple(state["layer4.0.downsample.0.weight"].shape) == (2048, 1024, 1, 1)
    assert tuple(state["layer1.2.conv2.weight"].shape) == (64, 64, 3, 3)
    assert "layer3.5.bn3.num_batches_tracked" in state


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="four stages"):
        ResNetConfig(blocks=(3, 4, 6))
