"""What labels say of parts that were not fitted well."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from annotated_project import annotate, write_project

from model.estimators import registry
from model.estimators.simulated import SimulatedKeypoints

TRUNK_AND_NOSE = [0, 5, 6, 11, 12]


class FivePoints(SimulatedKeypoints):
    """Simulated keypoints of which only the trunk and the nose are seen."""

    def estimate(self, image, boxes=None, annotated=None):
        found = super().estimate(image, boxes, annotated)
        unseen = np.setdiff1d(np.arange(133), TRUNK_AND_NOSE)
        found.sigma_px[:, unseen], found.keypoints[:, unseen] = np.inf, 0
        return replace(found, part_valid=np.ones((found.num_people, 4), bool))


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("five")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._FACTORIES, ("keypoints", "five_points"), FivePoints)
        annotate(write_project(folder), keypoints__backend="five_points")
    return pa.concat_tables([pq.read_table(path) for path in sorted((folder / "labels").rglob("*.parquet"))])


def test_too_few_points_are_no_misfit(labels):
    assert labels.num_rows > 0
    assert set(labels["error_code"].to_pylist()) == {"keypoints_too_few"}
    assert any(said.startswith("body: 5 points seen, needed 6; ") for said in labels["error_detail"].to_pylist())
