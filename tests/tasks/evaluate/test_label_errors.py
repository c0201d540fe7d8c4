"""Bringing labels and known people together, and what is averaged."""

from dataclasses import replace

import numpy as np
import pytest
from coco_files import coco_image, coco_person, write_coco

from datasets_manifest.adapters.base import ImageRecord, PersonRecord
from datasets_manifest.manifest import load_manifest
from datasets_manifest.schema.columns import Columns, table_from_columns
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES
from datasets_manifest.schema.rle import Rle
from fitting.quality import BODY, HAND
from tasks.evaluate.annotation_errors import acceptance, count_parts, keypoint_errors
from tasks.evaluate.label_errors import summarise
from tasks.evaluate.matching import KnownPhotos, box_iou, match_people
from tasks.evaluate.reference import reference_records


def person(index, box):
    return PersonRecord(index=index, bbox_xyxy=np.array(box, np.float32))


def labels(*rows, status="ok", error_code="fit_not_finite"):
    """Labels of (image id, box)."""
    count = len(rows)
    columns = {
        "sample_id": [f"demo/all/{image}#{k}" for k, (image, _) in enumerate(rows)],
        **{name: ["demo"] * count for name in ("dataset", "split")},
        "image": [f"{image}.jpg" for image, _ in rows],
        "person": np.arange(count),
        "bbox_xyxy": np.array([box for _, box in rows], np.float32),
        "status": [status] * count,
        "error_code": [None if status == "ok" else error_code] * count,
        **{f"{part}_valid": np.ones(count, bool) for part in PART_NAMES},
    }
    return Columns(table_from_columns(columns, LABEL_SCHEMA))


def test_iou_of_known_boxes():
    iou = box_iou(np.array([[0, 0, 2, 2.0]]), np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6.0]]))
    np.testing.assert_allclose(iou, [[1, 1 / 3, 0]])


def test_people_are_matched_one_to_one_and_misses_are_counted():
    record = ImageRecord(image_id="a", path="a.jpg", people=(person(0, [0, 0, 10, 10]), person(1, [20, 0, 30, 10])))
    rows = labels(("a", [19, 0, 30, 10]), ("a", [20, 0, 31, 12]), ("b", [0, 0, 10, 10]))
    matching = match_people(rows, [record])
    assert [known.index for known in matching.people] == [1]
    np.testing.assert_array_equal(matching.labels["bbox_xyxy"], [[19, 0, 30, 10]])
    assert (matching.num_known, matching.num_labels) == (2, 3)


def test_people_of_two_images_that_share_a_file_are_not_mixed_up():
    records = [
        ImageRecord(image_id="a", path="same.jpg", people=(person(0, [0, 0, 10, 10]),)),
        ImageRecord(image_id="b", path="same.jpg", people=(person(0, [0, 0, 10, 10]), person(1, [20, 0, 30, 10]))),
    ]
    rows = labels(("a", [0, 0, 10, 10]), ("b", [20, 0, 30, 10]))
    found = KnownPhotos(records).take(["a", "b"])
    assert found == records
    matching = match_people(rows, found)
    assert [known.index for known in matching.people] == [0, 1]
    assert matching.num_known == 3


def test_who_is_found_where_nobody_was_annotated_is_no_false_find():
    region = np.array([[15.0, -5], [45, -5], [45, 25], [15, 25]])
    record = ImageRecord(
        image_id="a", path="a.jpg", people=(person(0, [20, 0, 30, 10]),), ignore_regions=(region, region + 200)
    )
    rows = labels(*(("a", [x, 0, x + 10, 10]) for x in (0, 20, 32, 60)))
    matching = match_people(rows, [record])
    assert (matching.num_pairs, matching.num_known, matching.num_labels) == (1, 1, 3)
    assert match_people(rows, [replace(record, ignore_regions=())]).num_labels == 4


def test_who_is_found_in_a_crowd_is_no_false_find_if_half_of_the_box_is_in_it():
    crowd = np.zeros((20, 80), bool)
    crowd[:, 30:50:2] = crowd[:, 50:60] = True
    record = ImageRecord(
        image_id="a", path="a.jpg", people=(person(0, [32, 0, 42, 10]),), ignore_masks=(lambda: Rle.of_mask(crowd),)
    )
    # Known; half in the crowd's gaps; beside it; within; beyond the photo; wholly outside of it.
    rows = labels(*(("a", [x, 0, x + 10, 10]) for x in (32, 38, 20, 50, 75, 900)))
    matching = match_people(rows, [record])
    assert (matching.num_pairs, matching.num_known, matching.num_labels) == (1, 1, 4)


