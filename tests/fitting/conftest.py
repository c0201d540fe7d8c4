"""Bodies shared by the fitting tests."""

import pytest
import torch
from toy_bodies import make_toy_assets

from fitting.sparse_body import SparseBody
from model.body.assets import EhmAssets, load_open_body

torch.set_num_threads(1)


@pytest.fixture(scope="session", params=["vertex landmarks", "triangle landmarks and correctives"])
def toy_assets(request: pytest.FixtureRequest) -> EhmAssets:
    rich = request.param != "vertex landmarks"
    return make_toy_assets(corners=rich, correctives=rich)


@pytest.fixture(scope="session")
def toy_body(toy_assets: EhmAssets) -> SparseBody:
    return SparseBody.from_assets(toy_assets, dtype=torch.float64)


@pytest.fixture(scope="session")
def open_assets() -> EhmAssets:
    return load_open_body()


@pytest.fixture(scope="session")
def open_body(open_assets: EhmAssets) -> SparseBody:
    return SparseBody.from_assets(open_assets)


@pytest.fixture(scope="session")
def open_body_f64(open_assets: EhmAssets) -> SparseBody:
    return SparseBody.from_assets(open_assets, dtype=torch.float64)
