"""Curves survive a crash as if it had not been, and the meter comes back to the last bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tasks.training.engine.curves import Curve, Meter, curve_plot_png, non_finite, open_writer, read_rows, rows_to_csv


def test_rows_that_the_state_does_not_know_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "curve.jsonl"
    curve = Curve(path, 0)
    for step in (10, 20, 30):
        curve.append({"step": step, "loss": 1 / step})
    again = Curve(path, 20)
    again.append({"step": 30, "loss": 7.0})
    assert [row["loss"] for row in read_rows(path)] == [0.1, 0.05, 7.0]


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "curve.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert [row["step"] for row in Curve(path, 5).rows] == [1]
    assert path.read_text().count("\n") == 1


def test_another_broken_line_ends_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "curve.jsonl"
    path.write_text('nonsense\n{"step": 2}\n')
    with pytest.raises(ValueError, match="line 1: expected a JSON object with a step"):
        read_rows(path)


@pytest.mark.parametrize("first", [0, 20])
def test_a_run_that_goes_on_draws_each_point_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    """TensorBoard hides what was drawn at the purge step and behind it; the state's own step is not drawn again."""
    from torch.utils import tensorboard

    asked = {}
    monkeypatch.setattr(tensorboard, "SummaryWriter", lambda folder, **options: asked.update(options))
    open_writer(tmp_path / "board", first)
    assert asked["purge_step"] == first + 1


def test_a_figure_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        Curve(tmp_path / "c.jsonl", 0).append({"step": 1, "loss": float("nan")})


def test_the_meter_comes_back_exactly() -> None:
    values = torch.rand(7, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()
    straight, broken = Meter(), Meter()
    for i, value in enumerate(values):
        straight.add({"loss": value})
        broken.add({"loss": value})
        if i == 3:
            broken = Meter.from_dict(json.loads(json.dumps(broken.to_dict())))
    assert straight.take() == broken.take()
    assert straight.take() == {}


def test_csv_has_a_column_for_every_name() -> None:
    assert rows_to_csv([{"step": 1, "a": 2.0}, {"step": 2, "b": None}]) == "step,a,b\n1,2.0,\n2,,\n"


def test_what_is_not_finite_is_named() -> None:
    assert non_finite({"a": 1.0, "b": float("inf"), "c": float("nan")}) == ["b", "c"]


@pytest.mark.long
def test_the_plot_is_a_picture_with_and_without_evaluations() -> None:
    rows = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}]
    held = [{"step": 2, "pa_mpjpe_mm": 90.0, "mean_pose_pa_mpjpe_mm": 100.0}]
    for evaluations in ([], held):
        assert curve_plot_png(rows, evaluations, ("pa_mpjpe_mm", "absent"), baseline="mean_pose_").startswith(
            b"\x89PNG"
        )