def test_failed_labels_match_nobody():
    record = ImageRecord(image_id="a", path="a.jpg", people=(person(0, [0, 0, 10, 10]),))
    assert match_people(labels(("a", [0, 0, 10, 10]), status="failed"), [record]).num_pairs == 0


def test_bridged_labels_say_nothing_of_their_photo():
    record = ImageRecord(image_id="a", path="a.jpg", people=(person(0, [0, 0, 10, 10]),))
    matching = match_people(labels(("a", [0, 0, 10, 10]), status="partial", error_code="bridged"), [record])
    assert (matching.num_pairs, matching.num_labels, matching.num_known) == (0, 0, 1)


def test_summary_ranks_quality_against_the_true_error():
    """A mean has the name of the error, a median says so."""
    errors = {
        "pa_mpjpe_mm": np.array([10.0, 11.0, 12.0, 13.0, 24.0]),
        "hand_pa_pve_mm": np.array([[4.0, np.nan], *[[np.nan, np.nan]] * 4]),
        "hand_pa_mpjpe_mm": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, np.nan], [np.nan] * 2, [np.nan] * 2]),
        "body_quality": np.array([0.9, 0.85, 0.8, 0.7, 0.6]),
        "hand_quality": np.arange(10).reshape(5, 2) / 10,
        "face_quality": np.ones(5),
    }
    assert summarise(errors) == {
        "people": 5.0,
        "pa_mpjpe_mm": 14.0,
        "pa_mpjpe_median_mm": 12.0,
        "hand_pa_pve_mm": 4.0,
        "hand_pa_pve_median_mm": 4.0,
        "hand_pa_mpjpe_mm": 3.0,
        "hand_pa_mpjpe_median_mm": 3.0,
        "body_quality_rank_correlation": pytest.approx(-1),
        "hand_quality_rank_correlation": pytest.approx(1),
        "body_expected_mm": pytest.approx(expected(BODY, errors["body_quality"]).mean(), abs=1e-5),
        "body_expected_median_mm": pytest.approx(BODY.half_mm / 2, abs=1e-5),
        "hand_expected_mm": pytest.approx(expected(HAND, np.arange(1, 5) / 10).mean(), abs=1e-5),
        "hand_expected_median_mm": pytest.approx(np.median(expected(HAND, np.arange(1, 5) / 10)), abs=1e-5),
    }


def expected(calibration, quality):
    """The error that leads to a quality."""
    return calibration.half_mm * np.sqrt(1 / quality - 1)


def test_people_of_one_quality_share_their_rank():
    from scipy.stats import spearmanr  # Dear to import.

    generator = np.random.default_rng(0)
    quality, error = generator.integers(0, 5, 30) / 5, generator.integers(0, 9, 30) + 40.0
    told = summarise({"body_quality": quality, "pa_mpjpe_mm": error})["body_quality_rank_correlation"]
    assert told == pytest.approx(spearmanr(quality, error).statistic, abs=1e-5)


def test_nothing_is_said_of_what_nobody_has():
    nobody = {"pa_mpjpe_mm": np.array([10.0]), "head_posed_mm": np.array([np.nan]), "body_quality": np.array([0.5])}
    middling = {"body_expected_mm": BODY.half_mm, "body_expected_median_mm": BODY.half_mm}
    assert summarise(nobody) == {"people": 1.0, "pa_mpjpe_mm": 10.0, "pa_mpjpe_median_mm": 10.0, **middling}
    assert summarise({}) == {}


def test_keypoints_are_measured_by_part_against_the_longer_side_of_the_box():
    known = np.zeros((133, 3), np.float32)
    known[[0, 5], 2] = 1.0  # two points of the body are annotated
    record = ImageRecord(
        image_id="a",
        path="a.jpg",
        people=(PersonRecord(index=0, bbox_xyxy=np.array([0, 0, 10, 20], np.float32), keypoints=known),),
    )
    matching = match_people(labels(("a", [0, 0, 10, 20])), [record])
    projected = np.zeros((133, 2))
    projected[[0, 5, 7], 0] = 2.0, 4.0, 100.0
    known[9] = 1000.0, 0.0, 1.0  # a slip of the annotation, which the estimator of annotated points refuses as well
    found = keypoint_errors(matching, projected[None])
    assert found["body_rel"] == pytest.approx(0.15)
    assert found["body_worst_rel"] == pytest.approx(0.2)
    assert np.isnan(found["face_rel"]).all()


