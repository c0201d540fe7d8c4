"""Eight rendered people of `open_people`, small, with their truth as labels and a regressor of random weights."""

import dataclasses

import pytest
from predictions_of_photos import checkpoint

from datasets_manifest.manifest import load_manifest
from tasks.body_model import full_body
from tasks.evaluate.open_people import ID
from tasks.settings import BodyModelConfig
from tasks.synthetic.person import SyntheticConfig
from tasks.synthetic.render import TRUTH_FILE, synthesise

SHARES = (0.5, 0.1, 0.2, 0.1, 0.1, 0.0)
COUNT = 8


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """Rendered people and, as labels of them, their truth."""
    root = tmp_path_factory.mktemp("open_people")
    config = SyntheticConfig(
        count=COUNT, seed=5, image_width=96, image_height=128, supersample=1, crop_shares=SHARES, child_share=0.5
    )
    synthesise(root / "data", config, full_body(BodyModelConfig()), dataset=ID, split="test")
    folder = root / "labels" / ID / "test"
    folder.mkdir(parents=True)
    (folder / "00000.parquet").write_bytes((root / "data" / TRUTH_FILE).read_bytes())
    (root / "net.safetensors").write_bytes(checkpoint())
    return root


@pytest.fixture(scope="session")
def manifest(root):
    layout = {"count": COUNT, "seed": 5}
    return dataclasses.replace(load_manifest(ID), root=str(root / "data"), layout=layout)
