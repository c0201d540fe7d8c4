"""Masks beside photos: found by the photo's name, refused where they are another photo's."""

import numpy as np
import pytest

from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.masks import PERSON, UNKNOWN, mask_path, mask_png, read_mask


def test_a_mask_comes_back_as_it_was_and_each_person_has_one(tmp_path):
    masks = np.random.default_rng(0).choice([0, UNKNOWN, PERSON], (2, 5, 7)).astype(np.uint8)
    for person, mask in enumerate(masks):
        path = mask_path(tmp_path, "a.b/c.d.jpg", person)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(mask_png(mask))
    for person, mask in enumerate(masks):
        assert np.array_equal(read_mask(tmp_path, "a.b/c.d.jpg", person, (7, 5)), mask)
    assert read_mask(tmp_path, "a.b/c.d.jpg", 2, (7, 5)) is None
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == ["c.d.jpg#1.png", "c.d.jpg.png"]


def test_frames_of_a_video_and_photos_of_one_stem_have_masks_of_their_own(tmp_path):
    images = ("walk.mp4::000120", "walk.mp4::000121", "walk.jpg", "walk.png")
    assert len({mask_path(tmp_path, image) for image in images}) == 4


def test_a_mask_of_another_size_is_refused(tmp_path):
    mask_path(tmp_path, "a.jpg").write_bytes(mask_png(np.zeros((4, 6), np.uint8)))
    with pytest.raises(ImageError, match=r"the mask is 6 x 4 px, its photo 8 x 4; make it anew"):
        read_mask(tmp_path, "a.jpg", 0, (8, 4))


def test_a_mask_of_zeros_and_ones_is_refused_but_one_of_nobody_is_none(tmp_path):
    path = mask_path(tmp_path, "a.jpg")
    path.write_bytes(mask_png(np.eye(4, dtype=np.uint8)))
    with pytest.raises(ImageError, match=r"the mask has no value above 1; write 255 where the person is"):
        read_mask(tmp_path, "a.jpg", 0, (4, 4))
    path.write_bytes(mask_png(np.zeros((4, 4), np.uint8)))
    assert not read_mask(tmp_path, "a.jpg", 0, (4, 4)).any()
