"""Several calibrated cameras, and points in 3D, against what is done without: each view alone, averaged, triangulated.

    python -m benchmarks.views                          the tables of docs/benchmarks/views.md
    python -m benchmarks.views --people 16 --seeds 0    a check of the program
    python -m benchmarks.views --cases rig wrong        some of the tables

People are those of `benchmarks.rig_people`, each before a ring of cameras of its own. Errors are those of the first row
of each moment that belongs to the person, in the frame of its camera. Processor time, one thread.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.rig_people import disturbed, make_rig_people, other_person
from benchmarks.table import METHOD, Column, Row, markdown
from benchmarks.view_methods import MEASURES, Bench, by_rig, each_alone, triangulated_first, with_3d
from fitting.rigs.settings import RigConfig
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body


def spread(name: str) -> Callable[[Row], str]:
    """Mean and standard deviation of a measure."""

    def text(row: Row) -> str:
        form = "{:.3f} ± {:.3f}" if name == "head_scale" else "{:.3g} ± {:.2g}"
        return form.format(float(np.mean(row[name])), float(np.std(row[name])))

    return text


COLUMNS = (
    METHOD,
    *(Column(title=title, text=spread(name)) for name, title in MEASURES.items()),
    Column(title="ms a person", text=lambda row: f"{np.mean(row['ms']):.1f}"),
    Column(title="note", text=lambda row: str(row.get("note", ""))),
)


def merged(rows: list[Row]) -> Row:
    """Rows of the same method of several seeds as one."""
    measures = (*MEASURES, "ms")
    return rows[0] | {name: np.concatenate([row[name] for row in rows]) for name in measures} | _notes(rows)


def _notes(rows: list[Row]) -> Row:
    shares = [row["dropped"] for row in rows if "dropped" in row]
    if not shares:
        return {}
    wrong, right = np.mean(shares, 0)
    said = "" if np.isnan(wrong) else f"wrong views dropped {100 * wrong:.0f} %, "
    return {"note": f"{said}right views dropped {100 * right:.1f} %"}


def rig_cases(bench: Bench) -> list[Row]:
    """More and more cameras."""
    rows = []
    for num_views, arc in ((1, 360), (2, 20), (2, 90), (3, 360), (4, 360), (8, 360), (15, 360)):
        people = make_rig_people(bench.body, bench.people, num_views, seed=bench.seed, arc_deg=arc)
        rows.append(by_rig(bench, f"{num_views} views, arc {arc}", people))
    return rows


def baseline_cases(bench: Bench) -> list[Row]:
    """Four views without a joint fit."""
    people = make_rig_people(bench.body, bench.people, 4, seed=bench.seed)
    return [
        each_alone(bench, "each of 4 views alone", people, shared=False, averaged=False),
        each_alone(bench, "mean of 4 views alone", people, shared=False, averaged=True),
        each_alone(bench, "each of 4 views, shape shared", people, shared=True, averaged=False),
        each_alone(bench, "mean of 4 views, shape shared", people, shared=True, averaged=True),
        triangulated_first(bench, "4 views triangulated first", people),
        by_rig(bench, "4 views in one fit", people),
    ]


def calibration_cases(bench: Bench) -> list[Row]:
    """Cameras that are not where they are said to be; the first of each rig is."""
    people, rows = make_rig_people(bench.body, bench.people, 4, seed=bench.seed), []
    for off_deg, off_m in ((0.0, 0.0), (0.25, 0.005), (0.5, 0.01), (1.0, 0.02)):
        name = f"4 views, off by {off_deg} degrees and {100 * off_m:.1f} cm"
        rows.append(by_rig(bench, name, people, rig=disturbed(people.rig, off_deg, off_m)))
    persons, frames = max(1, bench.people // 24), 40
    clips = make_rig_people(bench.body, persons, 4, seed=bench.seed, frames=frames)
    index = torch.arange(persons).repeat_interleave(4 * frames)
    off = disturbed(clips.rig, 0.5, 0.01)
    config = RigConfig(rotation_sigma_deg=0.3, refine_extrinsics=True)
    return [
        *rows,
        by_rig(bench, "40 frames, the true rig", clips, person_index=index),
        by_rig(bench, "40 frames, off by 0.5 degrees and 1 cm", clips, rig=off, person_index=index),
        by_rig(bench, "the same, extrinsics refined", clips, rig=off, config=config, person_index=index),
        by_rig(bench, "the same, frames of people of their own", clips, rig=off, config=config),
    ]


def wrong_cases(bench: Bench) -> list[Row]:
    """Views of another person."""
    rows = []
    for num_views, wrong in ((3, ()), (3, (2,)), (4, (3,)), (4, (0,)), (4, (1, 2)), (8, (0,)), (2, ()), (2, (1,))):
        arc = 90.0 if num_views == 2 else 360.0
        people = make_rig_people(bench.body, bench.people, num_views, seed=bench.seed, arc_deg=arc)
        for view in wrong:
            people = other_person(people, num_views, view)
        which = f"{' and '.join(map(str, wrong))} of another person" if wrong else "all right"
        rows.append(by_rig(bench, f"{num_views} views, {which}", people, wrong=wrong))
    return rows


def point_cases(bench: Bench) -> list[Row]:
    """Points known in 3D."""
    people = make_rig_people(bench.body, bench.people, 1, seed=bench.seed)
    kinds = {"17 body points": slice(0, 17), "23 with feet": slice(0, 23), "all 133": slice(0, 133), "22 joints": None}
    return [
        with_3d(bench, f"{name}, {100 * sigma:.0f} cm, {with_image} an image", people, points, sigma, image=image)
        for sigma in (0.01, 0.02)
        for name, points in kinds.items()
        for with_image, image in (("with", True), ("without", False))
    ]


CASES: dict[str, Callable[[Bench], list[Row]]] = {
    "rig": rig_cases,
    "baseline": baseline_cases,
    "calibration": calibration_cases,
    "wrong": wrong_cases,
    "points": point_cases,
}


def main(arguments: list[str] | None = None) -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=96, help="of each case and seed; frames are of a 24th as many")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    body = SparseBody.from_assets(load_open_body())
    print(f"{options.people} people of each seed {options.seeds}; mean ± standard deviation over people.\n")
    for case in options.cases:
        found = [CASES[case](Bench(body=body, people=options.people, seed=seed)) for seed in options.seeds]
        rows = [merged(list(same)) for same in zip(*found, strict=True)]
        print(f"**{case}**\n\n{markdown(rows, COLUMNS)}\n", flush=True)


if __name__ == "__main__":
    main()
