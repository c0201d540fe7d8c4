"""The benchmark of masks."""

import json

import numpy as np
import pytest
from mediapipe_package import need_mediapipe

need_mediapipe()
pytest.importorskip("skimage")
cv2 = pytest.importorskip("cv2")

from benchmarks.masks import annotated, outline_distance, overlap_of, rendered, table  # noqa: E402

pytestmark = pytest.mark.long


def test_the_table_has_both_masks_of_every_kind_of_people():
    rows = table(list(rendered(2, seed=1)))
    assert [row["people"] for row in rows[::2]] == [row["people"] for row in rows[1::2]]
    assert {row["mask"] for row in rows} == {"pose network", "selfie"}
    assert rows[0]["people"] == "as rendered"
    assert rows[0]["overlap"] > 0.9


def test_people_with_a_drawn_outline_are_those_of_the_file(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 60, 3), np.uint8))
    square = [[10, 5, 29, 5, 29, 24, 10, 24]]
    people = [
        {"image_id": 1, "num_keypoints": 1, "keypoints": [12, 8, 2, *[0] * 48], "segmentation": square},
        {"image_id": 1, "num_keypoints": 0, "keypoints": [0] * 51, "segmentation": square},
    ]
    content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": people}
    (tmp_path / "a.json").write_text(json.dumps(content))
    ((_, picture),) = annotated(tmp_path / "a.json", tmp_path)
    assert picture.batch().boxes_xyxy.tolist() == [[10, 5, 30, 25]]
    assert picture.mask.sum() == 400
    assert np.isfinite(picture.batch().sigma_px).sum() == 1


def test_distances_of_outlines_are_those_of_squares():
    inner, outer = np.zeros((2, 40, 40), bool)
    inner[10:30, 10:30], outer[8:32, 8:32] = True, True
    assert overlap_of(inner, outer) == 400 / 576
    assert outline_distance(inner, inner) == 0
    assert 2.0 <= outline_distance(inner, outer) <= 2.2