def test_a_limb_that_the_label_does_not_vouch_for_is_not_accepted():
    known = np.zeros((133, 3), np.float32)
    known[[5, 7, 8], 2] = 1.0  # a shoulder and both elbows are annotated
    box = np.array([0, 0, 10, 100], np.float32)
    record = ImageRecord(image_id="a", path="a.jpg", people=(PersonRecord(index=0, bbox_xyxy=box, keypoints=known),))
    rows = labels(("a", [0, 0, 10, 100]))
    flags = np.array([[True, True, False, True, True, True]])
    columns = {name: rows.table[name] for name in rows.table.column_names if rows.has(name).all()}
    rows = Columns(table_from_columns(columns | {"body_group_valid": flags}, LABEL_SCHEMA))
    projected = np.zeros((1, 133, 2))
    projected[0, 8, 0] = 8.0  # the right elbow is 8 % of the box off
    counts = acceptance(match_people(rows, [record]), projected)
    assert counts == {"parts": 3, "accepted": 2, "accepted_wrong": 1, "refused_right": 1}


def test_known_photos_are_taken_as_they_come_and_none_is_lost():
    listed = []

    def records():
        for name in "abcdef":
            listed.append(name)
            yield ImageRecord(image_id=name, path=name)

    photos = KnownPhotos(records())
    assert [record.path for record in photos.take(["a", "b"])] == ["a", "b"]
    assert listed == ["a", "b"], "no further than asked for"
    assert [record.path for record in photos.take(["d"])] == ["d"]
    assert [record.path for record in photos.take(["c"])] == ["c"]
    assert [record.path for record in photos.take(["x", "f"])] == ["f"]
    assert [record.path for record in photos.rest()] == ["e"]


def people_of(path):
    return [person for record in reference_records(load_manifest(path)) or () for person in record.people]


@pytest.mark.parametrize("points", [["nose", "tail"], None])
def test_annotations_that_a_run_does_not_use_do_not_end_it(tmp_path, points):
    people = [{"id": 1, "name": "person", "keypoints": points}]
    path = write_coco(
        tmp_path, [coco_image(1)], [coco_person(1)], boxes="detector", keypoints="none", categories=people
    )
    (person,) = people_of(path)
    assert person.error_code is None
    assert (person.keypoints is None) == (points is not None)


def test_people_of_a_run_without_keypoints_are_known_with_what_their_file_has(tmp_path):
    body_only = {name: value for name, value in coco_person(1).items() if "_kpts" not in name and "_valid" not in name}
    boxes_only = {name: value for name, value in body_only.items() if name != "keypoints"}
    for name, row, count in (("body", body_only, 17), ("boxes", boxes_only, 0)):
        folder = tmp_path / name
        folder.mkdir()
        path = write_coco(folder, [coco_image(1)], [row], boxes="detector", keypoints="none")
        (person,) = people_of(path)
        assert person.error_code is None
        assert (0 if person.keypoints is None else (person.keypoints[:, 2] > 0).sum()) == count


def test_people_of_whom_nobody_can_be_read_are_known_all_the_same(tmp_path):
    path = write_coco(tmp_path, [coco_image(1)], [coco_person(1) | {"keypoints": [1, 2]}])
    (person,) = people_of(path)
    assert person.error_code is not None


def test_annotations_that_cannot_be_read_are_told(tmp_path, caplog):
    people = [{"id": 1, "name": "person", "keypoints": ["nose", "tail"]}]
    path = write_coco(tmp_path, [coco_image(1)], [coco_person(1)], categories=people)
    assert reference_records(load_manifest(path)) is None
    assert "Labels are not compared with annotations: people of the data set " in caplog.text


def test_parts_of_people_who_were_not_found_count_as_known():
    keypoints = np.zeros((133, 3), np.float32)
    keypoints[[5, 6, 11, 12, 9, 23, 112], 2] = 2.0
    box = np.array([0, 0, 10, 20], np.float32)
    people = (PersonRecord(index=0, bbox_xyxy=box, keypoints=keypoints), PersonRecord(index=1, bbox_xyxy=box))
    assert count_parts(people) == 4  # trunk, an arm, face, right hand
