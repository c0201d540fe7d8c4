import numpy as np
import pytest

from model.estimators.base import ImageInput, PersonBatch


def batch(**changes):
    fields = {
        "images": [np.zeros((4, 4, 3), np.uint8)] * 2,
        "boxes_xyxy": np.zeros((2, 4)),
        "keypoints": np.zeros((2, 133, 3)),
        "sigma_px": np.full((2, 133), np.inf),
        "focal_px": np.ones(2),
        "principal_px": np.zeros((2, 2)),
    }
    return PersonBatch(**(fields | changes))


def test_batch_counts_people():
    assert len(batch()) == 2


def test_batch_of_wrong_shape_names_the_field():
    with pytest.raises(ValueError, match=r"sigma_px of shape \(2, 133\), got \(2, 17\)"):
        batch(sigma_px=np.zeros((2, 17)))


def test_evidence_of_wrong_length_names_the_array():
    with pytest.raises(ValueError, match="'pose_px' has 3 rows"):
        batch(evidence={"pose_px": np.zeros((3, 33, 5))})


def test_image_must_be_rgb_bytes():
    with pytest.raises(ValueError, match="'a': expected an RGB array"):
        ImageInput.from_rgb("a", np.zeros((4, 4)))


def test_default_camera_has_its_centre_in_the_middle():
    image = ImageInput.from_rgb("a", np.zeros((40, 60, 3), np.uint8))
    assert image.focal_px == pytest.approx(72)
    np.testing.assert_allclose(image.principal_px, [30, 20])
