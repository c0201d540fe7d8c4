"""Photos are decoded once a process, within a bound of memory."""

import cv2
import numpy as np
import pytest

from datasets_manifest.images import ImageError, decode_image
from tasks.photos import DecodedPhotos

SIDE = 64
NUM_BYTES = SIDE * SIDE * 3


def photo(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def test_the_same_bytes_are_decoded_once_and_right() -> None:
    photos = DecodedPhotos(max_bytes=10 * NUM_BYTES)
    first = photos.decode(photo(0), "a.png")
    assert photos.decode(photo(0), "b.png") is first
    assert np.array_equal(first, decode_image(photo(0), name="a.png"))
    assert photos.decode(photo(1), "a.png") is not first


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    photos = DecodedPhotos(max_bytes=2 * NUM_BYTES)
    first, second = photos.decode(photo(0), "0"), photos.decode(photo(1), "1")
    assert photos.decode(photo(0), "0") is first
    photos.decode(photo(2), "2")
    assert photos.decode(photo(0), "0") is first
    assert photos.decode(photo(1), "1") is not second


def test_a_photo_larger_than_the_bound_is_decoded_but_not_kept() -> None:
    photos = DecodedPhotos(max_bytes=NUM_BYTES - 1)
    assert photos.decode(photo(0), "0") is not photos.decode(photo(0), "0")


def test_shared_photos_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        DecodedPhotos(max_bytes=NUM_BYTES).decode(photo(0), "0")[0, 0] = 0


def test_a_broken_photo_is_refused_every_time() -> None:
    photos = DecodedPhotos(max_bytes=NUM_BYTES)
    for _ in range(2):
        with pytest.raises(ImageError):
            photos.decode(b"no photo", "0")
