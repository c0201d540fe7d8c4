"""Latency of the regressor and of EHM-s, part by part, beside plain code and the package `smplx`.

    python -m benchmarks.inference --quick                             a check of the program, tiny network
    python -m benchmarks.inference --size S B                          on a CPU, one thread, some fifteen minutes
    python -m benchmarks.inference --parts body --correctives          a body with pose correctives (random ones)
    python -m benchmarks.inference --device cuda --size B L H --batch 1 8 64 --modes eager graph compile \\
        --precisions fp32 tf32 bf16 --out benchmark-inference

Weights are random: time does not depend on them. What each column means is in docs/benchmarks/speed.md.
"""

import argparse
import dataclasses
import datetime
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from benchmarks.inference_clock import Budget, Peak, latencies, peak_of
from benchmarks.inference_parts import (
    NETWORK_PARTS,
    PACKAGE,
    PARTS,
    PLAIN,
    Inputs,
    Models,
    baselines,
    differences,
    ours,
    work_of,
)
from benchmarks.inference_plain import has_smplx
from benchmarks.table import Column, Row, markdown, number
from model.body.assets import EhmAssets, load_open_body
from model.body.ehms import EHMs
from model.execution import Mode, Precision
from model.networks.sizes import VIT_SIZES
from model.regressor.config import BackboneConfig, ReadoutConfig, RegressorConfig
from model.regressor.network import EhmRegressor
from model.regressor.runtime import mode_problem

FP32: list[Precision] = ["fp32"]
TINY = RegressorConfig(
    backbone=BackboneConfig(size="", width=32, depth=1, heads=2),
    decoder=ReadoutConfig(width=32, depth=1, heads=1, hidden=32),
    crop_px=64,
    side_px=8,
)
TABLE = (
    Column(title="part", text=lambda row: str(row["part"])),
    Column(title="method", text=lambda row: str(row["method"])),
    Column(title="batch", text=number("batch", "{:d}", 1)),
    Column(title="median ms", text=number("median", "{:.2f}", 1e3)),
    Column(title="p95 ms", text=number("p95", "{:.2f}", 1e3)),
    Column(title="ms a person", text=number("per_person", "{:.2f}", 1e3)),
    Column(title="x plain", text=number("x_plain", "{:.2f}")),
    Column(title="x smplx", text=number("x_package", "{:.2f}")),
    Column(title="floor ms", text=number("floor", "{:.2f}", 1e3)),
    Column(title="x floor", text=number("x_floor", "{:.1f}")),
)
PAPER = """Seconds a frame in the paper (Table 5; ViT-B, float32, batch 1):

| | L40S | A100 | 5090 | 4090 | 3090 |
|---|---|---|---|---|---|
| EHM-s inference | 0.009 | 0.013 | 0.010 | 0.011 | 0.015 |
| animation | 0.014 | 0.013 | 0.016 | 0.019 | 0.020 |
| total | 0.023 | 0.026 | 0.026 | 0.030 | 0.035 |
"""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=["tiny", *VIT_SIZES], default=["S"], help="of the backbone")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 64])
    parser.add_argument("--modes", nargs="+", choices=get_args(Mode), default=["eager"])
    parser.add_argument("--precisions", nargs="+", choices=get_args(Precision), default=["fp32"])
    parser.add_argument("--correctives", action="store_true", help="give the open body random pose correctives")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--calls", type=int, default=Budget().calls, help="timed calls of a method")
    parser.add_argument("--warm-up", type=int, default=Budget().warm_up, help="calls of a method that do not count")
    parser.add_argument("--seconds", type=float, default=Budget().seconds, help="limit of a part and batch")
    parser.add_argument("--peak-gflops", type=float, help="of the device in fp32, in place of a measured product")
    parser.add_argument("--peak-gbytes", type=float, help="of the device, a second, in place of a measured copy")
    parser.add_argument("--quick", action="store_true", help="tiny network, few calls")
    parser.add_argument("--out", type=Path, help="write PATH.json and PATH.md")
    options = parser.parse_args(arguments)
    if options.quick:
        options.size, options.calls, options.warm_up = ["tiny"], 5, 2
        options.batch = [min(batch, 4) for batch in options.batch]
    if min(*options.batch, options.threads, options.calls, options.warm_up) < 1 or options.seconds <= 0:
        parser.error("batches, threads, calls, warm-up and seconds must be at least 1")
    return options


def assets_of(options: argparse.Namespace) -> EhmAssets:
    """The open body, with correctives of a millimetre or so if asked."""
    assets = load_open_body()
    if not options.correctives:
        return assets
    shape = (9 * (assets.smplx.num_joints - 1), 3 * assets.smplx.num_vertices)
    table = np.random.default_rng(0).standard_normal(shape, dtype=np.float32) * np.float32(1e-3)
    return dataclasses.replace(assets, smplx=dataclasses.replace(assets.smplx, posedirs=table))


