"""Fits the numbers of `fitting.quality` for hands and face to people with known truth, and prints them.

    python -m benchmarks.quality_fit             some four minutes on one core

The expected error of a part is a base and a sum of figures, none with a negative weight, of least squared error over
the true error: a part that is off by 2 mm instead of 1 counts as much as one that is off by 20 instead of 10.
"""

import argparse

import numpy as np
import torch
from scipy.optimize import nnls

from benchmarks.part_errors import CROPS, Array, PartErrors, in_crops, rank_correlation
from fitting.quality import FACE, HAND, Calibration
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body

_LEAST_MM = 1.0
"""Added to the true error before an error is divided by it."""


def fitted(calibration: Calibration, figures: list[dict[str, Array]], errors_mm: list[Array]) -> Calibration:
    """The calibration with another base and other weights; a figure of weight 0 is left out."""
    error = np.concatenate(errors_mm)
    names = list(figures[0])
    columns = [np.concatenate([own[name] for own in figures]) for name in names]
    matrix = np.column_stack([np.ones_like(error), *columns])
    known = np.isfinite(matrix).all(1)
    scale = 1 / (error[known] + _LEAST_MM)
    base, *weights = nnls(matrix[known] * scale[:, None], error[known] * scale)[0]
    return Calibration(
        base_mm=round(float(base), 2),
        weights_mm={name: round(float(own), 2) for name, own in zip(names, weights, strict=True) if own >= 0.01},
        half_mm=calibration.half_mm,
    )


def main(arguments: list[str] | None = None) -> None:
    """Prints both calibrations and what they are worth on the people they were fitted to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=288, help="people of each crop")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    body = SparseBody.from_assets(load_open_body())
    found = PartErrors.joined([in_crops(body, crop, options.people, seed=0) for crop in CROPS])
    for name, before, parts in (("HAND", HAND, (1, 2)), ("FACE", FACE, (3,))):
        figures, errors = [found.figures[k] for k in parts], [found.error_mm[:, k] for k in parts]
        after = fitted(before, figures, errors)
        tensors = {key: torch.from_numpy(np.concatenate([own[key] for own in figures])) for key in after.weights_mm}
        rank = rank_correlation(after.expected_error_mm(tensors).numpy(), np.concatenate(errors))
        print(f"{name} = {after}\n    rank correlation {rank:.2f}")


if __name__ == "__main__":
    main()
