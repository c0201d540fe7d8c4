"""Ways to run the regressor and EHM-s: the same numbers, no host read, clear refusals."""

import pytest
import torch

from model.batches import tensors_of
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.regressor import runtime
from model.regressor.config import BackboneConfig, ReadoutConfig, RegressorConfig
from model.regressor.network import EhmRegressor, normalise
from model.regressor.runtime import accelerate, for_precision, numerics

torch.set_num_threads(1)
CONFIG = RegressorConfig(
    backbone=BackboneConfig(size="", width=32, depth=1, heads=2),
    decoder=ReadoutConfig(width=32, depth=1, heads=1, hidden=32),
    crop_px=64,
    side_px=8,
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> EhmRegressor:
    torch.manual_seed(0)
    return EhmRegressor(CONFIG).eval()


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    return torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def apart(one, other) -> float:
    pairs = zip(tensors_of(one), tensors_of(other), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def test_network_and_body_run_on_a_device_that_cannot_be_asked(network: EhmRegressor) -> None:
    """Tensors of the meta device have shapes but no values: reading one raises, and so does mixing devices."""
    there = EhmRegressor(CONFIG).eval().to("meta")
    body = EHMs(load_open_body()).to("meta")

    def whole(crops: torch.Tensor):
        prediction = there(normalise(crops))
        return prediction, body(prediction.parameters)

    example = torch.zeros(2, 3, 64, 64, dtype=torch.uint8, device="meta")
    for precision in ("fp32", "tf32", "bf16"):
        prediction, out = accelerate(whole, (example,), precision=precision)(example)
        assert prediction.camera.shape == (2, 3)
        assert out.vertices.device.type == "meta"


def test_eager_is_the_module_without_gradients(network: EhmRegressor, crops: torch.Tensor) -> None:
    found = accelerate(network, (normalise(crops),), precision="fp32")(normalise(crops))
    assert apart(found, network(normalise(crops))) == 0
    assert not found.camera.requires_grad


def test_weights_kept_in_bf16_give_the_numbers_of_autocast(network: EhmRegressor, crops: torch.Tensor) -> None:
    with torch.no_grad():
        network.smplx_head.camera.linear.weight.normal_()
    plain = accelerate(network, (normalise(crops),), precision="bf16")(normalise(crops))
    kept = accelerate(for_precision(network, "bf16"), (normalise(crops),), precision="bf16")(normalise(crops))
    exact = accelerate(network, (normalise(crops),), precision="fp32")(normalise(crops))
    assert apart(plain, kept) < 1e-6
    assert 0 < apart(plain, exact) < 0.1
    assert plain.camera.dtype == torch.float32
    assert network.backbone.blocks[0].attn.qkv.weight.dtype == torch.float32
    assert for_precision(network, "tf32") is network


def test_numerics_are_put_back(network: EhmRegressor) -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with numerics("tf32", CPU):
        assert torch.get_float32_matmul_precision() == "high"
        with numerics("fp32", CPU):
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cudnn.allow_tf32
    with pytest.raises(ZeroDivisionError), numerics("bf16", CPU):
        raise ZeroDivisionError
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"mode": "fast", "precision": "fp32"}, "mode: expected one of eager, compile, graph, got 'fast'"),
        ({"mode": "eager", "precision": "fp16"}, "precision: expected one of fp32, tf32, bf16, got 'fp16'"),
        ({"mode": "graph", "precision": "fp32"}, "needs tensors on a CUDA device, these are on cpu"),
    ],
)
def test_what_is_not_possible_is_said(network: EhmRegressor, words: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        accelerate(network, (torch.zeros(1, 3, 64, 64),), **words)


def test_a_module_in_training_and_inputs_without_tensors_are_refused() -> None:
    with pytest.raises(ValueError, match="training mode"):
        accelerate(EhmRegressor(CONFIG), (torch.zeros(1, 3, 64, 64),), precision="fp32")
    with pytest.raises(ValueError, match="no tensor"):
        accelerate(torch.zeros, (3,), precision="fp32")


def test_without_a_compiler_compile_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.shutil, "which", lambda name: None)
    assert "C++ compiler" in (runtime.mode_problem("compile", CPU) or "")


def test_a_graph_takes_only_the_shapes_it_was_captured_for() -> None:
    runtime._check_like([torch.zeros(2, 3)], [torch.ones(2, 3)])
    with pytest.raises(ValueError, match=r"captured for inputs of \[\(\(2, 3\), torch.float32\)\], got \[\(\(1, 3\)"):
        runtime._check_like([torch.zeros(2, 3)], [torch.zeros(1, 3)])


@pytest.mark.slow
def test_compiled_is_the_module(network: EhmRegressor, crops: torch.Tensor) -> None:
    if runtime.mode_problem("compile", CPU) is not None:
        pytest.skip("there is no compiler")
    found = accelerate(network, (normalise(crops),), mode="compile", precision="fp32")(normalise(crops))
    assert apart(found, network(normalise(crops))) < 1e-5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_cuda_never_waits_for_the_host_and_gives_the_numbers_of_the_cpu(
    network: EhmRegressor, crops: torch.Tensor, mode
) -> None:
    body = EHMs(load_open_body())
    prediction = network(normalise(crops))
    expected = body(prediction.parameters).vertices
    there, pose = EhmRegressor(CONFIG).eval().cuda(), EHMs(load_open_body()).cuda()
    there.load_state_dict(network.state_dict())

    def whole(crops: torch.Tensor):
        return pose(there(normalise(crops)).parameters).vertices

    run = accelerate(whole, (torch.zeros_like(crops).cuda(),), mode=mode, precision="fp32")
    given = crops.cuda()
    run(given)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = run(given)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert (found.cpu() - expected).abs().max() < 1e-4
