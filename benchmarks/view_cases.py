"""Several calibrated cameras, and points in 3D, against each view alone, averaged, and triangulated first.

People are those of `benchmarks.rig_people`, each before a ring of cameras of its own. Errors are those of the first row
of each moment that belongs to the person, in the frame of its camera.
"""

import numpy as np
import torch

from benchmarks.cases import ERRORS, Bench, mean
from benchmarks.rig_people import disturbed, make_rig_people, other_person
from benchmarks.table import Column, Row
from benchmarks.view_methods import by_rig, each_alone, triangulated_first, with_3d
from fitting.rigs.settings import RigConfig


def _note(row: Row) -> str:
    """How many views were not fitted with the others."""
    wrong, right = (row.get(name, np.empty(0)) for name in ("wrong_dropped", "right_dropped"))
    said = [f"wrong views dropped {100 * np.mean(wrong):.0f} %"] if len(wrong) else []
    return ", ".join(said + ([f"right views dropped {100 * np.mean(right):.1f} %"] if len(right) else []))


COLUMNS = (
    *ERRORS,
    Column(title="ms a person", text=mean("ms", "{:.1f}")),
    Column(title="note", text=_note),
)


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


CASES = {
    "rig": (rig_cases, COLUMNS),
    "baseline": (baseline_cases, COLUMNS),
    "calibration": (calibration_cases, COLUMNS),
    "wrong": (wrong_cases, COLUMNS),
    "points": (point_cases, COLUMNS),
}
