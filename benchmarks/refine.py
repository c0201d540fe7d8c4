"""Compares the refinement with the methods it replaces, all on the same people and from the same start, in one run.

    python -m benchmarks.refine                       the table of docs/benchmarks/fitting.md
    python -m benchmarks.refine --quick               fewer people; slow methods timed over a few steps
    python -m benchmarks.refine --start hard          coarse estimates that failed
    python -m benchmarks.refine --ablate              what single parts of the method are worth
    python -m benchmarks.refine --fusion blended paper --methods ours    both definitions of the head
    python -m benchmarks.refine --device cuda --batch 1024 4096

People are synthetic, with known truth. What each column means is in docs/benchmarks/fitting.md.
"""

import argparse
import datetime
import json
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from benchmarks.ablations import ablations
from benchmarks.errors import errors_of, summarise
from benchmarks.full_mesh import FullMesh
from benchmarks.measure import peak_growth_bytes, timed
from benchmarks.methods import Bench, Method, baselines, ours
from benchmarks.synthetic_people import HARD_START, StudyConfig
from benchmarks.table import ERRORS, SPEED, Row, markdown
from benchmarks.trial import Outcome, Trial, make_trial, outcome_of, with_full_cost
from datasets_manifest.schema.ehm_fields import Fusion
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body
from model.body.ehms import EHMs

STARTS = {"published": StudyConfig(log_depth_error=0.07), "hard": HARD_START}
"""`published`: the errors stated for the coarse estimators, depth 7 %. `hard`: estimates that failed."""
_WARM_UP_PEOPLE, _WARM_UP_STEPS = 2, 2


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=512, help="people for the refinement")
    parser.add_argument("--some", type=int, default=64, help="people for AdamW, the first of them")
    parser.add_argument("--few", type=int, default=24, help="people for methods that run one by one")
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 128, 1], help="batch sizes of the refinement")
    parser.add_argument("--baseline-batch", type=int, default=64, help="batch size of AdamW")
    parser.add_argument("--methods", nargs="+", help="rows to run; `ours` stands for all of ours")
    parser.add_argument("--start", choices=list(STARTS), default="published")
    parser.add_argument(
        "--fusion",
        choices=get_args(Fusion),
        nargs="+",
        default=["blended"],
        help="fusions of head and body; people are drawn and fitted in the same one",
    )
    parser.add_argument("--ablate", action="store_true", help="ablations of the refinement instead of other methods")
    parser.add_argument(
        "--time-only",
        nargs="*",
        default=["tracker-ehms", "tuned-mesh"],
        help="rows timed over a few steps, without their errors: another row has those, by another forward pass",
    )
    parser.add_argument("--timed-steps", type=int, default=20, help="steps that these rows are timed over")
    parser.add_argument("--stop-after", type=int, help="time every AdamW row over so many steps, without its errors")
    parser.add_argument("--quick", action="store_true", help="fewer people, slow methods timed over a few steps")
    parser.add_argument("--repeats", type=int, default=3, help="runs of ours, of which the median time counts")
    parser.add_argument("--no-memory", action="store_true", help="do not measure memory")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write PATH.json and PATH.md")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.quick:
        options.people, options.some, options.few = min(options.people, 128), min(options.some, 64), 2
        options.stop_after, options.repeats = options.stop_after or options.timed_steps, 1
    if options.fusion != ["blended"] and (not options.methods or set(options.methods) & set(baselines())):
        parser.error("--fusion paper: only ours know it, say --methods ours")
    if min(options.people, options.some, options.few, options.repeats, options.timed_steps, *options.batch) < 1:
        parser.error("numbers of people, steps and repeats must be at least 1")
    return options


def load_bench(device: torch.device, fusion: Fusion = "blended") -> Bench:
    """The open body on a device."""
    assets = replace(load_open_body(), fusion=fusion)
    body, ehms = SparseBody.from_assets(assets), EHMs(assets)
    if device.type != "cpu":
        body, ehms = body.to(device), ehms.to(device)  # pyright: ignore[reportAttributeAccessIssue]
    return Bench(
        body=body,
        ehms=ehms,
        dense=None if fusion == "paper" else FullMesh(ehms, body, dense=True),
        lean=None if fusion == "paper" else FullMesh(ehms, body, dense=False),
    )


