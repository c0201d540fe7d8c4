"""A network over crops: normalisation, order, batches, devices."""

import numpy as np
import pytest
import torch
from photo_people import photo
from torch import nn

from model.estimators.crop_network import CropNetwork, CropNetworkConfig, CropPlan, normalised
from model.imaging.squares import Square


class Mean(nn.Module):
    """Says the mean colour of a crop."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Identity()

    def forward(self, crops):
        return crops.mean((2, 3))


def plans(num):
    return [CropPlan(rgb=photo(i), square=Square(centre_px=(100.0 + i, 90.0), side_px=60.0)) for i in range(num)]


def run(num, **options):
    network = Mean()
    config = CropNetworkConfig(**options)
    crops = CropNetwork(network, lambda x: {"colour": network(x)}, crop_px=32, antialias=False, config=config)
    return crops.run(plans(num))["colour"]


def test_normalised_like_imagenet():
    crops = torch.rand(2, 4, 4, 3) * 255
    red = (crops[1, 2, 3, 0] / 255 - 0.485) / 0.229
    blue = (crops[1, 2, 3, 2] / 255 - 0.406) / 0.225
    found = normalised(crops)
    assert found.shape == (2, 3, 4, 4)
    assert torch.allclose(found[1, [0, 2], 2, 3], torch.stack([red, blue]), atol=1e-5)


def test_the_batch_size_is_chosen_by_the_device_unless_given(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    chosen = {device: CropNetworkConfig(device=device).crops_at_once for device in ("cpu", "cuda", "cuda:1")}
    assert chosen["cpu"] < chosen["cuda"] == chosen["cuda:1"]
    assert CropNetworkConfig(batch_size=5).crops_at_once == 5


def test_order_and_numbers_do_not_depend_on_the_batch_size():
    whole = run(5)
    assert whole.shape == (5, 3)
    assert whole.dtype == np.float32
    assert len(np.unique(whole[:, 0])) == 5
    for size in (1, 2, 5):
        assert np.allclose(run(5, batch_size=size), whole, atol=1e-6)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="torch sees no CUDA GPU"):
        CropNetworkConfig(device="cuda")


@pytest.mark.gpu
def test_gpu_gives_the_same():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    assert np.allclose(run(5, device="cuda"), run(5), atol=1e-5)
