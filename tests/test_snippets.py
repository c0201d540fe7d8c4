"""The Python of the pages runs as it stands there, in a folder that holds what it reads."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pages import blocks
from PIL import Image

from model.body.assets import load_open_body
from model.regressor.checkpoint import CheckpointMeta, save_regressor
from model.regressor.config import BackboneConfig, ReadoutConfig, RegressorConfig
from model.regressor.network import EhmRegressor

ROOT = Path(__file__).resolve().parents[1]
NOT_RUN = {"docs/benchmarks/training.md", "docs/stores.md"}
"""Whose snippets go on from what a training of hours made, or read a store (datasets_manifest/test_stores.py does)."""
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in ROOT.glob("docs/**/*.md")
    if "```python" in path.read_text(encoding="utf-8") and str(path.relative_to(ROOT)) not in NOT_RUN
)


@pytest.fixture
def folder(rendered, tmp_path):
    """Labels, a trained network, a photo."""
    (tmp_path / "labels").symlink_to(rendered.parent / "labels")
    torch.manual_seed(1)
    config = RegressorConfig(
        backbone=BackboneConfig(size="", width=32, depth=1, heads=2),
        decoder=ReadoutConfig(width=32, depth=1, heads=1, hidden=32),
        crop_px=64,
        side_px=8,
    )
    body = {"name": "open", "sha256": load_open_body().sha256}
    (tmp_path / "runs").mkdir()
    trained = save_regressor(EhmRegressor(config), CheckpointMeta(config=config, step=1, body_model=body))
    (tmp_path / "runs/regressor.safetensors").write_bytes(trained)
    Image.new("RGB", (64, 96), (90, 120, 150)).save(tmp_path / "photo.jpg")
    return tmp_path


def put_labels_of_a_clip(labels):
    """Labels of photos once more, as of the frames of a clip."""
    table = pq.read_table(next(labels.rglob("*.parquet")))
    said = {"group": ["clip"] * len(table), "frame": range(len(table)), "track": [0] * len(table)}
    for name, values in said.items():
        table = table.append_column(name, pa.array(values))
    labels.unlink()
    (labels / "clip/all").mkdir(parents=True)
    pq.write_table(table, labels / "clip/all/00000.parquet")


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    if page == "docs/videos.md":
        put_labels_of_a_clip(folder / "labels")
    for block in blocks((ROOT / page).read_text(encoding="utf-8"), "python"):
        exec(compile(block, page, "exec"), {"__name__": "__main__"})
