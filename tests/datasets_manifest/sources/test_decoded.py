"""Photos are decoded once a process, within a bound of memory."""

import cv2
import numpy as np
import pytest

from datasets_manifest.sources.decoded import DecodedPhotos, in_chunks
from datasets_manifest.sources.images import ImageError, decode_image

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


def test_chunks_are_bounded_in_order_and_made_when_asked_for() -> None:
    made = []

    def items():
        for size in (10, 10, None, 10, 40, 5, 5):
            made.append(size)
            yield size, None if size is None else np.zeros(size, np.uint8)

    chunks = in_chunks(items(), lambda item: item[1], 25)
    assert [size for size, _ in next(chunks)] == [10, 10, None]
    assert len(made) == 4, "one photo beyond the chunk"
    assert [[size for size, _ in chunk] for chunk in chunks] == [[10], [40], [5, 5]]


def test_a_photo_that_people_share_counts_once() -> None:
    shared, other = np.zeros(20, np.uint8), np.zeros(20, np.uint8)
    assert [len(chunk) for chunk in in_chunks([shared, shared, shared, other], lambda photo: photo, 25)] == [3, 1]
    assert list(in_chunks([], lambda photo: photo, 25)) == []
