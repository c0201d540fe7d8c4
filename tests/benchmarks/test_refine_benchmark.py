"""The benchmark program runs and its table is whole; its baselines do what they claim."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import adamw, lbfgs
from benchmarks.errors import errors_of, summarise
from benchmarks.full_mesh import FullMesh
from benchmarks.methods import Bench, baselines, ours
from benchmarks.refine import load_bench, main, memory_of, parse
from benchmarks.table import ERRORS, SPEED, markdown
from benchmarks.trial import (
    Objective,
    Trial,
    make_trial,
    outcome_of,
    refine_trial,
    state_of_parameters,
    with_full_cost,
)
from benchmarks.unknowns import mesh_pose, sparse_pose, state_of, unknowns_of
from fitting.result import parameters_of

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return load_bench(torch.device("cpu"))


@pytest.fixture(scope="module")
def trial(bench: Bench) -> Trial:
    return make_trial(bench.body, 4, seed=2)


def cells(text: str, label: str) -> list[list[str]]:
    """The rows of all tables whose first cell is a label."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if row[0] == label]


@pytest.mark.long
def test_the_table_has_every_method_and_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lbfgs, "ITERATIONS", 1)
    out = tmp_path / "table"
    small = "--people 2 --some 2 --few 1 --batch 2 --repeats 1 --timed-steps 2 --stop-after 3 --no-memory"
    main([*small.split(), "--out", str(out)])
    text = out.with_suffix(".md").read_text()
    assert text.strip() in capsys.readouterr().out
    for column in (*SPEED, *ERRORS):
        assert f"| {column.title} |" in text
    for method in (ours([2]) | baselines()).values():
        assert cells(text, method.label), method.label
    rows = {row.get("key", "start"): row for row in json.loads(out.with_suffix(".json").read_text())["rows"]}
    assert rows["tracker"]["timed"] == "from 3 of 1001 steps"
    assert rows["ours-2"]["timed"] == "in full"
    assert rows["ours-2"]["speedup_tracker"] > 1
    assert "pa_mpjpe" not in rows["tracker"]
    assert rows["ours-2"]["body_px_median"] < rows["start"]["body_px_median"]


def test_a_row_without_the_full_schedule_has_no_errors() -> None:
    row = {"method": "part", "people": 2, "batch": 2, "seconds_per_person": 1.0}
    assert "part" not in markdown([row], ERRORS)
    assert "| part |" in markdown([row], SPEED)


def test_unknown_methods_are_refused() -> None:
    with pytest.raises(SystemExit, match="adam"):
        main(["--people", "1", "--methods", "adam", "--no-memory"])
    with pytest.raises(SystemExit):
        parse(["--people", "0"])


def test_the_trackers_schedule_has_its_published_rates() -> None:
    published = {
        "body": 1e-3, "hands": 1e-5, "translation": 5e-3, "root": 5e-4, "log_head_scale": 1e-4, "betas": 1e-4,
        "flame_shape": 2e-5, "expression": 1e-3, "jaw": 1e-3, "surface": 0.0,
    }  # fmt: skip
    assert published == adamw.TRACKER_RATES
    assert adamw.TRACKER_DECAY == 0.01
    assert (adamw.TRACKER_STEPS, adamw.TRACKER_IMAGE_STEPS) == (1001, 101)


def test_part_weights_of_the_tracker() -> None:
    weight = adamw.keypoint_weights()
    named = {0: 0, 5: 50, 8: 100, 9: 20, 11: 1, 13: 20, 15: 20, 22: 20, 23: 5, 39: 5, 40: 1, 90: 1, 91: 10, 132: 10}
    assert {index: float(weight[index]) for index in named} == named


@pytest.mark.long
def test_the_tracker_moves_no_unknown_further_than_its_rate_times_the_steps(bench: Bench, trial: Trial) -> None:
    steps = 10
    schedule = adamw.Schedule(steps=steps, rates=adamw.TRACKER_RATES)
    outcome = adamw.run_adamw(trial, sparse_pose(bench.body), adamw.tracker_loss(trial), schedule)
    start, end = parameters_of(bench.body, trial.start), outcome.parameters
    slack = 1.2  # Adam's first steps may be a little longer than the rate, and the decay adds to them
    scale = (torch.log(end.head_scale) - torch.log(start.head_scale)).abs().max()
    assert 0 < scale < slack * steps * 1e-4
    assert 0 < (end.transl_m - start.transl_m).abs().max() < slack * steps * 5e-3 * (1 + 0.01 * 15)


@pytest.mark.long
def test_the_dense_mesh_is_the_body(bench: Bench, trial: Trial) -> None:
    dense, lean = bench.dense.forward(trial.start), bench.lean.forward(trial.start)
    torch.testing.assert_close(dense.vertices, lean.vertices, atol=1e-5, rtol=0)
    sparse = sparse_pose(bench.body)(trial.start)
    torch.testing.assert_close(dense.keypoints, sparse.keypoints, atol=1e-5, rtol=0)
    torch.testing.assert_close(dense.joints, sparse.joints, atol=1e-5, rtol=0)


@pytest.mark.long
def test_the_dense_mesh_places_hips_and_shoulders_on_the_surface(bench: Bench, trial: Trial) -> None:
    size = bench.body.num_groups[-1]
    if len(bench.body.num_groups) < 4:
        pytest.skip("this body has no surface offsets")
    coefficients = trial.start.coefficients.clone()
    coefficients[:, -size:] = torch.linspace(-0.04, 0.05, size)
    state = replace(trial.start, coefficients=coefficients)
    moved = FullMesh(bench.ehms, bench.body).forward(state).keypoints
    torch.testing.assert_close(moved, sparse_pose(bench.body)(state).keypoints, atol=1e-5, rtol=0)


