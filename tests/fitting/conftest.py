"""Bodies shared by the fitting tests."""

from dataclasses import replace

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
def toy_paper_assets(toy_assets: EhmAssets) -> EhmAssets:
    return replace(toy_assets, fusion="paper", keep_body_ids=toy_assets.head_vertex_ids[::5])


@pytest.fixture(scope="session")
def toy_paper_body(toy_paper_assets: EhmAssets) -> SparseBody:
    return SparseBody.from_assets(toy_paper_assets, dtype=torch.float64)


@pytest.fixture(scope="session")
def open_paper_assets(open_assets: EhmAssets) -> EhmAssets:
    return replace(open_assets, fusion="paper")


@pytest.fixture(scope="session")
def open_paper_body_f64(open_paper_assets: EhmAssets) -> SparseBody:
    return SparseBody.from_assets(open_paper_assets, dtype=torch.float64)


@pytest.fixture(scope="session")
def open_assets() -> EhmAssets:
    return load_open_body()


@pytest.fixture(scope="session")
def open_body(open_assets: EhmAssets) -> SparseBody:
    return SparseBody.from_assets(open_assets)


@pytest.fixture(scope="session")
def open_body_f64(open_assets: EhmAssets) -> SparseBody:
    return SparseBody.from_assets(open_assets, dtype=torch.float64)
