"""What is accepted of parts that are wrong, and of parts that are right, on synthetic people.

    python -m benchmarks.validity            the table of docs/benchmarks/fitting.md, some two minutes on one core

Wrong parts are what detectors and annotators make: a hand on one spot, the other hand's points, a face too
large, a body half of which is somebody else's. Rows of good people are the other side: what the limits cost.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor

from benchmarks.synthetic_people import HARD_START, StudyConfig, SyntheticPeople, make_people
from benchmarks.table import Column, Row, markdown, number
from fitting.refine import RefineResult, refine
from fitting.reprojection import PART_POINTS
from fitting.sparse_body import SparseBody
from model.body import skeleton
from model.body.assets import load_open_body

BODY, LEFT, RIGHT, FACE = range(4)
_TORSO_SHIFT = 0.67
"""Of the height: how far the torso of a composition lies from its limbs."""
_LEGS = [slice(skeleton.KEYPOINT_NAMES.index("left_hip"), skeleton.BODY_AND_FEET.stop)]
_UPPER = [slice(0, _LEGS[0].start), *skeleton.HANDS_AND_FACE]
Change: TypeAlias = Callable[[Tensor, SyntheticPeople], None]
"""Changes keypoints (B, 133, 2) in place."""


def collapsed(noise_px: float) -> Change:
    """The left hand on one spot, with noise for a person 512 px tall."""

    def change(keypoints: Tensor, people: SyntheticPeople) -> None:
        noise = torch.randn(len(keypoints), 21, 2, generator=torch.Generator().manual_seed(0))
        spot = keypoints[:, skeleton.LEFT_HAND.start, None]
        keypoints[:, skeleton.LEFT_HAND] = spot + noise_px * noise * (people.height_px / 512)[:, None, None]

    return change


def stolen(keypoints: Tensor, people: SyntheticPeople) -> None:
    """The left hand at the points of the right one."""
    keypoints[:, skeleton.LEFT_HAND] = people.observations.keypoints_px[:, skeleton.RIGHT_HAND]


def swapped(keypoints: Tensor, people: SyntheticPeople) -> None:
    """Both hands at the points of the other one."""
    stolen(keypoints, people)
    keypoints[:, skeleton.RIGHT_HAND] = people.observations.keypoints_px[:, skeleton.LEFT_HAND]


def scaled_face(factor: float) -> Change:
    """The face larger about its middle."""

    def change(keypoints: Tensor, people: SyntheticPeople) -> None:
        middle = people.clean_px[:, skeleton.FACE].mean(1, keepdim=True)
        keypoints[:, skeleton.FACE] = middle + factor * (keypoints[:, skeleton.FACE] - middle)

    return change


def others_half(points: list[slice], shift: float) -> Change:
    """Some keypoints of somebody beside the person, by a share of the height."""

    def change(keypoints: Tensor, people: SyntheticPeople) -> None:
        for part in points:
            keypoints[:, part, 0] += shift * people.height_px[:, None]

    return change


def torso_off(keypoints: Tensor, people: SyntheticPeople) -> None:
    """Shoulders and hips far from where the limbs are."""
    keypoints[:, [5, 6, 11, 12]] += _TORSO_SHIFT * people.height_px[:, None, None] / 2**0.5


WRONG: dict[str, tuple[Change, tuple[int, ...]]] = {
    "hand on one pixel": (collapsed(0.0), (LEFT,)),
    "hand on one spot, 1 px noise": (collapsed(1.0), (LEFT,)),
    "hand on one spot, 3 px noise": (collapsed(3.0), (LEFT,)),
    "the other hand's points": (stolen, (LEFT,)),
    "hands swapped": (swapped, (LEFT, RIGHT)),
    "face 2.2 times as large": (scaled_face(2.2), (FACE,)),
    "somebody else's legs": (others_half(_LEGS, 0.6), (BODY,)),
    "somebody else's legs, near": (others_half(_LEGS, 0.3), (BODY,)),
    "somebody else's upper half": (others_half(_UPPER, 0.6), (BODY,)),
    "torso off the limbs": (torso_off, (BODY,)),
}
"""What is wrong, and with which parts."""
COLUMNS = (
    Column(title="people", text=lambda row: str(row["people"])),
    Column(title="parts", text=lambda row: str(row["parts"])),
    Column(title="number", text=number("number", "{:d}", 1)),
    Column(title="accepted %", text=number("accepted", "{:.1f}", 100)),
    Column(title="error of the accepted, px at 512", text=number("error_px")),
)
_NAMES = ("body", "left hand", "right hand", "face")


def row_of(name: str, people: SyntheticPeople, result: RefineResult, parts: tuple[int, ...]) -> Row:
    """What was accepted of some parts, and how far it is from the truth."""
    valid = result.part_valid[:, parts]
    error = (result.keypoints_px - people.clean_px).norm(dim=-1) * (512 / people.height_px)[:, None]
    by_part = torch.stack([error[:, PART_POINTS[part]].mean(1) for part in parts], 1)
    return {
        "people": name,
        "parts": " and ".join(_NAMES[part] for part in parts),
        "number": valid.numel(),
        "accepted": valid.double().mean().item(),
        "error_px": by_part[valid].mean().item() if valid.any() else None,
    }


def good_rows(body: SparseBody, count: int, seed: int, name: str, config: StudyConfig) -> list[Row]:
    """Bodies, hands and faces of people with nothing wrong but the usual noise, gaps and outliers."""
    people = make_people(body, count, seed, config)
    result = refine(body, people.observations, people.coarse, people.camera)
    return [row_of(name, people, result, parts) for parts in ((BODY,), (LEFT, RIGHT), (FACE,))]


def wrong_row(body: SparseBody, count: int, seed: int, name: str) -> Row:
    """What is accepted of parts that are wrong in one way."""
    change, parts = WRONG[name]
    people = make_people(body, count, seed)
    keypoints = people.observations.keypoints_px.clone()
    change(keypoints, people)
    seen = replace(people.observations, keypoints_px=keypoints)
    return row_of(name, people, refine(body, seen, people.coarse, people.camera), parts)


def main(arguments: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=256, help="people of each kind")
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    body = SparseBody.from_assets(load_open_body())
    kinds = {"good": StudyConfig(), "good, estimates that failed": HARD_START}
    rows = [row for name, kind in kinds.items() for row in good_rows(body, options.people, options.seed, name, kind)]
    rows += [wrong_row(body, options.people, options.seed, name) for name in WRONG]
    print(markdown(rows, COLUMNS))


if __name__ == "__main__":
    main()
