"""Crops a second of the official estimators, in the batches of a shard and in a loop over people, with random weights.

    python -m benchmarks.estimators                                    all parts, tiny networks: a check of the program
    python -m benchmarks.estimators --size published --parts prohmr teaser smirk
    python -m benchmarks.estimators --size published --parts hamer --photos 2 --people 1
    python -m benchmarks.estimators --size published --device cuda --half --photos 64 --people 4 --batch 64

The files of the networks go to a temporary folder, or to --folder, where a later run finds them: 0.2 GB for ProHMR,
2.7 GB each for HMR2 and HaMeR. What each column means is in docs/benchmarks/estimators.md.
"""

import argparse
import dataclasses
import datetime
import gc
import json
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.estimator_parts import PARTS, Part, Run, Settings, Shard, Who, make_shard
from benchmarks.measure import peak_growth_bytes, timed
from benchmarks.network_clock import network_clock
from benchmarks.network_files import SIZES
from benchmarks.table import Column, Row, markdown, number, pair
from model.estimators.base import Array

SPEED = (
    Column(title="network", text=lambda row: str(row["network"])),
    Column(title="crops", text=number("crops", "{:d}", 1)),
    Column(title="batch", text=number("batch", "{:d}", 1)),
    Column(title="ms a crop", text=number("seconds_per_crop", "{:.1f}", 1e3)),
    Column(title="crops/s", text=number("crops_per_second", "{:.3g}")),
    Column(title="loop crops/s", text=number("loop_crops_per_second", "{:.3g}")),
    Column(title="x loop", text=number("speedup", "{:.2f}")),
    Column(title="outside %", text=number("outside", "{:.1f}", 100)),
    Column(title="network waits %", text=number("waits", "{:.1f}", 100)),
    Column(title="loop outside %", text=number("loop_outside", "{:.1f}", 100)),
    Column(title="memory MB half / all", text=pair("half_bytes", "all_bytes", "{:.0f} / {:.0f}", 1e-6)),
)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--size", choices=SIZES, default="tiny", help="of the networks whose size a file decides")
    parser.add_argument("--photos", type=int, default=16, help="photos of the shard")
    parser.add_argument("--people", type=int, default=2, help="people on each")
    parser.add_argument("--photo-size", type=int, nargs=2, default=[640, 480], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--loop", type=int, default=16, help="people for the loop, the first of them")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--half", action="store_true", help="half precision of the torch networks' backbones")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-memory", action="store_true", help="do not measure memory, which runs all twice more")
    parser.add_argument("--folder", type=Path, help="keep the network files here")
    parser.add_argument("--out", type=Path, help="write PATH.json and PATH.md")
    options = parser.parse_args(arguments)
    if min(options.photos, options.people, options.loop, options.batch, options.threads, *options.photo_size) < 1:
        parser.error("numbers of photos, people, threads and the batch must be at least 1")
    return options


def decoded(shard: Shard, who: Sequence[Who]) -> dict[int, Array]:
    """Photos of some people, each decoded once."""
    return {photo: shard.decode(photo) for photo in sorted({photo for photo, _ in who})}


def in_batches(run: Run, shard: Shard, who: Sequence[Who]) -> None:
    """The way of the pipeline: photos decoded once, all people handed over together."""
    run(shard, decoded(shard, who), who)


def in_a_loop(run: Run, shard: Shard, who: Sequence[Who]) -> None:
    """The way of the publishers' scripts: for each person decode, cut, one forward pass of one crop."""
    for one in who:
        run(shard, {one[0]: shard.decode(one[0])}, [one])


