"""Masks beside photos: found by the photo's name, refused where they are another photo's."""

import io

import numpy as np
import pytest
from PIL import Image

from datasets_manifest.sources.images import ImageError, decode_image
from datasets_manifest.sources.masks import NOBODY, PERSON, UNKNOWN, mask_path, mask_png, read_mask


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
    with pytest.raises(ImageError, match=r"a\.jpg\.png: the mask is 6 x 4 px, its photo, upright, 8 x 4; make it anew"):
        read_mask(tmp_path, "a.jpg", 0, (8, 4))


def test_a_mask_of_zeros_and_ones_is_refused_but_one_of_nobody_is_none(tmp_path):
    path = mask_path(tmp_path, "a.jpg")
    path.write_bytes(mask_png(np.eye(4, dtype=np.uint8)))
    with pytest.raises(ImageError, match=r"the mask has no value above 1; write 255 where the person is"):
        read_mask(tmp_path, "a.jpg", 0, (4, 4))
    path.write_bytes(mask_png(np.zeros((4, 4), np.uint8)))
    assert not read_mask(tmp_path, "a.jpg", 0, (4, 4)).any()


def stored(mask, mode=None, kind="PNG", **options):
    picture = io.BytesIO()
    image = Image.fromarray(mask)
    (image if mode is None else image.convert(mode)).save(picture, kind, **options)
    return picture.getvalue()


MASK = np.kron(np.array([[NOBODY, PERSON], [UNKNOWN, PERSON]], np.uint8), np.ones((13, 13), np.uint8))
CUT_OUT = np.dstack([np.full_like(MASK, 90)] * 3 + [MASK])


@pytest.mark.parametrize("mode", ["L", "P", "RGB"])
def test_a_grey_mask_is_read_however_it_is_stored(tmp_path, mode):
    mask_path(tmp_path, "a.jpg").write_bytes(stored(MASK, mode))
    assert np.array_equal(read_mask(tmp_path, "a.jpg", 0, (26, 26)), MASK)


def test_what_a_lossy_picture_has_near_a_value_is_that_value(tmp_path):
    data = stored(MASK, kind="JPEG", quality=60)
    assert not np.array_equal(decode_image(data, name="")[..., 0], MASK)
    mask_path(tmp_path, "a.jpg").write_bytes(data)
    assert np.array_equal(read_mask(tmp_path, "a.jpg", 0, (26, 26)), MASK)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (stored(MASK.astype(np.uint16)), r"no 8-bit grey picture \(but I;16\)"),
        (stored(CUT_OUT), r"no 8-bit grey picture \(but transparent\); save it as one, without transparency"),
        (stored(np.dstack([0 * MASK, MASK, 0 * MASK])), r"no 8-bit grey picture \(but RGB\)"),
        (stored(MASK // 64), r"no value above 3; write 255 where the person is and 128 where"),
        (b"no picture", r"is text, not an image"),
    ],
    ids=["16 bits", "cut out", "colour", "numbers of classes", "no picture"],
)
def test_what_is_no_mask_is_refused_in_a_sentence_that_names_it(tmp_path, data, told):
    mask_path(tmp_path, "a.jpg").write_bytes(data)
    with pytest.raises(ImageError, match=rf"a\.jpg\.png:? .*({told})"):
        read_mask(tmp_path, "a.jpg", 0, (26, 26))


def test_the_mask_of_a_turned_photo_is_upright(tmp_path):
    """As the pipeline sees the photo; one as the photo is stored is told what the size should be."""
    turned = Image.Exif()
    turned[0x0112] = 6
    photo = decode_image(stored(np.zeros((20, 30), np.uint8), "RGB", "JPEG", exif=turned.tobytes()), name="")
    size = photo.shape[1], photo.shape[0]
    assert size == (20, 30)
    upright = np.full((30, 20), PERSON, np.uint8)
    mask_path(tmp_path, "a.jpg").write_bytes(mask_png(upright))
    assert np.array_equal(read_mask(tmp_path, "a.jpg", 0, size), upright)
    mask_path(tmp_path, "a.jpg").write_bytes(mask_png(upright.T))
    with pytest.raises(ImageError, match="the mask is 30 x 20 px, its photo, upright, 20 x 30"):
        read_mask(tmp_path, "a.jpg", 0, size)
