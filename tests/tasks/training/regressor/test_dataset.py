"""A sample follows from the seed and its position; what cannot be used ends in one sentence with its id."""

import dataclasses

import numpy as np
import pytest
import torch
from labelled_photos import WIDTH, labelled_photos, write_photo

from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE
from model.body.assets import load_open_body
from model.regressor.augment import AugmentConfig
from model.regressor.batch import TrainingBatch
from model.regressor.config import RegressorConfig
from model.regressor.flip import CoefficientMirror
from tasks.training.engine.broken_rows import TrainingDataError
from tasks.training.regressor.dataset import RegressorDataset

CONFIG = RegressorConfig(crop_px=64, side_px=8)


@pytest.fixture(scope="module")
def mirror():
    return CoefficientMirror.of(load_open_body(), DEFAULT_SIZE)


def dataset(*sets, mirror=None, augment=None, **options):
    augment = augment or (AugmentConfig() if mirror is not None else AugmentConfig(flip_share=0.0))
    return RegressorDataset(sets, augment, CONFIG, 3, mirror=mirror, **options)


def assert_equal(first: TrainingBatch, second: TrainingBatch):
    assert first.sample_ids == second.sample_ids
    for name, value in first.target.named().items():
        assert torch.equal(value, second.target.named()[name]), name
    for field in dataclasses.fields(first):
        value = getattr(first, field.name)
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, getattr(second, field.name)), field.name


def test_a_position_has_one_sample_however_it_is_reached(tmp_path, mirror):
    photos = labelled_photos(tmp_path, 6, 3)
    first, second = dataset(photos, mirror=mirror), dataset(photos, mirror=mirror)
    expected = first.batch(range(18, 36))
    shuffled = np.random.default_rng(0).permutation(18)
    samples = {int(k): second[18 + int(k)] for k in shuffled}
    assert_equal(second.collate([samples[k] for k in range(18)]), expected)


def test_augmentation_changes_from_epoch_to_epoch(tmp_path, mirror):
    data = dataset(labelled_photos(tmp_path, 2), mirror=mirror)
    assert len({data[k].augmentation for k in range(8)}) == 8


def test_evaluation_goes_through_the_rows_as_they_are(tmp_path):
    data = dataset(labelled_photos(tmp_path, 3, 2), augment=AugmentConfig.none(), shuffle=False)
    batch = data.batch(range(len(data)))
    assert batch.sample_ids == tuple(data.rows[0].sample_id(k) for k in range(6))
    assert (batch.weight == 1).all()


def test_people_of_one_photo_share_a_decode(tmp_path, monkeypatch):
    photos = labelled_photos(tmp_path, 4, 3)
    reads = []
    monkeypatch.setattr(
        "tasks.training.regressor.dataset.decode_reduced",
        lambda data, *, name, reduction: reads.append(name) or decode(data, name=name, reduction=reduction),
    )
    data = dataset(photos, augment=AugmentConfig.none())
    for k in range(12):
        data[k]
    assert len(reads) == 4


def decode(data, **options):
    from datasets_manifest.sources.images import decode_reduced

    return decode_reduced(data, **options)


def test_labels_arrive_as_they_are(tmp_path):
    photos = labelled_photos(tmp_path, 2)
    data = dataset(photos, augment=AugmentConfig.none(), shuffle=False, weigh_by_quality=True)
    batch = data.batch([1])
    table = photos.selection
    np.testing.assert_allclose(batch.target.betas[0], table.array("betas")[1])
    np.testing.assert_allclose(batch.target.eyelids[0], table.array("eyelids")[1])
    assert batch.weight[0, 0] == pytest.approx(table.array("body_quality")[1])
    assert batch.weight[0, 3] == pytest.approx(table.array("face_quality")[1])
    from model.rotations import rotmat_to_rotvec

    for name in ("body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose", "eye_pose"):
        turned = rotmat_to_rotvec(getattr(batch.target, name)[0])
        np.testing.assert_allclose(turned, table.array(name)[1].reshape(turned.shape), atol=1e-5, err_msg=name)


def test_a_vanished_photo_ends_in_one_sentence(tmp_path):
    data = dataset(labelled_photos(tmp_path, 2))
    (tmp_path / "photos" / "001.jpg").unlink()
    with pytest.raises(
        TrainingDataError, match=r"small/train/001.jpg#0: its photo in .*photos cannot be used"
    ) as error:
        data.batch(range(2))
    assert "\n" not in str(error.value)


def test_a_truncated_photo_ends_in_one_sentence(tmp_path):
    data = dataset(labelled_photos(tmp_path, 1))
    path = tmp_path / "photos" / "000.jpg"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(TrainingDataError, match=r"small/train/000.jpg#0: .*cannot be decoded"):
        data[0]


def test_another_photo_than_the_annotated_one_is_told(tmp_path):
    data = dataset(labelled_photos(tmp_path, 1))
    write_photo(tmp_path / "photos" / "000.jpg", 0, size=(WIDTH + 8, 96))
    with pytest.raises(TrainingDataError, match=r"is 128 x 96 px, its label was made on one of 120 x 150 px"):
        data[0]


def test_a_broken_photo_gives_way_to_the_next_row_where_allowed(tmp_path):
    photos = labelled_photos(tmp_path, 4)
    data = dataset(photos, augment=AugmentConfig.none(), shuffle=False, max_broken_share=0.5)
    (tmp_path / "photos" / "001.jpg").unlink()
    sample, broken = data.find(1)
    assert sample.row.sample_id == "small/train/002.jpg#0"
    assert [photo.sample_id for photo in broken] == ["small/train/001.jpg#0"]
    for path in (tmp_path / "photos").iterdir():
        path.unlink()
    data = dataset(photos, max_broken_share=0.5)
    with pytest.raises(TrainingDataError, match="4 photos in a row cannot be used"):
        data.find(1)


def test_flips_need_a_mirror(tmp_path, mirror):
    photos = labelled_photos(tmp_path, 1)
    with pytest.raises(ValueError, match=r"betas mirror is not given; set augment.flip_share to 0"):
        RegressorDataset([photos], AugmentConfig(), CONFIG, 0)
    crooked = dataclasses.replace(mirror, betas_residual=0.4)
    with pytest.raises(ValueError, match="leaves 40% of the shape unexplained"):
        RegressorDataset([photos], AugmentConfig(), CONFIG, 0, mirror=crooked)


def test_faces_without_a_mirror_do_not_supervise_when_flipped(tmp_path, mirror):
    data = dataset(
        labelled_photos(tmp_path, 1),
        augment=AugmentConfig(scale=0.0, rotation_share=0.0, flip_share=1.0, extreme_crop_share=0.0),
        mirror=dataclasses.replace(mirror, expression_residual=0.5),
    )
    batch = data.batch([0])
    assert not batch.face_valid.any()
    assert batch.body_valid.all()


def test_other_numbers_of_coefficients_are_told(tmp_path):
    with pytest.raises(ValueError, match=r"have 7 numbers of betas, the network 10"):
        dataset(labelled_photos(tmp_path, 1, num_betas=7))


def test_no_data_set_is_refused():
    with pytest.raises(ValueError, match="one data set or more"):
        dataset()
