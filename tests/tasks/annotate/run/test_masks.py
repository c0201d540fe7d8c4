"""Masks of annotated people lie where a training finds them, one a person."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from annotated_project import PEOPLE
from mediapipe_package import need_mediapipe

from datasets_manifest.sources.masks import PERSON, read_mask
from tasks.annotate.run.masks import write_masks
from tasks.annotate.settings import Origin
from tasks.display import Lines

need_mediapipe()
DISPLAY = Lines(logging.getLogger("test"))


@pytest.fixture
def project(rendered):
    return Origin.of(rendered).config(), len(pd.read_parquet(rendered.parent / "labels"))


def test_everybody_with_keypoints_has_a_mask_beside_what_made_it(project, tmp_path):
    config, people = project
    (count,) = write_masks(config, [], tmp_path, DISPLAY)
    assert count.folder == tmp_path / "few/all"
    assert count.people == people == PEOPLE
    found = [read_mask(count.folder, f"images/{number:06d}.jpg", 0, (512, 640)) for number in range(PEOPLE)]
    assert sum(mask is not None for mask in found) == count.masks >= PEOPLE // 2
    for mask in filter(lambda mask: mask is not None, found):
        assert 0.01 < (mask == PERSON).mean() < 0.9
    assert json.loads((count.folder / "source.json").read_text())["name"] == "mediapipe-pose"


def test_what_made_the_masks_counts_those_of_the_data_set(project, tmp_path, monkeypatch):
    config, _ = project
    own = lambda self, name, size: np.full(size[::-1], PERSON, np.uint8) if name.endswith("000001#0") else None  # noqa: E731
    monkeypatch.setattr("tasks.annotate.run.masks.AnnotatedMasks.of", own)
    (count,) = write_masks(config, [], tmp_path, DISPLAY)
    said = json.loads((count.folder / "source.json").read_text())
    assert (said["masks"], said["annotated"]) == (count.masks, count.annotated) == (count.masks, 1)


def test_a_mask_that_is_no_more_is_removed(project, tmp_path, monkeypatch):
    config, _ = project
    (count,) = write_masks(config, ["few"], tmp_path, DISPLAY)
    assert list(tmp_path.rglob("*.png"))
    nobody = lambda self, batch: [None] * len(batch)  # noqa: E731
    monkeypatch.setattr("model.estimators.mediapipe.masks.MediapipeMasks.estimate", nobody)
    (count,) = write_masks(config, ["few"], tmp_path, DISPLAY)
    assert (count.masks, list(tmp_path.rglob("*.png"))) == (0, [])


def test_a_data_set_without_keypoints_is_refused(project, tmp_path):
    config, _ = project
    with pytest.raises(ValueError, match=r"no keypoints of data set other in .*: annotate first"):
        write_masks(config, ["other"], tmp_path, DISPLAY)


def test_a_photo_that_is_gone_is_told_in_one_sentence(project, tmp_path):
    config, _ = project
    (photo,) = Path(config.output.work).rglob("000002.jpg")
    photo.rename(tmp_path / "away.jpg")
    try:
        with pytest.raises(ValueError, match=r"few/all/images/000002#0: .*readable when its keypoints were made"):
            write_masks(config, [], tmp_path / "masks", DISPLAY)
    finally:
        (tmp_path / "away.jpg").rename(photo)
