"""Pictures of parts: cut where their square lies in the crop, from the photo itself, and the mask with it."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from labelled_photos import HEIGHT, WIDTH, labelled_photos

from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE
from datasets_manifest.sources.masks import NOBODY, PERSON, UNKNOWN, mask_path, mask_png
from model.body.assets import load_open_body
from model.imaging.squares import apply_affine, invert_affine
from model.regressor.augment import AugmentConfig
from model.regressor.config import RegressorConfig
from model.regressor.flip import CoefficientMirror
from model.renderer.part_windows import PARTS
from tasks.training.engine.broken_rows import TrainingDataError
from tasks.training.photometric.dataset import PicturedDataset

CONFIG = RegressorConfig(crop_px=64, side_px=8)
SIZE = 48
PLACE = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), -1)


@pytest.fixture
def people(tmp_path):
    """Photos whose red and green say where a pixel is, and masks of their right half; the left edge is unknown."""
    photos = labelled_photos(tmp_path, 3)
    masks = tmp_path / "masks"
    levels = np.where(PLACE[..., 0] >= 60, PERSON, np.where(PLACE[..., 0] < 20, UNKNOWN, NOBODY)).astype(np.uint8)
    for image in photos.selection.table["image"].to_pylist():
        pixels = np.dstack([np.zeros((HEIGHT, WIDTH)), PLACE[..., 1], PLACE[..., 0]]).astype(np.uint8)  # blue first
        (photos.images.root / image).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        path = mask_path(masks, image)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mask_png(levels))
    return dataclasses.replace(photos, masks=masks)


def dataset(people, augment=None, mirror=None, **options):
    stated = {"parts": PARTS, "picture_px": SIZE, "min_part_px": 16, **options}
    return PicturedDataset([people], augment or AugmentConfig.none(), CONFIG, 3, mirror=mirror, **stated)


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_picture_is_its_square_of_the_crop_taken_from_the_photo(people, is_mirrored):
    augment = AugmentConfig(flip_share=float(is_mirrored), rotation_deg=20.0)
    batch = dataset(people, augment, CoefficientMirror.of(load_open_body(), DEFAULT_SIZE)).batch(range(3))
    middle = (np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), -1) + 0.5) / SIZE - 0.5
    for part in PARTS:
        pictures = batch.pictures[part]
        assert pictures.is_shown.all()
        for row in range(3):
            x, y, side = pictures.window[row].tolist()
            in_crop = (middle * side + [x, y] + 0.5) * CONFIG.crop_px
            place = apply_affine(invert_affine(batch.crop_from_image[row].numpy()), in_crop) - 0.5
            inside = ((place > 2) & (place < [WIDTH - 3, HEIGHT - 3])).all(-1)
            found = pictures.rgb[row, :2].permute(1, 2, 0).numpy()[inside].astype(float)
            assert np.abs(found - place[inside]).max() < 1.5
            person, known = pictures.person[row, 0].numpy()[inside], pictures.known[row, 0].numpy()[inside]
            assert (person[found[:, 0] > 62] > 250).all()
            assert not person[found[:, 0] < 58].any()
            assert known[found[:, 0] > 22].all()
            assert not known[found[:, 0] < 18].any()
            far = ((place < -2) | (place > [WIDTH + 1, HEIGHT + 1])).any(-1)
            assert not pictures.known[row, 0].numpy()[far].any()


def test_small_parts_have_no_picture_and_photos_without_a_mask_say_so(people):
    batch = dataset(people, min_part_px=1000).batch(range(3))
    assert not any(batch.pictures[part].is_shown.any() for part in PARTS)
    plain = dataset(dataclasses.replace(people, masks=None)).batch(range(3)).pictures["head"]
    assert not plain.has_mask.any()
    assert (plain.person[plain.known] == 255).all()
    assert torch.equal(plain.rgb, dataset(people).batch(range(3)).pictures["head"].rgb)


def test_a_mask_of_another_size_ends_in_one_sentence(people):
    image = people.selection.table["image"][0].as_py()
    mask_path(people.masks, image).write_bytes(mask_png(np.zeros((4, 4), np.uint8)))
    with pytest.raises(TrainingDataError, match=r"the mask is 4 x 4 px, its photo, upright, 120 x 150; make it anew"):
        dataset(people, shuffle=False)[0]