def choose(options: argparse.Namespace) -> dict[str, Method]:
    """The rows to run."""
    own = ours(options.batch)
    every = own | baselines(options.baseline_batch)
    if not options.methods:
        return every
    wanted: dict[str, Method] = {}
    for name in options.methods:
        if name != "ours" and name not in every:
            raise SystemExit(f"--methods {name}: choose from ours, {', '.join(every)}")
        wanted |= own if name == "ours" else {name: every[name]}
    return wanted


def run_method(
    bench: Bench, key: str, method: Method, trial: Trial, options: argparse.Namespace
) -> tuple[Row, Outcome | None]:
    """Times a method on its share of the people; its outcome is None where only a part of its steps was run."""
    device = torch.device(options.device)
    part = trial.first({"all": options.people, "some": options.some, "few": options.few}[method.share])
    stop = options.timed_steps if key in options.time_only else options.stop_after
    if stop is not None and stop >= method.steps:
        stop = None
    method.run_all(bench, part.first(_WARM_UP_PEOPLE), _WARM_UP_STEPS)
    runs = 1 if method.steps else options.repeats
    runs = 1 if method.share == "few" and method.batch == 1 else runs
    results = [timed(lambda: method.run_all(bench, part, stop), device) for _ in range(runs)]
    seconds = float(np.median([result[1] for result in results])) * (method.steps / stop if stop else 1)
    row: Row = {
        "method": method.label,
        "people": part.count,
        "batch": method.batch,
        "seconds_per_person": seconds / part.count,
        "people_per_second": part.count / seconds,
        "timed": f"from {stop} of {method.steps} steps" if stop else "in full",
    }
    return row, None if stop else results[0][0]


def score(bench: Bench, trial: Trial, outcome: Outcome, begin: Outcome) -> Row:
    """Error columns of an outcome for the first people of a trial."""
    part = trial.first(len(outcome.cost))
    first = slice(0, part.count)
    before = errors_of(part, bench.ehms, outcome_of(part, part.start).parameters, begin.keypoints_px[first])
    row: Row = dict(summarise(errors_of(part, bench.ehms, outcome.parameters, outcome.keypoints_px), before))
    row["cost"] = float(outcome.cost.mean())
    if outcome.converged is not None:
        row["converged"] = float(outcome.converged.float().mean())
    return row


def compare(bench: Bench, methods: dict[str, Method], trial: Trial, options: argparse.Namespace) -> list[Row]:
    """All rows: the start, then the methods."""
    begin = outcome_of(trial, trial.start)
    rows = [{"method": "start", "people": trial.count} | score(bench, trial, begin, begin)]
    reference: Outcome | None = None
    for key, method in methods.items():
        row, outcome = run_method(bench, key, method, trial, options)
        if outcome is not None:
            if key.startswith("ours12"):
                outcome = with_full_cost(trial.first(len(outcome.cost)), outcome)
            row |= score(bench, trial, outcome, begin)
            if key.startswith("ours"):
                reference = reference or (outcome if len(outcome.cost) == trial.count else None)
            elif reference is not None:
                own = reference.cost[: len(outcome.cost)]
                row |= {"cost_of_ours": float(own.mean()), "ours_lower": float((own < outcome.cost).float().mean())}
        if not options.no_memory:
            row["memory_bytes_per_person"] = memory_of(bench, key, method, trial, options)
        row["key"] = key
        rows.append(row)
        print(f"{row['method']}, batch {row['batch']}: {1e3 * row['seconds_per_person']:.1f} ms", file=sys.stderr)
    add_ratios(rows)
    return rows


