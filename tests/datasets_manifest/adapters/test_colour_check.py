"""Photos with red and blue changed stop a listing by the faces of their people."""

import cv2
import numpy as np
import pytest

from datasets_manifest.adapters.base import ImageRecord, PersonRecord
from datasets_manifest.adapters.colour_check import with_colours_checked
from datasets_manifest.sources.opening import open_images

SKINS = [(236, 188, 180), (198, 134, 66), (141, 85, 36), (90, 56, 37)]
"""From fair to dark, RGB."""


def photos(root, count=20, *, swapped=False, grey=False):
    """Entries of photos of one face each, of which a sixth are in the blue shade of snow."""
    points = np.zeros((133, 3), np.float32)
    points[:3] = [[32, 34, 1], [38, 30, 1], [26, 30, 1]]
    records = []
    for number in range(count):
        colour = np.array((90, 110, 140) if number % 6 == 5 else SKINS[number % 4], np.uint8)
        rgb = np.full((64, 64, 3), colour if not grey else colour.mean().astype(np.uint8), np.uint8)
        cv2.imwrite(str(root / f"{number}.png"), rgb if swapped else rgb[..., ::-1])
        person = PersonRecord(index=0, keypoints=points)
        records.append(ImageRecord(image_id=str(number), path=f"{number}.png", people=(person,)))
    return records


def listed(root, records):
    return list(with_colours_checked(records, open_images(root), "data set mine"))


def test_photos_as_they_are_pass_in_their_order(tmp_path):
    records = photos(tmp_path)
    assert listed(tmp_path, records) == records


def test_red_and_blue_that_were_changed_stop_the_listing(tmp_path):
    with pytest.raises(ValueError, match=r"data set mine: of 20 annotated faces 3 are redder than blue"):
        listed(tmp_path, photos(tmp_path, swapped=True))


def test_few_faces_and_grey_ones_say_nothing(tmp_path):
    assert len(listed(tmp_path, photos(tmp_path, 15, swapped=True))) == 15
    assert len(listed(tmp_path, photos(tmp_path, grey=True, swapped=True))) == 20


def test_photos_that_cannot_be_read_are_left_to_their_rows(tmp_path):
    records = photos(tmp_path, swapped=True)
    for number in range(10):
        (tmp_path / f"{number}.png").unlink()
    assert len(listed(tmp_path, records)) == 20
