"""What labels say: of parts that were not fitted well, and which limbs, eyes and eyelids may supervise."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from annotated_project import annotate, write_project
from small_pages import small_pages
from table_rows import table_from_rows

from benchmarks.synthetic_people import make_people
from datasets_manifest.adapters.base import CalibratedLens, ImageRecord, PersonRecord
from datasets_manifest.manifest import load_manifest
from datasets_manifest.schema.columns import Columns, table_from_columns
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE
from datasets_manifest.schema.labels import BODY_GROUP_NAMES, PART_NAMES
from datasets_manifest.schema.part_files import BODY_SCHEMA, FACE_SCHEMA, HANDS_SCHEMA, KEYPOINTS_SCHEMA
from datasets_manifest.schema.rle import Rle
from datasets_manifest.schema.trusted import TRUSTED_PARTS, trusted_column
from fitting.refine import Observations, refine
from model.estimators import registry
from model.estimators.simulated import SimulatedKeypoints
from tasks.annotate.plan.plan_rows import plan_table
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.steps import refine as step
from tasks.annotate.steps.labels import failed_rows, label_table
from tasks.body_model import sparse_body

TRUNK_AND_NOSE = [0, 5, 6, 11, 12]


class FivePoints(SimulatedKeypoints):
    """Simulated keypoints of which only the trunk and the nose are seen."""

    def estimate(self, image, boxes=None, annotated=None):
        found = super().estimate(image, boxes, annotated)
        unseen = np.setdiff1d(np.arange(133), TRUNK_AND_NOSE)
        found.sigma_px[:, unseen], found.keypoints[:, unseen] = np.inf, 0
        return replace(found, part_valid=np.ones((found.num_people, 4), bool))


@pytest.fixture(scope="module")
def labels(tmp_path_factory, rendered):
    folder = tmp_path_factory.mktemp("five")
    with pytest.MonkeyPatch.context() as patch, small_pages():
        patch.setitem(registry._FACTORIES, ("keypoints", "five_points"), FivePoints)
        annotate(write_project(folder, rendered), keypoints__backend="five_points")
    return pa.concat_tables([pq.read_table(path) for path in sorted((folder / "labels").rglob("*.parquet"))])


def test_too_few_points_are_no_misfit(labels):
    assert labels.num_rows > 0
    assert set(labels["error_code"].to_pylist()) == {"keypoints_too_few"}
    assert any(said.startswith("body: 5 points seen, needed 6; ") for said in labels["error_detail"].to_pylist())


COUNT = 3
LEFT_WRIST = 9


@pytest.fixture(scope="module")
def fitted():
    """Parts and fit of three people: the first as good as can be; of the second the keypoints do not trust a leg and
    the fit cannot meet a wrist; the third has no body."""
    body = sparse_body(AnnotateConfig().body_model)
    people = make_people(body, COUNT, seed=3)
    seen = people.clean_px.clone()
    seen[1, LEFT_WRIST, 0] += 0.2 * people.height_px[1]
    observed = Observations(keypoints_px=seen, sigma_px=people.observations.sigma_px.clamp(max=3.0))
    result = refine(body, observed, people.coarse, people.camera)
    valid = result.reprojection.part_valid.clone()
    valid[2, 0] = False
    result = replace(result, reprojection=replace(result.reprojection, part_valid=valid))
    keys = [
        {"sample_id": f"a/all/b#{k}", "dataset": "a", "split": "all", "image": "b", "person": k, "status": "ok"}
        for k in range(COUNT)
    ]
    trusted = [True] * 4, [True] * 6
    rows = [key | {"part_valid": trusted[0], "body_group_valid": list(trusted[1])} for key in keys]
    rows[1]["body_group_valid"][BODY_GROUP_NAMES.index("right_leg")] = False
    rows[1]["right_leg_detail"] = "visibility 0.12, needed 0.3"
    hands = {"left_valid": True, "right_valid": True}
    parts = {
        "keypoints": table_from_rows([row | {"keypoints_2d": np.zeros((133, 3))} for row in rows], KEYPOINTS_SCHEMA),
        "body": table_from_rows([key | {"valid": True} for key in keys], BODY_SCHEMA),
        "hands": table_from_rows([key | hands for key in keys], HANDS_SCHEMA),
        "face": table_from_rows(
            [key | {"valid": True, "eyes_valid": k == 0, "eyelids_valid": True} for k, key in enumerate(keys)],
            FACE_SCHEMA,
        ),
    }
    return {name: Columns(table) for name, table in parts.items()}, result


@pytest.fixture(scope="module")
def refined(fitted):
    parts, result = fitted
    return label_table(parts, result).to_pylist(), result


def test_a_part_that_the_data_set_is_not_trusted_for_says_so_whatever_else_was_said(fitted):
    parts, result = fitted
    trusted = np.array([[part != "face" for part in TRUSTED_PARTS]] * COUNT)
    valid = parts["keypoints"]["part_valid"] & [part != "face" for part in PART_NAMES]
    table = parts["keypoints"].table
    for field, flags in ((trusted_column(), trusted), (table.schema.field("part_valid"), valid)):
        column = pa.array(flags.tolist(), field.type)
        at = table.schema.get_field_index(field.name)
        table = table.append_column(field, column) if at < 0 else table.set_column(at, field, column)
    rows = label_table(parts | {"keypoints": Columns(table)}, result).to_pylist()
    assert [row["face_valid"] for row in rows] == [False] * COUNT
    assert [row["eyelids_valid"] for row in rows] == [False] * COUNT
    assert (rows[0]["status"], rows[0]["error_code"]) == ("partial", "part_untrusted")
    assert rows[0]["error_detail"] == "face: the data set is not trusted for the face"


def test_a_limb_is_valid_if_keypoints_trust_it_and_the_fit_meets_it(refined):
    rows, _ = refined
    assert rows[0]["body_group_valid"] == [True] * 6
    assert rows[0]["body_group_detail"] is None
    assert dict(zip(BODY_GROUP_NAMES, rows[1]["body_group_valid"], strict=True)) == {
        "head": True, "torso": True, "left_arm": False, "right_arm": True, "left_leg": True, "right_leg": False
    }  # fmt: skip
    arm, leg = rows[1]["body_group_detail"].split("; ")
    assert arm == "left_arm: the fit meets 1 of its points, needed 2"
    assert leg == "right_leg: visibility 0.12, needed 0.3"


def test_limbs_of_a_body_that_is_not_valid_are_not(refined):
    rows, _ = refined
    assert not rows[2]["body_valid"]
    assert rows[2]["body_group_valid"] == [False] * 6
    assert rows[2]["body_group_detail"] is None, "the body's own reason says it"


def test_eyes_and_eyelids_are_as_valid_as_their_estimator_says(refined):
    rows, _ = refined
    assert [row["eyes_valid"] for row in rows] == [True, False, False]
    assert [row["eyelids_valid"] for row in rows] == [True] * COUNT


def test_every_part_has_its_quality_and_the_old_name_is_the_bodys(refined):
    rows, result = refined
    found = torch.tensor([[row[f"{part}_quality"] for part in PART_NAMES] for row in rows])
    torch.testing.assert_close(found, result.quality.float())
    assert [row["quality"] for row in rows] == [row["body_quality"] for row in rows]


@pytest.mark.parametrize(("model", "width"), [("brown", 5), ("fisheye624", 12)])
def test_a_photo_alone_is_seen_through_its_lens_and_its_label_states_it(monkeypatch, model, width):
    coefficients = (-0.2, 0.05, *[0.0] * (2 if model == "brown" else 10))
    lens = CalibratedLens(model=model, coefficients=coefficients, focal_xy_px=(100.0, 100.0))
    box = np.array([0, 0, 80, 120], np.float32)
    photos = [
        ImageRecord(
            image_id=name, path=name, people=(PersonRecord(index=0, bbox_xyxy=box, mask=mask),), lens=own,
            focal_px=100.0, principal_px=(40.0, 60.0),
        )
        for name, own, mask in (("a", None, None), ("b", lens, lambda: Rle.of_runs([4], (2, 2))))
    ]  # fmt: skip
    plan = plan_table(photos, replace(load_manifest("demo_people"), boxes="manifest"))
    key = {name: plan[name].to_pylist() for name in ("sample_id", "dataset", "split", "image", "person", "status")}
    points = np.full((2, 133, 3), [70.0, 100.0, 1.0], np.float32)
    camera = {"focal_px": [100.0] * 2, "principal_px": np.array([[40.0, 60.0]] * 2), "bbox_xyxy": np.stack([box, box])}
    found = {"keypoints_2d": points, "sigma_px": np.ones((2, 133)), "evidence": [[]] * 2, "evidence_shape": [[]] * 2}
    rows = Columns(table_from_columns(key | camera | found, KEYPOINTS_SCHEMA))
    given = []
    monkeypatch.setattr(step, "coarse_of", lambda parts: None)
    monkeypatch.setattr(step, "refine", lambda body, observations, *others: given.append(observations))
    state = {name: [None] * 2 for name in ("status", "error_code", "error_detail")} | {"status": ["ok"] * 2}
    monkeypatch.setattr(step, "label_table", lambda parts, fit, schema, out: failed_rows(rows, schema, state))
    job: Any = SimpleNamespace(
        columns=lambda name: Columns(plan) if name == "plan" else rows,
        corrected_keypoints=rows, config=AnnotateConfig(), size=DEFAULT_SIZE, in_groups=False,
    )  # fmt: skip
    labels = step.refine_labels(job).to_pylist()
    seen = given[0].keypoints_px.numpy()
    np.testing.assert_array_equal(seen[0], points[0, :, :2])
    assert (seen[1, 0] - [70, 100] > [1.0, 1.0]).all(), "a barrel squeezes what is away from the middle"
    assert [row["lens_model"] for row in labels] == [None, model]
    assert len(labels[1]["lens_coefficients"]) == width
    assert [Rle.of_value(row["mask"]) for row in labels] == [None, Rle.of_runs([4], (2, 2))]
    assert labels[1]["focal_xy_px"] == [100, 100]
