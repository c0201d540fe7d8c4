"""Bringing labels and known people together, and what is averaged."""

import numpy as np
import pytest

from datasets_manifest.adapters.base import ImageRecord, PersonRecord
from tasks.evaluate.label_errors import box_iou, match_people, summarise


def person(index, box):
    return PersonRecord(index=index, bbox_xyxy=np.array(box, np.float32))


def label(image, box, status="ok"):
    return {"sample_id": f"{image}{box}", "image": image, "bbox_xyxy": box, "status": status}


def test_iou_of_known_boxes():
    iou = box_iou(np.array([[0, 0, 2, 2.0]]), np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6.0]]))
    np.testing.assert_allclose(iou, [[1, 1 / 3, 0]])


def test_people_are_matched_one_to_one_and_misses_are_counted():
    record = ImageRecord(image_id="a", path="a.jpg", people=(person(0, [0, 0, 10, 10]), person(1, [20, 0, 30, 10])))
    rows = [label("a.jpg", [19, 0, 30, 10]), label("a.jpg", [20, 0, 31, 12]), label("b.jpg", [0, 0, 10, 10])]
    matching = match_people(rows, [record])
    assert [(row["bbox_xyxy"], known.index) for row, known in matching.pairs] == [([19, 0, 30, 10], 1)]
    assert (matching.num_known, matching.num_labels) == (2, 3)


def test_failed_labels_match_nobody():
    record = ImageRecord(image_id="a", path="a.jpg", people=(person(0, [0, 0, 10, 10]),))
    assert match_people([label("a.jpg", [0, 0, 10, 10], "failed")], [record]).pairs == ()


def test_summary_ranks_quality_against_the_true_error():
    errors = [
        {"sample_id": str(i), "pa_mpjpe_mm": 10.0 + i, "hand_pa_mm": None if i else 4.0, "quality": 1 - 0.1 * i}
        for i in range(5)
    ]
    summary = summarise(errors)
    assert summary["quality_rank_correlation"] == pytest.approx(-1)
    assert summary["pa_mpjpe_mm"] == 12.0
    assert summary["hand_pa_mm"] == 4.0
