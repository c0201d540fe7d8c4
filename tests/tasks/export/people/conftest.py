"""Labels of people of photos: two people in each of three, of some of whom parts and limbs may not supervise."""

import json
import logging

import numpy as np
import pytest
from moving_people import as_photos, moving_columns, write_moving

from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body
from tasks.display import Lines
from tasks.export.run import ExportRequest, export_labels

UNSEEN = Lines(logging.getLogger("tests"))
HANDLESS, LEGLESS, BODILESS = 0, 1, 2
"""Rows whose left hand, left leg, and body may not supervise."""


@pytest.fixture(scope="session")
def columns():
    """Six rows: person 0 in the photos 0..2, then person 1."""
    found = as_photos(moving_columns(SparseBody.from_assets(load_open_body()), people=2, frames=3, seed=6))
    found["image"] = [f"day/{k % 3}.jpg" for k in range(6)]
    found["sample_id"] = [f"photos/all/{image}#{k // 3}" for k, image in enumerate(found["image"])]
    rng = np.random.default_rng(0)
    found["flame_expression"] = list(rng.normal(0, 0.7, (6, 10)).astype(np.float32))
    found["keypoints_2d"] = [own + np.append(rng.normal(0, 1, 2), 0) for own in found["keypoints_2d"]]
    found["left_hand_valid"] = [k != HANDLESS for k in range(6)]
    found["body_valid"] = [k != BODILESS for k in range(6)]
    limbs = np.ones((6, 6), bool)
    limbs[LEGLESS, 4] = limbs[BODILESS] = False
    found["body_group_valid"] = list(limbs)
    order = [0, 3, 1, 4, 2, 5]  # people of a photo follow each other, as in labels
    return {name: [values[k] for k in order] if isinstance(values, list) else values for name, values in found.items()}


@pytest.fixture(scope="session")
def rows_of():
    """Place in the labels of the rows above."""
    return {HANDLESS: 0, LEGLESS: 2, BODILESS: 4}


@pytest.fixture(scope="session")
def photo_labels(columns, ehm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for shard, own in enumerate((slice(0, 4), slice(4, 6))):  # photos are whole in a shard
        part = {name: values[own] for name, values in columns.items()}
        write_moving(folder, [part], ehm.assets.entry, shard, dataset="photos", licence="for tests alone")
    return folder


@pytest.fixture(scope="session")
def exported(photo_labels, ehm, tmp_path_factory):
    """Exports the labels; gives the folder of the files."""
    out = tmp_path_factory.mktemp("out")

    def run(form, **more):
        (written,) = export_labels(photo_labels, ehm, ExportRequest(form=form, out=out, **more), UNSEEN)
        assert json.loads((written.folder / "export.json").read_text())["files"]
        terms = (written.folder / "LICENCE.txt").read_text()
        assert "labels: for tests alone" in terms
        assert "body model: CC0-1.0" in terms
        return written

    return run