def add_ratios(rows: list[Row]) -> None:
    """How many times faster each row is than (a) the tracker's schedule and (b) tuned AdamW on the sparse forward."""
    for column, key in (("speedup_tracker", "tracker"), ("speedup_tuned", "tuned-sparse")):
        slow = next((row["seconds_per_person"] for row in rows if row.get("key") == key), None)
        for row in rows:
            if slow is not None and "seconds_per_person" in row:
                row[column] = slow / row["seconds_per_person"]


def memory_of(bench: Bench, key: str, method: Method, trial: Trial, options: argparse.Namespace) -> float:
    """Peak memory a person of one batch, in bytes; on a CPU a fresh process measures it."""
    if options.device != "cpu":
        part = trial.first(method.batch)
        grown = peak_growth_bytes(lambda: method.run_all(bench, part, _WARM_UP_STEPS), torch.device(options.device))
        return grown / part.count
    command = [
        sys.executable, "-m", "benchmarks.refine", "--memory-of", key, "--methods", key, "--people", str(trial.count),
        "--batch", *map(str, options.batch), "--baseline-batch", str(options.baseline_batch),
        "--start", options.start, "--seed", str(options.seed), "--fusion", bench.ehms.assets.fusion,
    ]  # fmt: skip
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def measure_memory(options: argparse.Namespace) -> float:
    """The fresh process of `memory_of`: bytes a person."""
    device = torch.device("cpu")
    bench = load_bench(device, options.fusion[0])
    method = (ours(options.batch) | baselines(options.baseline_batch))[options.memory_of]
    count = min(method.batch, options.people)
    trial = make_trial(bench.body, count, seed=options.seed, people=STARTS[options.start])
    method.run_all(bench, trial.first(1), _WARM_UP_STEPS)
    return peak_growth_bytes(lambda: method.run_all(bench, trial, _WARM_UP_STEPS), device) / count


def ablate(bench: Bench, options: argparse.Namespace) -> list[Row]:
    """Rows of the refinement with one thing changed."""
    rows = []
    key, method = next(iter(ours(options.batch).items()))
    for name, change in ablations().items():
        trial = make_trial(
            bench.body,
            options.people,
            seed=options.seed,
            people=change.people(STARTS[options.start]),
            config=change.config,
            focal_factor=change.focal_factor,
        )
        begin = outcome_of(trial, trial.start)
        row, outcome = run_method(bench, key, method, trial, argparse.Namespace(**vars(options) | {"repeats": 1}))
        assert outcome is not None
        rows.append(row | score(bench, trial, outcome, begin) | {"method": name})
        print(name, file=sys.stderr)
    return rows


def report(rows: list[Row], options: argparse.Namespace) -> str:
    """What was run and where, and the tables, as Markdown to paste into docs/benchmarks/fitting.md."""
    place = "one core, one thread" if options.threads == 1 else f"{options.threads} threads"
    if options.device != "cpu":
        place = torch.cuda.get_device_name(torch.device(options.device))
    kind = "ablations" if options.ablate else "methods"
    head = (
        f"{datetime.date.today().isoformat()}, {platform.machine()}, {place}, torch {torch.__version__}; {kind}, "
        f"start `{options.start}`, seed {options.seed}."
    )
    tables = [ERRORS] if options.ablate else [SPEED, ERRORS]
    return "\n\n".join([head, *(markdown(rows, columns) for columns in tables)]) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Runs the program."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    if options.memory_of:
        print(measure_memory(options))
        return
    methods, rows = choose(options), []
    for fusion in options.fusion:
        bench = load_bench(torch.device(options.device), fusion)
        if options.ablate:
            found = ablate(bench, options)
        else:
            trial = make_trial(bench.body, options.people, seed=options.seed, people=STARTS[options.start])
            found = compare(bench, methods, trial, options)
        if fusion != "blended":
            found = [row | {"method": f"{row['method']}, fusion {fusion}"} for row in found]
        rows += found
    text = report(rows, options)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.with_suffix(".md").write_text(text, encoding="utf-8")
        settings = {name: str(value) for name, value in vars(options).items()}
        document = {"torch": torch.__version__, "options": settings, "rows": rows}
        options.out.with_suffix(".json").write_text(json.dumps(document, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
