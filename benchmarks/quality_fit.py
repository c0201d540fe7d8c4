"""Fits the numbers of `fitting.quality` for hands and face to people with known truth, and prints them.

    python -m benchmarks.quality_fit             some ten minutes on two cores; a second time four

People have synthetic keypoints, whose errors show in the residuals, or are rendered and annotated by the default
estimators, whose errors hang together and do not. The expected error of a part is a base and a sum of figures, none
with a negative weight, of least squared error over the expected one: a part that is off by 2 mm instead of 1 counts as
much as one that is off by 20 instead of 10. What the rendered people are off by beyond their figures is one number: the
hidden error of their estimators (`model.estimators.hidden_error`).
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls

from benchmarks.part_errors import CROPS, Array, PartErrors, in_crops, rank_correlation
from benchmarks.rendered_people import annotated
from fitting.quality import FACE, HAND, Calibration
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body

SEED = 71001
"""Of the rendered people; those of the demo have another."""
_LEAST_MM = 1.0
"""Added to an expected error before an error is divided by it."""
_ROUNDS = 5
"""Fits, each with the expected errors of the one before."""


def fitted(
    calibration: Calibration, synthetic: PartErrors, rendered: PartErrors, parts: tuple[int, ...]
) -> tuple[Calibration, float]:
    """The calibration with another base and other weights, of which 0 is left out; and the rendered people's hidden
    error, mm."""
    names = list(synthetic.figures[parts[0]])
    matrices, errors = [], []
    for is_rendered, people in enumerate((synthetic, rendered)):
        error = np.concatenate([people.error_mm[:, part] for part in parts])
        columns = [np.concatenate([people.figures[part][name] for part in parts]) for name in names]
        matrix = np.column_stack([np.ones_like(error), np.full_like(error, is_rendered), *columns])
        known = np.isfinite(matrix).all(1)
        matrices.append(matrix[known])
        errors.append(error[known])
    matrix, error = np.concatenate(matrices), np.concatenate(errors)
    found = np.zeros(matrix.shape[1])
    for _ in range(_ROUNDS):
        scale = 1 / (matrix @ found + _LEAST_MM)
        found = nnls(matrix * scale[:, None], error * scale)[0]
    base, beyond, *weights = found.tolist()
    after = Calibration(
        base_mm=round(base, 2),
        weights_mm={name: round(own, 2) for name, own in zip(names, weights, strict=True) if own >= 0.01},
        half_mm=calibration.half_mm,
    )
    return after, round(beyond, 2)


def expected_mm(calibration: Calibration, people: PartErrors, part: int) -> Array:
    """Expected errors (B,) of a part."""
    tensors = {name: torch.from_numpy(people.figures[part][name]) for name in calibration.weights_mm}
    return calibration.expected_error_mm(tensors).numpy()


def main(arguments: list[str] | None = None) -> None:
    """Prints both calibrations and what they are worth on the people they were fitted to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=144, help="people of each crop with synthetic keypoints")
    parser.add_argument("--rendered", type=int, default=200, help="rendered people")
    parser.add_argument("--folder", type=Path, default=Path("work/quality_fit"), help="where these are kept")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rendered, is_valid = annotated(options.folder, options.rendered, SEED)
    body = SparseBody.from_assets(load_open_body())
    synthetic = PartErrors.joined([in_crops(body, crop, options.people, seed=0) for crop in CROPS])
    for name, before, parts in (("HAND", HAND, (1, 2)), ("FACE", FACE, (3,))):
        after, hidden_mm = fitted(before, synthetic, rendered, parts)
        print(f"{name} = {after}; hidden error of MediaPipe {hidden_mm} mm")
        everybody = np.ones_like(synthetic.error_mm, bool)
        for kind, people, counts, beyond in (
            ("synthetic", synthetic, everybody, 0.0),
            ("rendered, valid", rendered, is_valid, hidden_mm),
        ):
            expected = np.concatenate([expected_mm(after, people, part)[counts[:, part]] for part in parts]) + beyond
            error = np.concatenate([people.error_mm[counts[:, part], part] for part in parts])
            print(
                f"    {kind}: {np.median(error):.1f} mm, expected {np.median(expected):.1f}, "
                f"rank correlation {rank_correlation(expected, error):.2f}"
            )


if __name__ == "__main__":
    main()
