"""LPIPS against its formula, and with the package lpips installed against that; its files."""

import logging

import pytest
import torch
import torch.nn.functional as F
from lpips_files import backbone_tensors, linear_tensors, lpips_files, pictures
from upstream_packages import upstream

from model.renderer.perceptual.features import VGG16, AlexNet
from model.renderer.perceptual.lpips import load_lpips

NETS = ["alex", "vgg"]
TAPS = {"alex": {0, 3, 6, 8, 10}, "vgg": {2, 7, 14, 21, 28}}
"""Convolutions whose ReLU is looked at, by their place in the files."""
POOLED = {"alex": {3: 3, 6: 3}, "vgg": {5: 2, 10: 2, 17: 2, 24: 2}}
"""Convolutions that have a pooling before them, and its side."""


def reference(net, picture, target):
    """The formula on the tensors of the files: one convolution after another, pixel by pixel of length 1."""
    backbone = {name: t.double() for name, t in backbone_tensors(net).items()}
    linear = [t.double() for t in linear_tensors(net).values()]
    places = sorted(int(name.split(".")[1]) for name in backbone if name.startswith("features") and "bias" in name)
    stacks = []
    for x in (picture, target):
        shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
        x = (2 * x - 1 - shift.double()[:, None, None]) / scale.double()[:, None, None]
        stack = []
        for place in places:
            if place in POOLED[net]:
                x = F.max_pool2d(x, POOLED[net][place], 2)
            weight = backbone[f"features.{place}.weight"]
            stride, padding = (4, 2) if net == "alex" and place == 0 else (1, weight.shape[-1] // 2)
            x = F.conv2d(x, weight, backbone[f"features.{place}.bias"], stride, padding).clamp(min=0)
            if place in TAPS[net]:
                stack.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        stacks.append(stack)
    layers = zip(*stacks, linear, strict=True)
    return sum(F.conv2d((ours - theirs) ** 2, weight).mean((1, 2, 3)) for ours, theirs, weight in layers)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return {net: lpips_files(tmp_path_factory.mktemp(net), net) for net in NETS}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), pytest.param(torch.float32, 1e-5, marks=pytest.mark.long)]
)
def test_distance_is_the_formula(files, net, dtype, tolerance):
    network = load_lpips(net, *files[net])[0].to(dtype)
    picture, target = pictures(2, 3, 48, 61, dtype=torch.float64)
    wanted = reference(net, picture, target)
    assert wanted.min() > 0.1
    assert torch.allclose(network(picture.to(dtype), target.to(dtype)).double(), wanted, atol=0, rtol=tolerance)


@pytest.mark.parametrize("network", [AlexNet, VGG16])
def test_the_last_tap_sees_pictures_of_the_smallest_side_and_none_below(network):
    network = network()
    side = network.MIN_SIDE_PX
    outputs = network(torch.rand(1, 3, side, side))
    assert [out.shape[1] for out in outputs] == list(network.CHANNELS)
    assert outputs[-1].shape[2:] == (1, 1)
    with pytest.raises(RuntimeError):
        network(torch.rand(1, 3, side - 1, side))


def test_unmapped_inputs_are_the_same_network_on_values_as_they_are(files):
    mapped, unmapped = (load_lpips("alex", *files["alex"], inputs=way)[0] for way in ("mapped", "unmapped"))
    picture, target = pictures(2, 3, 40, 40)
    assert torch.allclose(unmapped(2 * picture - 1, 2 * target - 1), mapped(picture, target))
    assert not torch.allclose(unmapped(picture, target), mapped(picture, target), rtol=0.1)


