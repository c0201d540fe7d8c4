"""What ``benchmarks.gpu`` runs: each part is a table, made of jobs that may fail one by one.

Legend: B people or frames.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import inference, refine
from benchmarks.gpu_joint import JOINT, joint
from benchmarks.gpu_part import Job, Part, Settings
from benchmarks.gpu_tests import run_gpu_tests
from benchmarks.inference_clock import Peak, latencies, peak_of
from benchmarks.inference_parts import Inputs, Models, random_people
from benchmarks.measure import peak_growth_bytes
from benchmarks.methods import baselines, ours
from benchmarks.network_files import NETWORKS
from benchmarks.table import ERRORS, SPEED, Column, Row, number
from benchmarks.trial import make_trial, outcome_of
from datasets_manifest.schema.ehm_fields import PART_NAMES
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.keypoint_body import KeypointBody
from model.body.skeleton import BODY_GROUPS, NUM_KEYPOINTS, NUM_MAIN_JOINTS
from model.regressor.batch import TrainingBatch
from model.regressor.loss_config import LossConfig
from model.regressor.network import EhmRegressor
from model.regressor.runtime import Mode, Precision, mode_problem, numerics
from tasks.training.regressor.objective import Objective


def tests(settings: Settings) -> Iterator[Job]:
    """All tests marked `gpu`."""
    yield "pytest", run_gpu_tests


def refinement(settings: Settings) -> Iterator[Job]:
    """``fitting.refine`` and tuned AdamW; the latter timed over a few steps."""
    people, batches = settings.pick((4096, [256, 1024, 4096]), (4, [4]))
    words = ["--people", people, "--some", people, "--device", settings.device, "--batch", *batches]
    words += ["--stop-after", settings.pick(20, 2), "--repeats", settings.pick(3, 1)]
    options = refine.parse([str(word) for word in words])
    bench = refine.load_bench(settings.device)
    trial = make_trial(bench.body, people, people=refine.STARTS["published"])
    begin = outcome_of(trial, trial.start)
    yield "start", lambda: [{"method": "start", "people": people} | refine.score(bench, trial, begin, begin)]
    methods = ours(batches) | baselines(people)
    chosen = [key for key in methods if key.startswith("ours-")]
    last = [] if settings.is_quick else [key for key in methods if key.startswith("ours12-fixed-")]
    for key in (*chosen, "tuned-sparse", *last):

        def run(key: str = key) -> list[Row]:
            row, outcome = refine.run_method(bench, key, methods[key], trial, options)
            if outcome is not None and not key.startswith("ours12"):
                row |= refine.score(bench, trial, outcome, begin)
            if settings.is_cuda:
                row["memory_bytes_per_person"] = refine.memory_of(bench, key, methods[key], trial, options)
            return [row]

        yield key, run


def estimators(settings: Settings) -> Iterator[Job]:
    """The networks of the official estimators, run as these run them, on crops that are on the device already."""
    for name, network in NETWORKS.items():
        for is_half in (False, True) if settings.is_cuda else (False,):

            def run(name: str = name, network=network, is_half: bool = is_half) -> list[Row]:
                with settings.device, torch.no_grad():
                    module = network.build(settings.pick("published", "tiny")).eval().to(settings.device)
                backbone = getattr(module, "backbone", module)
                if is_half:
                    backbone.half()
                rows = []
                for count in settings.pick((1, 64), (2,)):
                    crops = torch.rand(count, 3, network.crop_px, network.crop_px, device=settings.device)
                    crops = crops.half() if is_half and backbone is module else crops
                    call = _without_gradient(module, crops)
                    row = {"network": name, "precision": "half backbone" if is_half else "default", "batch": count}
                    rows.append(row | _timed(call, count, settings))
                return rows

            yield f"{name}{', half' if is_half else ''}", run


def regressor(settings: Settings) -> Iterator[Job]:
    """Encoder, decoder and all, eager and as a graph, in every precision."""
    yield from _inference(settings, ("encoder", "decoder", "total"), ("eager", "graph"), settings.pick((1, 64), (2,)))


def compiled(settings: Settings) -> Iterator[Job]:
    """The same through torch.compile, and animation."""
    if not settings.is_quick:
        yield from _inference(settings, ("total", "animation"), ("compile",), (1, 64))


def body(settings: Settings) -> Iterator[Job]:
    """EHM-s over a sequence of B poses, alone and with normals."""
    yield from _inference(settings, ("body", "animation"), ("eager", "graph"), settings.pick((1, 64, 1024), (3,)))


def training(settings: Settings) -> Iterator[Job]:
    """A step of stage 1: forward, loss, backward, clipped gradients, AdamW."""
    for count in settings.pick((64, 256), (2,)):
        for precision in settings.precisions:
            yield f"{precision}, batch {count}", lambda p=precision, n=count: [_training_row(settings, p, n)]


def _training_row(settings: Settings, precision: Precision, count: int) -> Row:
    torch.manual_seed(0)
    config, device = settings.network, settings.device
    posed = KeypointBody(load_open_body(), config.size)
    objective = Objective(EhmRegressor(config), posed, LossConfig(), precision).to(device).train()
    # The engine's optimiser without its settings, which are read by packages that a bare machine lacks.
    optimiser = torch.optim.AdamW(objective.parameters(), lr=1e-5, fused=True)
    batch = random_batch(objective.network, count).to(device)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        objective(batch)[0].backward()
        nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimiser.step()

    with numerics("tf32" if precision == "tf32" else "fp32", device):  # bf16 is the objective's own matter
        return {"network": settings.size, "precision": precision, "batch": count} | _timed(step, count, settings)


def random_batch(network: EhmRegressor, count: int) -> TrainingBatch:
    """People (B) on crops of noise, of whom everything is valid."""
    rng = torch.Generator().manual_seed(0)
    side = network.config.crop_px
    keypoints = torch.rand(count, NUM_KEYPOINTS, 3, generator=rng)
    keypoints[..., :2] -= 0.5
    valid = torch.ones(count, dtype=torch.bool)
    return TrainingBatch(
        crops=torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=rng),
        target=random_people(network, count, rng),
        keypoints_2d=keypoints,
        body_valid=valid,
        left_hand_valid=valid,
        right_hand_valid=valid,
        face_valid=valid,
        joint_seen=torch.ones(count, NUM_MAIN_JOINTS, dtype=torch.bool),
        body_group_valid=torch.ones(count, len(BODY_GROUPS), dtype=torch.bool),
        eyes_valid=valid,
        eyelids_valid=valid,
        weight=torch.ones(count, len(PART_NAMES)),
        sample_ids=tuple(map(str, range(count))),
        crop_from_image=torch.eye(3, dtype=torch.float64)[:2].expand(count, 2, 3),
    )


def _inference(settings: Settings, parts: Sequence[str], modes: Sequence[Mode], counts: Sequence[int]) -> Iterator[Job]:
    """Rows of ``benchmarks.inference``, one job for each part, mode, precision and batch."""
    torch.manual_seed(0)
    options = inference.parse(["--size", settings.size, "--device", str(settings.device)])
    budget = settings.budget
    changes = {"warm_up": budget.warm_up, "calls": budget.calls, "seconds": budget.seconds}
    with tempfile.TemporaryDirectory(prefix="body-") as folder:
        network = EhmRegressor(settings.network).eval()
        models = Models.of(network, EHMs(load_open_body()), Path(folder), settings.device)
    peaks: dict[Precision, Peak] = {
        precision: peak_of(settings.device, precision, quick=settings.is_quick) for precision in settings.precisions
    }
    for count in counts:
        inputs = Inputs.random(models.network, count, settings.device)
        for part in parts:
            precisions = settings.precisions if part in inference.NETWORK_PARTS else settings.precisions[:1]
            kinds = [
                (m, p) for m in modes for p in precisions if m == "compile" or not mode_problem(m, settings.device)
            ]
            for mode, precision in kinds:
                own = argparse.Namespace(**vars(options) | changes | {"modes": [mode], "precisions": [precision]})

                def run(part=part, inputs=inputs, own=own, is_first=(mode, precision) == kinds[0]) -> list[Row]:
                    problem = mode_problem(own.modes[0], settings.device)
                    if problem is not None:
                        raise ValueError(problem)
                    rows = inference.benchmark(part, settings.size, models, inputs, peaks, own)
                    for row in rows:
                        if row["key"] in ("body", "animation"):
                            row["vertices_per_second"] = row["batch"] * len(models.body.head_weight) / row["median"]
                    return [row for row in rows if row["method"].startswith("ours") or is_first]

                yield f"{part}, {mode}, {precision}, batch {count}", run


def _without_gradient(module: nn.Module, crops: Tensor) -> Callable[[], object]:
    def call() -> object:
        with torch.inference_mode():
            return module(crops)

    return call


def _timed(call: Callable[[], object], count: int, settings: Settings) -> Row:
    """Median seconds of a call for B people or crops, and on CUDA the memory that it takes beside weights."""
    latency = latencies({"": call}, settings.device, settings.budget)[""]
    row: Row = {"median": latency.median, "p95": latency.p95, "per_second": count / latency.median}
    if settings.is_cuda:
        row["memory"] = peak_growth_bytes(call, settings.device)
    return row


def _text(name: str) -> Callable[[Row], str]:
    return lambda row: str(row.get(name) or "").replace("|", "/")


_TESTS = (
    Column(title="file", text=_text("file")),
    Column(title="test", text=_text("test")),
    Column(title="outcome", text=_text("outcome")),
    Column(title="seconds", text=number("seconds", "{:.2f}")),
    Column(title="why", text=_text("why")),
)
_CALLS = (
    Column(title="network", text=_text("network")),
    Column(title="precision", text=_text("precision")),
    Column(title="batch", text=number("batch", "{:d}", 1)),
    Column(title="median ms", text=number("median", "{:.2f}", 1e3)),
    Column(title="p95 ms", text=number("p95", "{:.2f}", 1e3)),
    Column(title="people/s", text=number("per_second", "{:.4g}")),
    Column(title="memory MB", text=number("memory", "{:.0f}", 1e-6)),
)
_BODIES = (*inference.TABLE, Column(title="10^6 vertices/s", text=number("vertices_per_second", "{:.4g}", 1e-6)))
PARTS: dict[str, Part] = {
    "tests": Part(title="Tests marked `gpu`", limit_s=90, jobs=tests, tables=[_TESTS]),
    "refinement": Part(title="Refinement", limit_s=80, jobs=refinement, tables=[SPEED, ERRORS]),
    "joint": Part(title="Several cameras and clips", limit_s=45, jobs=joint, tables=[JOINT]),
    "estimators": Part(title="Networks of the estimators", limit_s=50, jobs=estimators, tables=[_CALLS]),
    "regressor": Part(title="Regressor", limit_s=70, jobs=regressor, tables=[inference.TABLE]),
    "body": Part(title="EHM-s and animation", limit_s=30, jobs=body, tables=[_BODIES]),
    "training": Part(title="Training step", limit_s=40, jobs=training, tables=[_CALLS]),
    "compiled": Part(title="Compiled", limit_s=45, jobs=compiled, tables=[_BODIES]),
}
"""In this order."""
