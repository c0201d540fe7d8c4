"""The benchmark of the estimators: it runs whole, and its clocks count what they say."""

import json
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.estimator_parts import PARTS, make_shard, person_batch
from benchmarks.estimators import in_a_loop, in_batches, main, measure
from benchmarks.network_clock import network_clock
from benchmarks.network_files import write_network
from benchmarks.onnx_networks import has_onnx, write_detector, write_pose
from model.estimators import create

CPU = torch.device("cpu")
torch.set_num_threads(1)


class Slow(nn.Module):
    """Works for so many seconds of processor time."""

    def __init__(self, seconds, inner=None):
        super().__init__()
        self.seconds, self.inner = seconds, inner

    def forward(self):
        busy(self.seconds)
        if self.inner is not None:
            self.inner()


def busy(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@pytest.mark.slow
def test_a_report_has_a_row_a_network_with_all_figures(tmp_path, capsys):
    parts = ["pose", "detector", "prohmr", "hamer", "smirk"]
    words = ["--photos", "2", "--people", "1", "--batch", "2", "--loop", "1", "--out", str(tmp_path / "out")]
    rows = main(["--parts", *parts, *words])
    assert [row["network"] for row in rows] == [PARTS[name].label for name in parts if PARTS[name].problem is None]
    assert {row["network"]: row["crops"] for row in rows}["HaMeR"] == 4
    for row in rows:
        for name in ("seconds_per_crop", "crops_per_second", "loop_crops_per_second", "speedup"):
            assert row[name] > 0
        assert all(0 <= row[name] < 1 for name in ("outside", "waits", "loop_outside"))
    text = capsys.readouterr().out
    assert (tmp_path / "out.md").read_text() == text.rstrip("\n") + "\n"
    assert all(f"| {row['network']} |" in text for row in rows)
    assert json.loads((tmp_path / "out.json").read_text())["options"]["size"] == "tiny"


def test_the_clock_counts_the_outermost_network_once_and_nothing_else():
    network = Slow(0.03, inner=Slow(0.02))
    with network_clock(CPU) as clock:
        busy(0.05)
        network()
        network()
    assert clock.processor == pytest.approx(0.1, rel=0.2)
    assert clock.elapsed >= clock.processor * 0.95
    network()
    assert clock.processor < 0.13, "the clock goes on after its end"


def test_the_clock_counts_a_network_that_raises_and_refuses_other_threads():
    class Broken(nn.Module):
        def forward(self):
            raise RuntimeError("no memory")

    refused = []

    def elsewhere():
        try:
            Slow(0)()
        except RuntimeError as error:
            refused.append(str(error))

    with network_clock(CPU) as clock:
        with pytest.raises(RuntimeError, match="no memory"):
            Broken()()
        Slow(0.02)()
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert clock.processor == pytest.approx(0.02, rel=0.3)
    assert "another thread" in refused[0]


def test_shares_are_those_of_the_work():
    shard, options = make_shard(2, 1, (64, 48)), SimpleNamespace(device="cpu", threads=1, batch=1)
    network = Slow(0.03)

    def run(shard, photos, who):
        for _ in who:
            network()
            busy(0.01)

    row = measure(in_batches, run, shard, shard.people, options)
    assert row["outside"] == pytest.approx(0.25, abs=0.08)
    assert row["seconds"] == pytest.approx(0.08, rel=0.3)


def test_the_loop_decodes_for_each_person_and_the_batches_for_each_photo(monkeypatch):
    shard, decoded, given = make_shard(2, 3, (64, 48)), [], []
    monkeypatch.setattr(
        "benchmarks.estimator_parts.decode_image", lambda data, name: decoded.append(name) or np.zeros((48, 64, 3))
    )
    in_batches(lambda shard, photos, who: given.append(len(who)), shard, shard.people)
    assert (len(decoded), given) == (2, [6])
    in_a_loop(lambda shard, photos, who: given.append(len(who)), shard, shard.people)
    assert (len(decoded), given) == (2 + 6, [6] + [1] * 6)


def test_tiny_networks_are_files_that_the_estimators_read(tmp_path):
    shard = make_shard(1, 2, (160, 120))
    batch = person_batch(shard, {0: shard.decode(0)}, shard.people)
    for part, backend in (("body", "prohmr"), ("body", "hmr2"), ("hands", "hamer")):
        found = create(part, backend, checkpoint_path=str(write_network(tmp_path, backend, "tiny"))).estimate(batch)
        assert found.valid.all()


@pytest.mark.skipif(not has_onnx(), reason="network files of our own are written with the package onnx")
def test_stand_ins_have_the_published_cost_and_shapes(tmp_path, monkeypatch):
    from benchmarks import onnx_networks

    written = {}

    def keep(self, path, batch, outputs):
        written[path] = (self.multiply_adds, {name: tuple(shape) for name, shape in outputs.items()})

    monkeypatch.setattr(onnx_networks._Chain, "write", keep)
    write_pose("pose", "published")
    write_detector("detector", "published")
    assert written["pose"][0] == pytest.approx(10e9, rel=0.15)
    assert written["pose"][1] == {"simcc_x": ("batch", 133, 576), "simcc_y": ("batch", 133, 768)}
    assert written["detector"][0] == pytest.approx(78e9, rel=0.15)
    assert written["detector"][1] == {"output": (1, 8400, 85)}