def test_zero_for_equal_pictures_symmetric_and_larger_with_blur_and_noise(files):
    network, _ = load_lpips("alex", *files["alex"])
    picture, target = pictures(2, 3, 64, 64)
    assert network(picture, picture.clone()).tolist() == [0, 0]
    assert torch.equal(network(picture, target), network(target, picture))
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(3))
    noisy = [picture + share * noise for share in (0.01, 0.03, 0.1, 0.3)]
    blurred = [F.avg_pool2d(picture, side, 1, side // 2, count_include_pad=False) for side in (3, 7, 13, 25)]
    for row in (noisy, blurred):
        values = torch.stack([network(worse, picture) for worse in row])
        assert (values.diff(dim=0) > 0).all()


def test_gradients_are_those_of_finite_differences_and_weights_get_none(files):
    network = load_lpips("alex", *files["alex"])[0].double()
    picture, target = pictures(1, 3, 35, 33, dtype=torch.float64)
    picture.requires_grad_(), target.requires_grad_()
    assert torch.autograd.gradcheck(network, (picture, target), fast_mode=True)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_gradients_are_finite_where_no_feature_answers(files):
    network, _ = load_lpips("alex", *files["alex"])
    network.backbone.features[0].bias.fill_(-100.0)
    picture, target = pictures(1, 3, 40, 40)
    network(picture.requires_grad_(), target).sum().backward()
    assert picture.grad is not None
    assert picture.grad.isfinite().all()


def test_autocast_changes_nothing(files):
    network, _ = load_lpips("alex", *files["alex"])
    picture, target = pictures(1, 3, 40, 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(network(picture, target), network(picture.float(), target.float()))
        found = network(picture, target)
    assert torch.equal(found, network(picture, target))


def test_pictures_that_do_not_fit_are_refused(files):
    network, _ = load_lpips("alex", *files["alex"])
    with pytest.raises(ValueError, match=r"colour pictures of one shape .* \(1, 1, 40, 40\) and \(1, 1, 40, 40\)"):
        network(torch.rand(1, 1, 40, 40), torch.rand(1, 1, 40, 40))
    with pytest.raises(ValueError, match=r"AlexNet needs pictures of at least 31 px a side, got 30 x 64"):
        network(torch.rand(1, 3, 30, 64), torch.rand(1, 3, 30, 64))
    with pytest.raises(ValueError, match=r"floats in \[0, 1\], got torch.float32 and torch.uint8"):
        network(torch.rand(1, 3, 40, 40), torch.zeros(1, 3, 40, 40, dtype=torch.uint8))


def changed(net, name, tensor):
    tensors = backbone_tensors(net)
    if tensor is None:
        del tensors[name]
    else:
        tensors[name] = tensor
    return tensors


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("features.8.bias", None, "1 missing: features.8.bias"),
        ("features.12.weight", torch.zeros(3), "1 unexpected: features.12.weight"),
        (
            "features.0.weight",
            torch.zeros(64, 3, 3, 3),
            r"1 of another shape: features.0.weight \(64, 3, 3, 3\) instead of \(64, 3, 11, 11\)",
        ),
    ],
)
def test_a_backbone_of_another_network_is_refused(files, tmp_path, name, tensor, message):
    torch.save(changed("alex", name, tensor), tmp_path / "other.pth")
    with pytest.raises(ValueError, match=rf"other.pth does not fit AlexNet: {message}; is it the file of this network"):
        load_lpips("alex", tmp_path / "other.pth", files["alex"][1])


def test_linear_weights_of_the_other_network_are_refused(files):
    with pytest.raises(ValueError, match=r"vgg_linear.pth does not fit LinearWeights: 4 of another shape"):
        load_lpips("alex", files["alex"][0], files["vgg"][1])


def test_files_that_are_not_there_are_told_with_where_they_come_from(files, tmp_path):
    backbone, linear = files["alex"]
    with pytest.raises(ValueError, match=r"alexnet-owt-7be5be79.pth, and no file of it is given: get it from https://"):
        load_lpips("alex", None)
    with pytest.raises(ValueError, match=r"vgg16-397923af.pth, and .*none.pth does not exist"):
        load_lpips("vgg", tmp_path / "none.pth", linear)
    with pytest.raises(ValueError, match=r"v0.1/alex.pth of the package lpips, and .*none.pth does not exist"):
        load_lpips("alex", backbone, tmp_path / "none.pth")


def test_weights_of_the_installed_package_are_found_without_importing_it(files, tmp_path, monkeypatch):
    weights = tmp_path / "lpips" / "weights" / "v0.1"
    weights.mkdir(parents=True)
    (tmp_path / "lpips" / "__init__.py").write_text("raise ImportError('torchvision')")
    torch.save(linear_tensors("alex"), weights / "alex.pth")
    monkeypatch.syspath_prepend(tmp_path)
    picture, target = pictures(1, 3, 40, 40)
    ours, given = (load_lpips("alex", files["alex"][0], linear)[0] for linear in (None, files["alex"][1]))
    assert torch.equal(ours(picture, target), given(picture, target))


def test_without_the_package_its_weights_are_asked_for(files, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"it is not installed: `pip install --no-deps lpips==0.1.4`"):
        load_lpips("alex", files["alex"][0])


def test_files_that_are_not_the_published_ones_are_told(files, caplog):
    with caplog.at_level(logging.WARNING):
        load_lpips("alex", *files["alex"])
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} is not the published file (sha256 {sha256}...): compare its LPIPS with no other"
        for path, sha256 in zip(files["alex"], ("7be5be79", "df73285e35b2"), strict=True)
    ]


@pytest.mark.upstream
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("inputs", ["mapped", "unmapped"])
def test_distance_is_that_of_the_official_package(tmp_path, caplog, net, inputs):
    """Its own linear weights, on a whole random network of torchvision."""
    package, models = upstream("lpips"), upstream("torchvision.models")
    theirs = package.LPIPS(net=net, pnet_rand=True, verbose=False)
    random = backbone_tensors(net)
    places = {name: name.partition(".")[2] for name in theirs.net.state_dict()}
    theirs.net.load_state_dict({name: random[f"features.{place}"] for name, place in places.items()})
    official = (models.alexnet if net == "alex" else models.vgg16)()
    official.load_state_dict(random, strict=False)
    torch.save(official.state_dict(), tmp_path / "backbone.pth")
    ours, _ = load_lpips(net, tmp_path / "backbone.pth", inputs=inputs)
    assert [record.args[0] for record in caplog.records] == [tmp_path / "backbone.pth"]
    picture, target = pictures(3, 3, 64, 81)
    with torch.no_grad():
        wanted = theirs(picture, target, normalize=inputs == "mapped")[:, 0, 0, 0]
        assert wanted.min() > 5e-3
        assert (ours(picture, target) / wanted - 1).abs().max() < 1e-4
        assert (ours(picture, target) - wanted).abs().max() < 1e-5
