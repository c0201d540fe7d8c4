"""Labels of other widths and of the other fusion, from the settings to what a training selects."""

import numpy as np
import pytest
from annotated_project import annotate, write_project

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import BodySize
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.selection import select_labels
from datasets_manifest.shards.shard import Shard
from model.body.assets import load_open_body
from tasks.annotate.provenance import step_config
from tasks.annotate.settings import AnnotateConfig

pytestmark = pytest.mark.long

WIDE = {"num_betas": 500, "num_flame_shape": 60, "num_expression": 30, "refined": {"num_flame_shape": 20}}
NUM_BETAS = load_open_body().smplx.shapedirs.shape[-1]


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """Folder of labels of a run with more coefficients, in the fusion of the paper."""
    folder = tmp_path_factory.mktemp("wide")
    annotate(write_project(folder), coefficients=WIDE, body_model__fusion="paper")
    return folder / "labels/few/all"


def test_labels_have_as_many_as_asked_for_and_no_more_than_the_body(labels):
    shapes = []
    for path in sorted(labels.glob("*.parquet")):
        with Shard(path) as shard:
            rows = Columns(shard.table(LABEL_SCHEMA))
            assert shard.footer.body_model["fusion"] == "paper"
        widths = [rows[name].shape[1] for name in ("betas", "flame_shape", "flame_expression")]
        assert widths == [NUM_BETAS, 60, 30]
        shapes.append(rows["flame_shape"][rows["face_valid"]])
    shape = np.concatenate(shapes)
    assert len(shape)
    # The estimator gives ten; twenty are refined, the others stay as they were told.
    assert np.abs(shape[:, 10:20]).max() > 0
    assert np.abs(shape[:, 20:]).max() == 0


def test_a_training_of_that_width_selects_them(labels):
    size = BodySize(num_betas=NUM_BETAS, num_flame_shape=60, num_expression=30)
    found = select_labels(labels, max_dropped_share=1.0, size=size)
    assert found.array("flame_shape").shape == (found.num_rows, 60)
    with pytest.raises(ValueError, match="flame_shape has 60 numbers a row, expected are 10; train with that many"):
        select_labels(labels, max_dropped_share=1.0, size=BodySize(num_betas=NUM_BETAS))


def test_usual_numbers_are_not_said(labels):
    """The settings of labels that were made before there was a choice are the same as now."""
    for step in ("keypoints", "body", "hands", "face", "refine"):
        stated = step_config(step, AnnotateConfig())
        assert not {"coefficients", "refined_coefficients"} & stated.keys()
        assert "fusion" not in stated.get("body_model", {})
