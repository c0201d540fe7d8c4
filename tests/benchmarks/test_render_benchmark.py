"""The program prints its tables."""

import pytest
import torch

from benchmarks.render import available, main

pytestmark = pytest.mark.long


def test_the_program_prints_what_agrees_and_what_it_costs(capsys):
    rows = main(["--quick"])
    for row in rows["agreement"]:
        assert row["colour"] <= (1e-12 if row["numbers"] == "float64" else 1e-5)
    for row in rows["speed"]:
        assert row["forward"] > 0
        assert row["backward"] > 0
        assert row["pairs_8"] > row["pairs_16"] > 0
    for row in rows["animation"]:
        assert min(row["posing"], row["taking"], row["drawing"]) > 0
    printed = capsys.readouterr().out
    assert "| tiles | exact | float64 |" in printed
    assert "| tiles | 32 | 500 | 3 |" in printed
    assert "left out: the rasteriser 'gsplat' draws float32 on CUDA" in printed


def test_a_rasteriser_that_is_not_there_is_left_out_with_the_reason(monkeypatch):
    def library():
        raise ImportError("the rasteriser 'native' needs a C++ compiler")

    monkeypatch.setattr("model.renderer.splat.native.library", library)
    assert available(torch.device("cpu"))[0] == ["tiles"]
    assert "the rasteriser 'native' needs a C++ compiler" in available(torch.device("cpu"))[1]
