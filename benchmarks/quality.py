"""What the quality score and the stated uncertainties are worth, on people with known truth.

    python -m benchmarks.quality                 the tables of docs/benchmarks/quality.md, some five minutes
    python -m benchmarks.quality --people 96     faster, coarser
    python -m benchmarks.quality --demo .        the people of a finished `make demo` too, in its folder
    python -m benchmarks.quality --rendered 120  as many rendered people of the same seed too, some ten minutes

Four tables. Ranking of bodies: rank correlation with the true PA-MPJPE of the quality score, and of the error that the
model itself expects; the limit is the correlation that the model's expectation would have if the model were exactly
right, for errors differ by luck even where the expectation is the same. Stated uncertainty: error over stated sigma,
root mean square; 1 is right, more is overconfident. Parts by crop: rank correlation of the quality of each part with
its true error, over people of many kinds, and over all crops together. Rendered people: the same of people
whom the default estimators annotated, for the parts that their labels call valid.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.part_errors import (
    CROPS,
    KINDS,
    NUM_MIXES,
    Array,
    PartErrors,
    auc,
    in_crops,
    part_errors,
    rank_correlation,
)
from benchmarks.rendered_people import annotated, in_labels
from benchmarks.synthetic_people import SyntheticPeople
from datasets_manifest.schema.labels import PART_NAMES
from fitting import so3
from fitting.inputs import Observations
from fitting.quality import CALIBRATIONS
from fitting.refine import RefineResult, refine
from fitting.sparse_body import SparseBody
from model.body import skeleton
from model.body.assets import load_open_body

BAD_MM = 60.0
"""PA-MPJPE from which on a person counts as bad."""
_LUCK_DRAWS = 20
_JOINT_GROUPS = {
    "hips, spine": (*skeleton.HIPS, *skeleton.SPINE),
    "knees, ankles, feet": (*skeleton.KNEES, *skeleton.ANKLES, *skeleton.FOOT_JOINTS),
    "neck, head": (skeleton.NECK, skeleton.HEAD),
    "collars, shoulders": (*skeleton.COLLARS, *skeleton.SHOULDERS),
    "elbows, wrists": (*skeleton.ELBOWS, *skeleton.WRISTS),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """Refined people with their true errors."""

    error_mm: Array
    """(B,) PA-MPJPE."""
    expected_mm: Array
    """(B,) calibrated expectation; quality falls with it."""
    model_mm: Array
    """(B,) what the model itself expects."""
    spread_mm: Array
    """(B,) how far the model expects the error to differ from that by luck."""
    z_square: dict[str, Array]
    """(B,) mean square of error over stated sigma, by part."""


def precision_at(score: Array, error: Array, share: float) -> float:
    """Share of the people kept by the lowest scores that are among the people of the lowest errors."""
    count = max(1, round(share * len(score)))
    return len(set(np.argsort(score)[:count]) & set(np.argsort(error)[:count])) / count


def limit_of(model_mm: Array, spread_mm: Array, seed: int = 0) -> float:
    """Rank correlation of the model's expectation with errors drawn from the model itself."""
    rng = np.random.default_rng(seed)
    draws = model_mm * np.exp(rng.normal(0, 1, (_LUCK_DRAWS, len(model_mm))) * spread_mm / model_mm)
    return float(np.mean([rank_correlation(model_mm, draw) for draw in draws]))


def score(body: SparseBody, people: SyntheticPeople, observations: Observations) -> Scored:
    """Refines people and compares with their truth."""
    result = refine(body, observations, people.coarse, people.camera)
    spread, found = result.uncertainty, part_errors(body, people.truth, result)

    def numpy(values: Tensor) -> Array:
        return values.double().numpy()

    return Scored(
        error_mm=found.error_mm[:, 0],
        expected_mm=found.expected_mm[:, 0],
        model_mm=numpy(spread.pa_mpjpe_mm),
        spread_mm=numpy(spread.pa_mpjpe_spread_mm),
        z_square={name: numpy(values) for name, values in _z_square(body, people, result).items()},
    )


def _z_square(body: SparseBody, people: SyntheticPeople, result: RefineResult) -> dict[str, Tensor]:
    """Mean square (B,) of error over stated sigma, by part."""
    truth, found, spread = people.truth, result.parameters, result.uncertainty
    turn = so3.log(found.body_pose.transpose(-1, -2) @ truth.body_pose).square().mean(-1)
    root = so3.log(found.global_orient.transpose(-1, -2) @ truth.global_orient).square().mean(-1)
    joints = torch.cat([root[:, None], turn], 1) / spread.joint_sigma_rad.square()
    hands = body.hand_coordinates(torch.stack([found.left_hand_pose, found.right_hand_pose], 1))
    depth = found.known("transl_m")[:, 2].log() - truth.position[:, 2]
    head = (found.head_scale.log() - truth.log_head_scale).square().mean(1)
    return {
        "root": joints[:, skeleton.PELVIS],
        **{group: joints[:, rows].mean(1) for group, rows in _JOINT_GROUPS.items()},
        "fingers": ((hands - truth.hand_pca).square().mean(2) / spread.hand_sigma_rad.square()).mean(1),
        "log depth": (depth / spread.log_depth_sigma).square(),
        "log head scale": head / spread.log_head_scale_sigma.square(),
    }


