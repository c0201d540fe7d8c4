"""Everybody who was found by keypoints is asked for a mask, and nobody else."""

import dataclasses

import numpy as np

from model.estimators.base import KeypointsOutput
from tasks.predict.avatar import masks as module
from tasks.predict.avatar.masks import Masks
from tasks.predict.people import whole_image

RGB = np.zeros((40, 60, 3), np.uint8)


def found(usable):
    """People whose keypoints and evidence are their number."""
    num = len(usable)
    output = KeypointsOutput(
        boxes_xyxy=np.zeros((num, 4), np.float32),
        box_source=["detector"] * num,
        scores=np.ones(num),
        keypoints=np.ones((num, 133, 3), np.float32) * np.arange(num)[:, None, None],
        sigma_px=np.ones((num, 133), np.float32),
        part_valid=np.ones((num, 4), bool),
        part_details=[(None,) * 4] * num,
        limb_details=[(None,) * 6] * num,
        valid=np.ones(num, bool),
        reasons=[None] * num,
        evidence={"pose_px": np.arange(num)},
    )
    people = whole_image(RGB)
    return dataclasses.replace(people, sources=("detector",) * num, usable=np.array(usable), output=output)


def test_masks_are_those_of_the_usable_people(monkeypatch):
    class Numbers:
        def estimate(self, batch):
            assert np.array_equal(batch.keypoints[:, 0, 0], batch.evidence["pose_px"])
            return [np.full(batch.images[0].shape[:2], number, np.uint8) for number in batch.evidence["pose_px"]]

    monkeypatch.setattr(module, "MediapipeMasks", Numbers)
    masks = Masks().of(RGB, found([False, True, True]))
    assert [mask.max() for mask in masks if mask is not None] == [1, 2]
    assert Masks().of(RGB, whole_image(RGB)) == [None]
    assert Masks().of(RGB, found([False])) == []


def test_without_mediapipe_there_are_no_masks_and_the_log_says_so(monkeypatch, caplog):
    def absent():
        raise ImportError("MediaPipe is not installed")

    monkeypatch.setattr(module, "MediapipeMasks", absent)
    assert Masks().of(RGB, found([True, True])) == [None, None]
    assert "avatars are drawn without masks of the people in the photos: MediaPipe is not installed" in caplog.text
