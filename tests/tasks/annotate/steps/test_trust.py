"""A part that a data set is not trusted for has no points, no flag, and a reason that says so."""

from typing import Any

import numpy as np
import pytest
from coco_files import coco_image, coco_person, write_coco
from plans import plan_footer_of, plan_of, write_plan
from stub_estimators import StubFace, StubHands, StubKeypoints

from datasets_manifest.adapters.base import ImageRecord, PersonRecord
from datasets_manifest.manifest import load_manifest
from datasets_manifest.schema.labels import BODY_GROUP_NAMES, PART_NAMES, ErrorCode
from datasets_manifest.schema.trusted import TRUSTED_PARTS
from datasets_manifest.shards.store import write_shard
from tasks.annotate.plan.plan_rows import plan_table
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.steps.face import annotate_face
from tasks.annotate.steps.hands import annotate_hands
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.keypoints import annotate_keypoints
from tasks.annotate.steps.trust import trusted_of
from tasks.annotate.workspace import ShardRef, Workspace
from tasks.settings import EstimatorConfig

STUB = StubKeypoints.info.name
LEGS = slice(13, 23)
FACE = PART_NAMES.index("face")


def keypoints_of(folder, *trusted, parts="[body, left_hand, right_hand, face, feet, legs]"):
    """Rows of the keypoint step of people with all 133 points, of whom these parts are trusted."""
    return job_of(folder, *trusted, parts=parts).columns("keypoints")


def job_of(folder, *trusted, parts):
    """A shard whose keypoints are there."""
    points = np.stack([np.linspace(15, 65, 133), np.linspace(10, 110, 133), np.ones(133)], 1).astype(np.float32)
    box = np.array([10, 5, 70, 115], np.float32)
    people = [PersonRecord(index=i, bbox_xyxy=box, keypoints=points, trusted=own) for i, own in enumerate(trusted)]
    path = write_coco(folder, [coco_image(1)], [coco_person(1)])
    path.write_text(path.read_text() + f"trusted: {parts}\n")
    backends: dict[str, Any] = {name: EstimatorConfig(backend=STUB) for name in ("body", "hands", "face")}
    config = AnnotateConfig(datasets=(str(path),), keypoints=EstimatorConfig(backend="annotations"), **backends)
    workspace, shard = (
        Workspace(work=folder / "work", labels=folder / "labels"),
        ShardRef(dataset="group", split="val", index=0),
    )
    plan_of(config, workspace)
    plan = plan_table([ImageRecord(image_id="1", path="1.jpg", people=tuple(people))], load_manifest(path))
    write_plan(workspace, shard, plan, plan_footer_of(workspace, shard))
    job = ShardJob(shard, workspace, config)
    write_shard(workspace.step_path("keypoints", shard), annotate_keypoints(job), job.footer("keypoints"))
    return job


def test_points_and_flags_of_a_part_are_left_out_for_whom_it_is_not_trusted(tmp_path):
    everything = frozenset(TRUSTED_PARTS)
    found = keypoints_of(tmp_path, everything, everything - {"face", "legs"})
    assert np.isfinite(found["sigma_px"][0, LEGS]).all()
    assert np.isinf(found["sigma_px"][1, LEGS]).all()
    assert np.isinf(found["sigma_px"][1, 23:91]).all()
    assert not found["keypoints_2d"][1, LEGS].any()
    assert np.isfinite(found["sigma_px"][1, :13]).all()
    assert found["part_valid"][:, FACE].tolist() == [True, False]
    assert found["face_detail"].tolist() == [None, "the data set is not trusted for the face"]
    limbs = [BODY_GROUP_NAMES.index(limb) for limb in ("left_leg", "right_leg", "left_arm")]
    assert found["body_group_valid"][1, limbs].tolist() == [False, False, True]
    assert found["left_leg_detail"][1] == "the data set is not trusted for the legs"


def test_a_part_is_trusted_if_manifest_and_annotation_trust_it(tmp_path):
    everything = frozenset(TRUSTED_PARTS)
    found = keypoints_of(tmp_path, everything, everything - {"face"}, parts="[body, face, feet, legs, right_hand]")
    assert [dict(zip(TRUSTED_PARTS, row, strict=True))["left_hand"] for row in trusted_of(found)] == [False] * 2
    assert [dict(zip(TRUSTED_PARTS, row, strict=True))["face"] for row in trusted_of(found)] == [True, False]


def test_files_of_data_sets_that_are_trusted_do_not_speak_of_it(tmp_path):
    found = keypoints_of(tmp_path, frozenset(TRUSTED_PARTS))
    assert not found.has("trusted").any()


@pytest.mark.parametrize(("step", "annotate"), [("hands", annotate_hands), ("face", annotate_face)])
def test_nobody_looks_at_a_part_that_is_not_trusted(tmp_path, monkeypatch, step, annotate):
    everything = frozenset(TRUSTED_PARTS)
    trusted = [everything, everything - {"face", "left_hand", "right_hand"}]
    job = job_of(tmp_path, *trusted, parts="[body, left_hand, right_hand, face, feet, legs]")
    looked_at = []
    estimator = {"hands": StubHands, "face": StubFace}[step]
    own = estimator.estimate
    monkeypatch.setattr(estimator, "estimate", lambda self, batch: looked_at.append(len(batch)) or own(self, batch))
    rows = annotate(job).to_pylist()
    assert looked_at == [1]
    assert (rows[1]["status"], rows[1]["error_code"]) == ("failed", "part_untrusted")
    assert rows[1]["error_detail"] == f"the data set is not trusted for the {step}"
    assert rows[0]["error_code"] != "part_untrusted"


@pytest.mark.parametrize("parts", ["[]", "[face, face]"])
def test_a_manifest_trusts_some_part_and_names_it_once(tmp_path, parts):
    with pytest.raises(ValueError, match="trusted: expected one part or more, each once"):
        keypoints_of(tmp_path, parts=parts)


def test_the_code_says_that_nothing_is_wrong_with_the_photo():
    assert not ErrorCode.PART_UNTRUSTED.is_repairable