def together(parts: list[Scored]) -> Scored:
    """Several sets as one."""
    return Scored(
        error_mm=np.concatenate([part.error_mm for part in parts]),
        expected_mm=np.concatenate([part.expected_mm for part in parts]),
        model_mm=np.concatenate([part.model_mm for part in parts]),
        spread_mm=np.concatenate([part.spread_mm for part in parts]),
        z_square={name: np.concatenate([part.z_square[name] for part in parts]) for name in parts[0].z_square},
    )


def ranking_row(name: str, scored: Scored) -> str:
    """One line of the first table."""
    error, expected = scored.error_mm, scored.expected_mm
    best = error[np.argsort(expected)[: len(error) // 2]].mean()
    cells = [
        name,
        f"{len(error)}",
        f"{error.mean():.1f}",
        f"{expected.mean():.1f} / {scored.model_mm.mean():.1f}",
        f"{rank_correlation(expected, error):.2f}",
        f"{rank_correlation(scored.model_mm, error):.2f}",
        f"{limit_of(scored.model_mm, scored.spread_mm):.2f}",
        f"{auc(expected, error > BAD_MM):.2f} ({100 * (error > BAD_MM).mean():.0f} %)",
        f"{precision_at(expected, error, 0.5):.2f} / {precision_at(expected, error, 0.8):.2f}",
        f"{best:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def part_rows(crop: str, found: PartErrors, is_valid: NDArray[np.bool_] | None = None) -> list[str]:
    """Lines of the table of parts, one a part; of those (B, 4) that are valid."""
    rows = []
    for k, part in enumerate(PART_NAMES):
        own = slice(None) if is_valid is None else is_valid[:, k]
        error, quality, expected = found.error_mm[own, k], found.quality[own, k], found.expected_mm[own, k]
        half = CALIBRATIONS[k].half_mm
        is_bad = error > half
        cells = [
            crop,
            part.replace("_", " "),
            f"{len(error)}",
            f"{np.median(error):.1f} / {np.median(expected):.1f}",
            f"{np.median(quality):.2f}",
            f"{rank_correlation(quality, error):.2f}",
            f"{auc(-quality, is_bad):.2f} ({half:.0f} mm, {100 * is_bad.mean():.0f} %)",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def table(head: list[str], rows: list[str]) -> str:
    """Markdown."""
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *rows])


def main(arguments: list[str] | None = None) -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=288, help="people of each kind")
    parser.add_argument("--seed", type=int, default=77, help="seed of the people; those of CALIBRATION have 0")
    parser.add_argument("--demo", type=Path, help="folder of a finished `make demo`")
    parser.add_argument("--rendered", type=int, default=0, help="rendered people")
    parser.add_argument("--folder", type=Path, default=Path("work/quality"), help="where these are kept, by their seed")
    options = parser.parse_args(arguments)
    if options.people < 2 * NUM_MIXES:
        parser.error(f"--people must be at least {2 * NUM_MIXES}, got {options.people}")
    torch.set_num_threads(1)
    body = SparseBody.from_assets(load_open_body())
    scored = {
        name: together([score(body, *people) for people in kind(body, options.people, options.seed)])
        for name, kind in KINDS.items()
    }
    head = ["people", "number", "PA-MPJPE mm", "expected / by the model", "quality", "model alone", "limit"]
    head += [f"AUC > {BAD_MM:.0f} mm (share)", "precision, best 50 / 80 %", "PA of the best half"]
    print(table(head, [ranking_row(name, part) for name, part in scored.items()]))
    print()
    names = ["one kind", "upper bodies", "many kinds"]
    parts = scored["one kind"].z_square
    rows = [
        "| " + " | ".join([part, *(f"{np.sqrt(scored[name].z_square[part].mean()):.2f}" for name in names)]) + " |"
        for part in parts
    ]
    print(table(["error / stated sigma", *names], rows))
    print()
    crops = {crop: in_crops(body, crop, options.people, options.seed) for crop in CROPS}
    crops["all crops"] = PartErrors.joined(list(crops.values()))
    head = ["crop", "part", "number", "error / expected mm", "quality", "rank correlation", "AUC (above, share)"]
    print(table(head, [row for crop, found in crops.items() for row in part_rows(crop, found)]))
    rows = [] if options.demo is None else part_rows("rendered", *in_labels(options.demo, "demo_people"))
    if options.rendered:
        folder = options.folder / f"{options.seed}"
        rows += part_rows(f"seed {options.seed}", *annotated(folder, options.rendered, options.seed))
    if rows:
        print()
        print(table(head, rows))


if __name__ == "__main__":
    main()
