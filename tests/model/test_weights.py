"""Checkpoints are read without running them, in every layout, and must fit their network exactly."""

import argparse
import collections
import os
import pathlib
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from model.weights import load_into, num_blocks, read_checkpoint, require_keys


@pytest.fixture
def config_node(monkeypatch):
    """An object that pickles as yacs' own and whose package is gone when it is read."""
    package, module = types.ModuleType("yacs"), types.ModuleType("yacs.config")
    node = type("CfgNode", (dict,), {"__module__": "yacs.config"})
    module.CfgNode = node
    monkeypatch.setitem(sys.modules, "yacs", package)
    monkeypatch.setitem(sys.modules, "yacs.config", module)
    found = node(MODEL=node(SIZE=256), LIST=[1, 2])
    found.__dict__["__immutable__"] = False
    return found


def small():
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_lightning_layout_with_what_frameworks_leave(tmp_path, config_node, monkeypatch):
    state = small().state_dict()
    content = {
        "state_dict": state,
        "hyper_parameters": {"cfg": config_node, "args": argparse.Namespace(a=1)},
        "callbacks": {pathlib.PosixPath: {"best": np.float64(0.5), "curve": np.arange(3), "where": tmp_path}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1)}}}],
        "extra": collections.defaultdict(list, {"a": [1]}),
    }
    torch.save(content, tmp_path / "a.ckpt")
    monkeypatch.delitem(sys.modules, "yacs.config")
    monkeypatch.delitem(sys.modules, "yacs")
    found = read_checkpoint(tmp_path / "a.ckpt")
    assert found.layout == "state_dict"
    assert same(found.tensors, dict(state))
    assert len(found.sha256) == 64


def test_mmengine_and_flat_layouts(tmp_path):
    state = small().state_dict()
    torch.save({"meta": {"epoch": 3}, "state_dict": state}, tmp_path / "a.pth")
    torch.save(dict(state), tmp_path / "b.pt")
    a, b = read_checkpoint(tmp_path / "a.pth"), read_checkpoint(tmp_path / "b.pt")
    assert same(a.tensors, b.tensors)
    assert (a.layout, b.layout) == ("state_dict", "flat")
    assert a.sha256 != b.sha256


def test_files_older_than_zip(tmp_path, config_node):
    state = small().state_dict()
    torch.save({"state_dict": state, "cfg": config_node}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    assert same(read_checkpoint(tmp_path / "a.pt").tensors, dict(state))


class Hostile:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("call", [os.mkdir, eval, exec, __import__])
def test_hostile_pickles_are_refused(tmp_path, call, is_zip):
    marker = tmp_path / "made"
    argument = str(marker) if call is os.mkdir else f"__import__('os').mkdir({str(marker)!r})"
    content = {"state_dict": small().state_dict(), "x": Hostile(call, argument)}
    torch.save(content, tmp_path / "a.ckpt", _use_new_zipfile_serialization=is_zip)
    with pytest.raises(ValueError, match=r"a\.ckpt"):
        read_checkpoint(tmp_path / "a.ckpt")
    assert not marker.exists()


def test_stand_ins_do_not_stay_allowed(tmp_path):
    torch.save({"w": torch.ones(1), "x": np.float64(1)}, tmp_path / "a.pt")
    before = set(torch.serialization.get_safe_globals())
    read_checkpoint(tmp_path / "a.pt")
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize("content", [b"", b"junk" * 100, b"PK\x03\x04junk"])
def test_files_that_are_no_checkpoint(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.pt"):
        read_checkpoint(tmp_path / "a.pt")


def test_cut_file(tmp_path):
    torch.save(dict(small().state_dict()), tmp_path / "a.pt")
    whole = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.pt"):
        read_checkpoint(tmp_path / "a.pt")


def test_missing_file_and_file_without_tensors(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read_checkpoint(tmp_path / "none.pt")
    torch.save({"epoch": 3}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="no named tensors"):
        read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_load_into_copies_the_tensors(device):
    source = small()
    tensors = {"net." + name: t for name, t in source.state_dict().items()} | {"other.x": torch.ones(1)}
    with torch.device(device):
        network = small()
    load_into(network, tensors, path="a.pt", prefix="net.", ignore=("other.*",))
    assert same(network.state_dict(), source.state_dict())
    tensors["net.0.weight"].zero_()
    assert network[0].weight.any()


def test_every_misfit_is_listed():
    tensors = {"net." + name: t.clone() for name, t in small().state_dict().items()}
    del tensors["net.0.bias"]
    tensors["net.0.weight"] = torch.zeros(5, 3)
    tensors["net.1.weight"][0] = torch.nan
    tensors["net.2.weight"] = torch.zeros(1)
    tensors["stray"] = torch.zeros(1)
    with pytest.raises(ValueError) as caught:
        load_into(small(), tensors, path="a.pt", prefix="net.")
    text = str(caught.value)
    for part in (
        "a.pt", "1 missing: net.0.bias", "2 unexpected: net.2.weight, stray",
        "net.0.weight (5, 3) instead of (2, 3)", "1 not finite: net.1.weight",
    ):  # fmt: skip
        assert part in text


def test_long_lists_are_shortened():
    with pytest.raises(ValueError, match="and 12 more"):
        load_into(nn.Sequential(*(nn.Linear(1, 1) for _ in range(10))), {}, path="a.pt")


def test_half_weights_take_the_networks_type():
    network = small()
    load_into(network, {name: t.half() if t.is_floating_point() else t for name, t in network.state_dict().items()},
              path="a.pt")  # fmt: skip
    assert network[0].weight.dtype == torch.float32


def test_sizes_are_read_from_names():
    tensors = {"a.blocks.0.x": torch.zeros(1), "a.blocks.11.x": torch.zeros(1), "a.blocksize.99": torch.zeros(1)}
    assert num_blocks(tensors, "a.blocks") == 12
    assert num_blocks(tensors, "b") == 0
    with pytest.raises(ValueError, match=r"not one of X: b, c missing"):
        require_keys(tensors, ["a.blocks.0.x", "b", "c"], path="a.pt", network="X")


def test_safetensors(tmp_path):
    package = pytest.importorskip("safetensors.torch", reason="the package safetensors is not there")
    state = dict(small().state_dict())
    package.save_file(state, tmp_path / "a.safetensors")
    assert same(read_checkpoint(tmp_path / "a.safetensors").tensors, state)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("content", [b"", b"short", bytes(500)])
def test_a_damaged_file_is_one_sentence_with_its_name(tmp_path, suffix, content):
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint .*bad\..* is cut short or no ") as refused:
        read_checkpoint(path)
    assert "\n" not in str(refused.value)


def test_what_is_refused_is_named_without_advice_to_run_it(tmp_path):
    class Runs:
        def __reduce__(self):
            return eval, ("1",)

    for name, data in (("old", {"x": Runs()}), ("new", {"x": Runs()})):
        path = tmp_path / f"{name}.pth"
        torch.save(data, path, _use_new_zipfile_serialization=name == "new")
        with pytest.raises(ValueError, match=r"asks for \S*eval, which no network.s weights need") as refused:
            read_checkpoint(path)
        assert "weights_only" not in str(refused.value)
