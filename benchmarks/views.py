"""Several cameras, points in 3D, frames of videos and who is who in them, against what is done without.

    python -m benchmarks.views                          the tables of docs/benchmarks/views.md
    python -m benchmarks.views --people 8 --clips 1 --seeds 0    a check of the program
    python -m benchmarks.views --cases rig motion       some of the tables

Without, that is: each view alone, and averaged, and points triangulated first (`benchmarks.view_cases`); frames alone,
one shape, smoothing and interpolation (`benchmarks.clip_cases`); greedy overlap of boxes (`benchmarks.track_cases`). No
setting was chosen on people of the default seeds. Processor time, one thread.
"""

import argparse
from collections.abc import Callable

import torch

from benchmarks import (
    clip_cases,
    clip_memory,
    crossing_cases,
    joining_cases,
    relative_points,
    track_cases,
    view_cases,
)
from benchmarks.cases import Bench, merged
from benchmarks.table import Column, Row, markdown
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body

CASES: dict[str, tuple[Callable[[Bench], list[Row]], tuple[Column, ...]]] = {
    **view_cases.CASES,
    **relative_points.CASES,
    **clip_cases.CASES,
    **clip_memory.CASES,
    **track_cases.CASES,
    **crossing_cases.CASES,
    **joining_cases.CASES,
}


def main(arguments: list[str] | None = None) -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=96, help="of each case and seed; frames are of a 24th as many")
    parser.add_argument(
        "--clips", type=int, default=4, help="of each case and seed; scenes of tracks are twice as many"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11])
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    body = SparseBody.from_assets(load_open_body())
    print(
        f"{options.people} people and {options.clips} clips of each seed {options.seeds}; mean ± standard deviation.\n"
    )
    for case in options.cases:
        rows_of, columns = CASES[case]
        benches = [Bench(body=body, people=options.people, clips=options.clips, seed=seed) for seed in options.seeds]
        rows = [merged(list(same)) for same in zip(*map(rows_of, benches), strict=True)]
        print(f"**{case}**\n\n{markdown(rows, columns)}\n", flush=True)


if __name__ == "__main__":
    main()
