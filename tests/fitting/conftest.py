"""Bodies shared by the fitting tests."""

import pytest
import torch
from toy_bodies import make_toy_assets

from fitting.sparse_body import SparseBody

torch.set_num_threads(1)


@pytest.fixture(scope="session", params=["vertex landmarks", "triangle landmarks and correctives"])
def toy_body(request: pytest.FixtureRequest) -> SparseBody:
    rich = request.param != "vertex landmarks"
    return SparseBody.from_assets(make_toy_assets(corners=rich, correctives=rich), dtype=torch.float64)
