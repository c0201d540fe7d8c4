"""The benchmark of inference: it runs whole, its baselines say the same, and its floor counts what it says."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.inference import TABLE, TINY, main
from benchmarks.inference_clock import Budget, Peak, Work, flops_of, latencies, latency_of
from benchmarks.inference_parts import PARTS, PLAIN, Inputs, Models, differences, work_of
from benchmarks.inference_plain import has_smplx, plain_network
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.regressor.network import EhmRegressor

torch.set_num_threads(1)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    torch.manual_seed(0)
    network = EhmRegressor(TINY)
    for readout in network.smplx_head.children():
        torch.nn.init.normal_(readout.linear.weight, std=0.1)
    return Models.of(network, EHMs(load_open_body()), tmp_path_factory.mktemp("body"), CPU)


@pytest.mark.long
def test_the_baselines_say_what_ours_says(models: Models) -> None:
    apart = differences(models, Inputs.random(models.network, 3, CPU))
    assert len(apart) == 2 + has_smplx()
    assert max(apart.values()) < 1e-5


def test_the_plain_network_has_no_other_attention_left(models: Models) -> None:
    kinds = {type(module).__name__ for module in plain_network(models.network).modules()}
    assert "PlainAttention" in kinds
    assert not kinds & {"Attention", "SelfAttention", "CrossAttention"}


@pytest.mark.slow
def test_a_report_has_every_part_with_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = main(
        ["--quick", "--calls", "5", "--batch", "2", "--out", str(tmp_path / "out"), "--modes", "eager", "graph"]
    )
    assert {row["key"] for row in rows} == set(PARTS)
    for row in rows:
        assert 0 < row["median"] <= row["p95"]
        assert row["x_plain"] > 0
        assert (row["floor"] is None) == (not row["method"].startswith("ours"))
    text = capsys.readouterr().out
    assert all(f" {column.title} " in text for column in TABLE)
    assert "Mode graph was left out: a CUDA graph needs tensors on a CUDA device" in text
    assert "Table 5" in text
    assert json.loads((tmp_path / "out.json").read_text())["options"]["batch"] == "[2]"


def test_methods_take_turns() -> None:
    order: list[str] = []
    calls = {name: (lambda name=name: order.append(name)) for name in ("a", "b")}
    found = latencies(calls, CPU, Budget(warm_up=1, calls=3, seconds=60))
    assert order == ["a", "b"] + 3 * ["a", "a", "b", "b"]
    assert all(latency.calls == 3 for latency in found.values())


def test_the_limit_of_time_leaves_five_rounds() -> None:
    found = latencies({"a": lambda: None}, CPU, Budget(warm_up=9, calls=100, seconds=1e-9))
    assert found["a"].calls == 5


def test_latency_is_median_and_percentile() -> None:
    found = latency_of([float(k) for k in range(101)])
    assert (found.median, found.p95) == (50.0, 95.0)


def test_the_floor_is_what_takes_longer() -> None:
    peak = Peak(flops=100.0, bytes=10.0)
    assert peak.floor(Work(flops=200.0, bytes=10.0)) == 2.0
    assert peak.floor(Work(flops=200.0, bytes=50.0)) == 5.0


@pytest.mark.long
def test_work_counts_products_and_weights(models: Models) -> None:
    assert flops_of(lambda: torch.zeros(4, 5) @ torch.zeros(5, 6)) == 2 * 4 * 5 * 6
    inputs = Inputs.random(models.network, 2, CPU)
    work, half = (work_of("encoder", models, inputs, precision) for precision in ("fp32", "bf16"))
    weights = 4 * sum(parameter.numel() for parameter in models.network.backbone.parameters())
    assert work.bytes == weights + 4 * (inputs.images.numel() + inputs.tokens.numel())
    assert work.bytes - half.bytes == weights / 2
    tokens, width = 12, 32  # 64 x 48 px, one block: patches, four linear layers, two products of attention
    linear = tokens * (3 * 16 * 16 * width + 3 * width * width + width * width + 2 * 4 * width * width)
    assert work.flops == 2 * 2 * (linear + 2 * tokens * tokens * width)
    heads = (models.network.decoder, models.network.smplx_head, models.network.flame_head)
    weights = 4 * sum(parameter.numel() for module in heads for parameter in module.parameters())
    assert work_of("decoder", models, inputs, "fp32").bytes == weights + 4 * inputs.tokens.numel()
    total = work_of("total", models, inputs, "fp32")
    parts = [work_of(part, models, inputs, "fp32") for part in ("encoder", "decoder", "body")]
    assert total.flops == sum(part.flops for part in parts)


def test_words_that_make_no_sense_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--batch", "0"])
    assert "must be at least 1" in capsys.readouterr().err
    assert PLAIN == "plain"
