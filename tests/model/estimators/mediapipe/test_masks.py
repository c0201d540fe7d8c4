"""Masks by the real network: of a photo, and of a rendered person whose pixels are known."""

from dataclasses import replace

import numpy as np
import pytest
from mediapipe_package import need_mediapipe
from photo_people import batch_of_photo

from datasets_manifest.sources.masks import NOBODY, PERSON, UNKNOWN
from model.body.skeleton import FACE
from model.estimators import ImageInput, create
from model.estimators.mediapipe.masks import MediapipeMasks, to_mask
from model.renderer.people import RestShape
from tasks.body_model import full_body
from tasks.settings import BodyModelConfig
from tasks.synthetic.person import SyntheticConfig, render_person

pytestmark = pytest.mark.long

need_mediapipe()


@pytest.fixture(scope="module")
def masks():
    return MediapipeMasks()


@pytest.fixture(scope="module")
def astronaut():
    data = pytest.importorskip("skimage.data")
    photo = ImageInput.from_rgb("astronaut", np.ascontiguousarray(data.astronaut()))
    return batch_of_photo(photo, create("keypoints", "mediapipe").estimate(photo, None, None))


@pytest.fixture(scope="module")
def rendered():
    """A person, and which pixels are theirs."""
    ehm = full_body(BodyModelConfig())
    config = SyntheticConfig(count=1, seed=5, image_width=256, image_height=320, occluder_share=0.0)
    person = render_person(0, config, ehm, RestShape.from_assets(ehm.assets))
    photo = ImageInput.from_rgb("rendered", person.rgb)
    return batch_of_photo(photo, create("keypoints", "mediapipe").estimate(photo, None, None)), person.mask


def test_her_face_is_in_the_mask_and_what_is_behind_her_is_not(masks, astronaut):
    (mask,) = masks.estimate(astronaut)
    assert mask.shape == astronaut.images[0].shape[:2]
    assert set(np.unique(mask)) == {NOBODY, UNKNOWN, PERSON}
    x, y = np.round(astronaut.keypoints[0, FACE, :2]).astype(int).T
    assert (mask[y, x] == PERSON).mean() > 0.9
    assert (mask[:200, :60] == NOBODY).all()
    assert (mask[:200, 400:] == NOBODY).all()
    assert (mask == UNKNOWN).mean() < 0.1


def test_poses_that_are_known_give_the_mask_that_a_search_gives(masks, rendered):
    # Of a portrait the network finds no pose on some processors.
    batch, _ = rendered
    (known,) = masks.estimate(batch)
    (searched,) = masks.estimate(replace(batch, evidence={}))
    assert (known == searched).mean() > 0.95


def test_keypoints_of_somebody_else_and_a_box_without_anybody_have_no_mask(masks, astronaut):
    moved = astronaut.keypoints + np.array([60.0, 0, 0], np.float32)
    empty = replace(astronaut, boxes_xyxy=np.array([[0.0, 0.0, 60.0, 60.0]]), evidence={})
    unseen = replace(astronaut, sigma_px=np.full((1, 133), np.inf))
    assert [masks.estimate(batch) for batch in (replace(astronaut, keypoints=moved), empty, unseen)] == [[None]] * 3


def test_nearly_all_pixels_of_a_rendered_person_are_right(masks, rendered):
    batch, truth = rendered
    (mask,) = masks.estimate(batch)
    known = mask != UNKNOWN
    assert known.mean() > 0.9
    assert ((mask == PERSON) == truth)[known].mean() > 0.99


def test_what_is_neither_likely_nor_unlikely_is_unknown():
    assert to_mask(np.array([[0.0, 0.19, 0.21, 0.5, 0.79, 0.81, 1.0]])).tolist() == [
        [NOBODY, NOBODY, UNKNOWN, UNKNOWN, UNKNOWN, PERSON, PERSON]
    ]