def measure(way, run: Run, shard: Shard, who: Sequence[Who], options: argparse.Namespace) -> Row:
    """Seconds of a way, and the shares of them outside networks."""
    device = torch.device(options.device)
    way(run, shard, who[: options.batch] if way is in_batches else who[:1])  # Whole batches first: memory is kept.
    with network_clock(device) as clock:
        begin = time.perf_counter()
        _, seconds = timed(lambda: way(run, shard, who), device)
        elapsed = time.perf_counter() - begin
    # With one thread, processor time tells what the work costs; else only the clock on the wall is the same for both.
    is_processor = device.type == "cpu" and options.threads == 1
    if not is_processor:
        seconds = elapsed
    inside = clock.processor if is_processor else clock.elapsed
    return {
        "seconds": seconds,
        "outside": max(0.0, 1 - inside / seconds),
        "waits": max(0.0, 1 - clock.elapsed / elapsed),
    }


def benchmark(part: Part, shard: Shard, settings: Settings, options: argparse.Namespace) -> Row:
    """One row of the table."""
    everybody, few = shard.people, shard.people[: options.loop]
    if part.crops_per_person == 0:
        few = [(photo, person) for photo, person in few if person == 0]
    # One copy of the network at a time: first the loop, then the batches.
    run = part.build(dataclasses.replace(settings, batch=1))
    loop = measure(in_a_loop, run, shard, few, options)
    del run
    gc.collect()
    run = part.build(settings)
    whole = measure(in_batches, run, shard, everybody, options)
    crops, loop_crops = part.num_crops(everybody), part.num_crops(few)
    row: Row = {
        "network": part.label,
        "crops": crops,
        "batch": settings.batch,
        "seconds_per_crop": whole["seconds"] / crops,
        "crops_per_second": crops / whole["seconds"],
        "loop_crops_per_second": loop_crops / loop["seconds"],
        "speedup": crops / whole["seconds"] * loop["seconds"] / loop_crops,
        "outside": whole["outside"],
        "waits": whole["waits"],
        "loop_outside": loop["outside"],
    }
    if not options.no_memory:
        device = torch.device(options.device)
        for name, who in (("half_bytes", everybody[: len(everybody) // 2]), ("all_bytes", everybody)):
            photos = decoded(shard, who)
            row[name] = peak_growth_bytes(lambda: run(shard, photos, who), device)  # noqa: B023
    return row


def report(rows: list[Row], skipped: dict[str, str], options: argparse.Namespace) -> str:
    """What was run and where, and the table, as Markdown to paste into docs/benchmarks/estimators.md."""
    place = "one core, one thread" if options.threads == 1 else f"{options.threads} threads"
    if options.device != "cpu":
        place = torch.cuda.get_device_name(torch.device(options.device))
    width, height = options.photo_size
    head = (
        f"{datetime.date.today().isoformat()}, {platform.machine()}, {place}, torch {torch.__version__}; "
        f"{options.size} size, random weights{', half precision' if options.half else ''}; "
        f"{options.photos} photos of {width} x {height}, {options.people} people each."
    )
    said = [f"{PARTS[name].label}: {problem}" for name, problem in skipped.items()]
    return "\n\n".join([head, markdown(rows, SPEED), *said]) + "\n"


def main(arguments: list[str] | None = None) -> list[Row]:
    """Runs the program; returns the rows."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    shard = make_shard(options.photos, options.people, tuple(options.photo_size))
    skipped = {name: problem for name in options.parts if (problem := PARTS[name].problem) is not None}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="networks-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        settings = Settings(
            folder=folder,
            size=options.size,
            device=options.device,
            batch=options.batch,
            half=options.half,
            threads=options.threads,
        )
        for name in options.parts:
            if name not in skipped:
                rows.append(benchmark(PARTS[name], shard, settings, options))
                gc.collect()
                print(f"{name}: {1e3 * rows[-1]['seconds_per_crop']:.1f} ms a crop", file=sys.stderr)
    text = report(rows, skipped, options)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.with_suffix(".md").write_text(text, encoding="utf-8")
        said = {name: str(value) for name, value in vars(options).items()}
        document = {"torch": torch.__version__, "options": said, "rows": rows, "skipped": skipped}
        options.out.with_suffix(".json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    return rows


if __name__ == "__main__":
    main()
