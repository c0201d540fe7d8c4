"""Batches do not depend on the number of processes, workers or where a run begins again.

Workers begin by a fork server: other tests leave a Prefect client in this process, which a fork does not survive.
"""

import pytest
import torch
from labelled_photos import labelled_photos

from model.regressor.augment import AugmentConfig
from model.regressor.config import RegressorConfig
from tasks.training.engine.broken_rows import BrokenRows, TrainingDataError
from tasks.training.engine.loader import build_loader
from tasks.training.regressor.dataset import RegressorDataset

CONFIG = RegressorConfig(crop_px=32, side_px=0)


def dataset(*sets, **options):
    return RegressorDataset(sets, AugmentConfig(flip_share=0.0), CONFIG, 7, **options)


def content(batch):
    return (batch.sample_ids, batch.crops, batch.keypoints_2d, batch.target.global_orient)


def same(first, second):
    return first[0] == second[0] and all(torch.equal(a, b) for a, b in zip(first[1:], second[1:], strict=True))


@pytest.mark.long
def test_workers_change_nothing(tmp_path):
    data = dataset(labelled_photos(tmp_path, 5, 2))
    alone = [content(b) for b in build_loader(data, num_steps=5, batch_size=3)]
    helped = [
        content(b) for b in build_loader(data, num_steps=5, batch_size=3, num_workers=2, start_method="forkserver")
    ]
    assert len(alone) == len(helped) == 5
    assert all(same(a, b) for a, b in zip(alone, helped, strict=True))


def test_two_processes_share_the_batch_of_one(tmp_path):
    data = dataset(labelled_photos(tmp_path / "a", 5), labelled_photos(tmp_path / "b", 9, name="other", weight=2.0))
    whole = [content(b) for b in build_loader(data, num_steps=4, batch_size=6)]
    halves = [
        [content(b) for b in build_loader(data, num_steps=4, batch_size=3, rank=rank, world_size=2)] for rank in (0, 1)
    ]
    for step, batch in enumerate(whole):
        left, right = halves[0][step], halves[1][step]
        assert left[0] + right[0] == batch[0]
        assert all(torch.equal(torch.cat([a, b]), c) for a, b, c in zip(left[1:], right[1:], batch[1:], strict=True))


def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path):
    data = dataset(labelled_photos(tmp_path, 7, 2))
    whole = [content(b) for b in build_loader(data, num_steps=6, batch_size=4)]
    rest = [content(b) for b in build_loader(data, first_step=2, num_steps=4, batch_size=4)]
    assert all(same(a, b) for a, b in zip(whole[2:], rest, strict=True))


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.long)])
def test_a_vanished_photo_stops_with_one_sentence(tmp_path, workers):
    data = dataset(labelled_photos(tmp_path, 3))
    (tmp_path / "photos" / "002.jpg").unlink()
    loader = build_loader(data, num_steps=3, batch_size=3, num_workers=workers, start_method="forkserver")
    with pytest.raises(TrainingDataError, match=r"^small/train/002.jpg#0: its photo") as error:
        list(loader)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.long)])
def test_broken_photos_are_counted_up_to_the_stated_share(tmp_path, workers):
    data = dataset(labelled_photos(tmp_path, 10), max_broken_share=0.2)
    for k in (1, 4):
        (tmp_path / "photos" / f"{k:03d}.jpg").unlink()
    loader = build_loader(data, num_steps=6, batch_size=5, num_workers=workers, start_method="forkserver")
    assert all(len(batch) == 5 for batch in loader)
    assert sorted(loader.broken.sentences) == ["small/train/001.jpg#0", "small/train/004.jpg#0"]
    (tmp_path / "photos" / "007.jpg").unlink()
    with pytest.raises(TrainingDataError, match=r"^3 of 10 rows have photos that cannot be used, allowed are 2"):
        list(build_loader(data, num_steps=6, batch_size=5, num_workers=workers, start_method="forkserver"))


def test_the_share_of_broken_photos_is_one_of_all_processes_and_all_parts_of_a_run(tmp_path):
    data = dataset(labelled_photos(tmp_path, 8), max_broken_share=0.3)
    for k in (0, 2, 4, 6):
        (tmp_path / "photos" / f"{k:03d}.jpg").unlink()
    ranks = [BrokenRows(8, 0.3) for _ in range(4)]
    for rank, own in enumerate(ranks):
        loader = build_loader(data, num_steps=2, batch_size=1, rank=rank, world_size=4, broken=own)
        assert len(list(loader)) == 2  # no process alone meets more than the two that are allowed
    news = [own.news() for own in ranks]
    said = []
    for own in ranks:
        for other in news:
            own.take(other)
        with pytest.raises(TrainingDataError, match=r"^[34] of 8 rows .* allowed are 2; the last: small/train/00"):
            own.check()
        said.append(set(own.sentences))
    assert all(one == said[0] for one in said)
    assert not ranks[0].news()
    again = BrokenRows(8, 0.3)
    again.resume(sorted(said[0])[:2])
    loader = build_loader(data, first_step=0, num_steps=8, batch_size=1, broken=again)
    with pytest.raises(TrainingDataError, match=r"^3 of 8 rows .* allowed are 2; the last: small/train/00"):
        list(loader)


def test_exactly_the_allowed_share_of_rows_may_be_broken():
    assert BrokenRows(100, 0.29).max_rows == 29


def test_errors_of_the_program_are_not_taken_for_bad_photos(tmp_path, monkeypatch):
    data = dataset(labelled_photos(tmp_path, 3), max_broken_share=1.0)
    monkeypatch.setattr("tasks.training.regressor.dataset.make_sample", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(build_loader(data, num_steps=1, batch_size=1))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rank": 2, "world_size": 2}, "rank: expected 0 to 1"),
        ({"num_steps": -1}, "0 or more"),
        ({"batch_size": 0}, "at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        build_loader(dataset(labelled_photos(tmp_path, 1)), **{"num_steps": 1, "batch_size": 1} | options)