def benchmark(part: str, size: str, models: Models, inputs: Inputs, peaks: dict[Precision, Peak], options) -> list[Row]:
    """All methods of a part at one batch, in turns."""
    device, count = inputs.crops.device, len(inputs.crops)
    precisions: list[Precision] = options.precisions if part in NETWORK_PARTS else FP32
    modes: list[Mode] = options.modes
    kinds: dict[str, tuple[Mode, Precision]] = {
        f"ours, {mode}, {precision}": (mode, precision)
        for mode in modes
        for precision in precisions
        if mode_problem(mode, device) is None
    }
    calls = {name: ours(part, models, inputs, *kind) for name, kind in kinds.items()}
    calls |= baselines(part, models, inputs)
    budget = Budget(warm_up=options.warm_up, calls=options.calls, seconds=options.seconds)
    times = latencies(calls, device, budget)
    rows: list[Row] = []
    for name, latency in times.items():
        floor = None
        if name in kinds:
            precision = kinds[name][1]
            floor = peaks[precision].floor(work_of(part, models, inputs, precision))
        rows.append(
            {
                "part": PARTS[part] + (f", {size}" if part in NETWORK_PARTS else ""),
                "key": part,
                "size": size,
                "method": name,
                "batch": count,
                "median": latency.median,
                "p95": latency.p95,
                "calls": latency.calls,
                "per_person": latency.median / count,
                "x_plain": times[PLAIN].median / latency.median,
                "x_package": times[PACKAGE].median / latency.median if PACKAGE in times else None,
                "floor": floor,
                "x_floor": None if floor is None else latency.median / floor,
            }
        )
        print(f"{part} {size} {count} {name}: {1e3 * latency.median:.2f} ms", file=sys.stderr)
    return rows


def report(rows: list[Row], apart: dict[str, float], peaks: dict[Precision, Peak], options: argparse.Namespace) -> str:
    """What was run and where, and the table, as Markdown to paste into docs/benchmarks/speed.md."""
    device = torch.device(options.device)
    place = "one core, one thread" if options.threads == 1 else f"{options.threads} threads"
    if device.type == "cuda":
        place = torch.cuda.get_device_name(device)
    body = "open body with random pose correctives" if options.correctives else "open body"
    head = (
        f"{datetime.date.today().isoformat()}, {platform.machine()}, {place}, torch {torch.__version__}; random "
        f"weights, {body}; {'elapsed' if device.type == 'cuda' or options.threads > 1 else 'processor'} time."
    )
    each = {name: f"{peak.flops * 1e-9:.0f} GFLOP/s and {peak.bytes * 1e-9:.1f} GB/s" for name, peak in peaks.items()}
    reached = ", ".join(f"{name} {text}" for name, text in each.items())
    said = [f"Peaks for the floor: {reached}."]
    said += [f"Largest difference, {name}: {value:.1e}." for name, value in apart.items()]
    problems = {mode: mode_problem(mode, device) for mode in options.modes}
    said += [f"Mode {mode} was left out: {problem}." for mode, problem in problems.items() if problem]
    if not has_smplx():
        said.append("The package smplx is not installed, so its rows are missing.")
    return "\n\n".join([head, markdown(rows, TABLE), "\n".join(said), PAPER])


def main(arguments: list[str] | None = None) -> list[Row]:
    """Runs the program; returns the rows."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device(options.device)
    peaks: dict[Precision, Peak] = {}
    wanted: list[Precision] = options.precisions
    for precision in FP32 + [precision for precision in wanted if precision not in FP32]:
        peak = peak_of(device, precision, quick=options.quick)
        given = options.peak_gflops if precision == "fp32" else None
        peaks[precision] = Peak(
            flops=peak.flops if given is None else 1e9 * given,
            bytes=peak.bytes if options.peak_gbytes is None else 1e9 * options.peak_gbytes,
        )
    rows: list[Row] = []
    apart: dict[str, float] = {}
    for size in options.size:
        config = TINY if size == "tiny" else RegressorConfig(backbone=BackboneConfig(size=size))
        with tempfile.TemporaryDirectory(prefix="body-") as folder:
            models = Models.of(EhmRegressor(config).eval(), EHMs(assets_of(options)), Path(folder), device)
        # The body is the same for every size of the network.
        parts = [part for part in options.parts if part in NETWORK_PARTS or size == options.size[0]]
        for count in options.batch:
            inputs = Inputs.random(models.network, count, device)
            for name, value in differences(models, inputs).items():
                apart[name] = max(value, apart.get(name, 0.0))
            for part in parts:
                rows += benchmark(part, size, models, inputs, peaks, options)
    text = report(rows, apart, peaks, options)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.with_suffix(".md").write_text(text, encoding="utf-8")
        said = {name: str(value) for name, value in vars(options).items()}
        document = {"torch": torch.__version__, "options": said, "apart": apart, "rows": rows}
        options.out.with_suffix(".json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    return rows


if __name__ == "__main__":
    main()
