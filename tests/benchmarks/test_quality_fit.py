"""The fit of the numbers of hands and faces finds what people were made of."""

import numpy as np
import pytest

from benchmarks.part_errors import PartErrors
from benchmarks.quality_fit import expected_mm, fitted
from fitting.quality import FACE


def people(base_mm: float, seed: int) -> PartErrors:
    """Faces that are off by a base, by 20 mm a unit of residual and by luck, whatever their turn."""
    rng = np.random.default_rng(seed)
    figures = {"reproj_rel": rng.uniform(0, 0.2, 400), "turn_rad": rng.uniform(0, 1, 400)}
    error = (base_mm + 20 * figures["reproj_rel"]) * rng.lognormal(-0.08, 0.4, 400)
    errors = np.repeat(error[:, None], 4, 1)
    return PartErrors(error_mm=errors, expected_mm=errors, quality=errors, figures=({}, {}, {}, figures))


def test_what_rendered_people_are_off_by_beyond_their_figures_is_hidden() -> None:
    rendered = people(4.0, seed=1)
    found, hidden_mm = fitted(FACE, people(1.0, seed=0), rendered, (3,))
    assert found.base_mm + hidden_mm == pytest.approx(4.0, rel=0.1)
    assert found.base_mm == pytest.approx(1.0, abs=0.25)
    assert found.weights_mm["reproj_rel"] == pytest.approx(20.0, rel=0.15)
    assert found.weights_mm.get("turn_rad", 0.0) < 0.3
    assert expected_mm(found, rendered, 3).mean() + hidden_mm == pytest.approx(rendered.error_mm.mean(), rel=0.05)