def test_unknowns_stand_for_the_state_they_start_at(bench: Bench, trial: Trial) -> None:
    state = state_of(unknowns_of(bench.body, trial.start), trial.start)
    for name in ("global_orient", "body_pose", "jaw_pose", "hand_pca", "coefficients", "log_head_scale", "position"):
        torch.testing.assert_close(getattr(state, name), getattr(trial.start, name), atol=1e-5, rtol=0)


def test_the_objective_is_that_of_the_refinement(bench: Bench, trial: Trial) -> None:
    """A refinement of no steps states the cost of the start."""
    idle = replace(trial.config, iterations=0, graduated_iterations=0)
    torch.testing.assert_close(
        Objective(trial).final_cost(trial.start), refine_trial(trial, idle).cost, rtol=1e-3, atol=0.1
    )  # fmt: skip
    objective, state = Objective(trial), trial.start
    points = sparse_pose(bench.body)(state).keypoints
    total = objective.keypoint_cost(points, trial.config.robust_scale) + objective.prior_cost(state)
    torch.testing.assert_close(total, objective.final_cost(state), rtol=1e-4, atol=0.1)


@pytest.mark.long
def test_tuned_adamw_lowers_the_cost(bench: Bench, trial: Trial) -> None:
    schedule = adamw.Schedule(steps=40, rates=adamw.TUNED_RATES, cosine=True)
    loss = adamw.objective_loss(trial, schedule.steps, graduated=True)
    outcome = adamw.run_adamw(trial, sparse_pose(bench.body), loss, schedule)
    assert bool((outcome.cost < 0.5 * Objective(trial).final_cost(trial.start)).all())


@pytest.mark.long
def test_adamw_takes_the_same_way_through_the_mesh_and_the_sparse_points(bench: Bench, trial: Trial) -> None:
    schedule = adamw.Schedule(steps=5, rates=adamw.TRACKER_RATES)
    ends = []
    for pose in (sparse_pose(bench.body), mesh_pose(bench.dense)):
        loss = adamw.objective_loss(trial, schedule.steps, graduated=False)
        ends.append(adamw.run_adamw(trial, pose, loss, schedule).parameters.body_pose)
    torch.testing.assert_close(ends[0], ends[1], atol=1e-3, rtol=0)


@pytest.mark.long
def test_adamw_does_not_depend_on_who_else_is_in_the_batch(bench: Bench, trial: Trial) -> None:
    schedule = adamw.Schedule(steps=5, rates=adamw.TRACKER_RATES)
    pose, alone = sparse_pose(bench.body), trial.first(1)
    together = adamw.run_adamw(trial, pose, adamw.tracker_loss(trial), schedule)
    single = adamw.run_adamw(alone, pose, adamw.tracker_loss(alone), schedule)
    torch.testing.assert_close(together.keypoints_px[:1], single.keypoints_px, atol=1e-2, rtol=0)


@pytest.mark.long
def test_lbfgs_lowers_the_cost(bench: Bench, trial: Trial) -> None:
    one = trial.first(1)
    outcome = lbfgs.run_lbfgs(one, sparse_pose(bench.body), iterations=4)
    assert float(outcome.cost) < 0.5 * float(Objective(one).final_cost(one.start))


def test_few_hand_components_are_scored_with_the_cost_of_all(trial: Trial) -> None:
    config = replace(trial.config, num_hand_components=12)
    few, every = with_full_cost(trial, refine_trial(trial, config)), refine_trial(trial)
    assert bool((few.cost > 0.99 * every.cost).all())
    end = state_of_parameters(trial.body, every.parameters, trial.start)
    torch.testing.assert_close(Objective(trial).final_cost(end), every.cost, rtol=0.03, atol=1.0)


def test_the_truth_has_no_error(bench: Bench, trial: Trial) -> None:
    truth = outcome_of(trial, trial.people.truth)
    begin = outcome_of(trial, trial.start)
    before = errors_of(trial, bench.ehms, begin.parameters, begin.keypoints_px)
    row = summarise(errors_of(trial, bench.ehms, truth.parameters, truth.keypoints_px), before)
    assert row["worse_px"] == row["worse_pa"] == 0
    for name in ("mpjpe", "pa_mpjpe", "hand_pa", "face_pa", "head_scale", "depth_rel", "body_px_p95"):
        assert row[name] == pytest.approx(0, abs=2e-2), name


def test_the_refinement_converges_from_the_start_of_the_trial(trial: Trial) -> None:
    outcome = refine_trial(trial)
    assert outcome.converged is not None
    assert bool(outcome.converged.all())
    assert bool((outcome.cost < Objective(trial).final_cost(trial.start)).all())


def test_the_process_that_measures_memory_gets_words_that_it_takes(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        said.append(command[3:])
        return subprocess.CompletedProcess(command, 0, "1.0")

    monkeypatch.setattr(subprocess, "run", run)
    options = parse(["--fusion", "paper", "--methods", "ours-2", "--batch", "2"])
    memory_of(load_bench(torch.device("cpu"), "paper"), "ours-2", ours([2])["ours-2"], trial, options)
    again = parse(said[0])
    assert (again.memory_of, again.fusion) == ("ours-2", ["paper"])
