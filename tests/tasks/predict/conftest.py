"""Inputs of every kind, and one run of all of them."""

import contextlib

import cv2
import numpy as np
import pandas as pd
import pytest
from predictions_of_photos import BoxesByWidth, checkpoint, photo, settings
from video_files import write_video

from datasets_manifest.sources.frame_choice import FrameChoice
from model.estimators import registry
from tasks.predict.run import predict


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Inputs of every kind and a checkpoint of random weights."""
    root = tmp_path_factory.mktemp("predict")
    (root / "in").mkdir()
    photo(root / "in/a_three.png", 96)
    photo(root / "in/b_nobody.png", 64)
    (root / "in/c_cut.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((64, 96, 3), np.uint8))[1].tobytes()[:300])
    write_video(root / "in/d_walk.avi", 6)
    whole = write_video(root / "whole.mkv", code="mp4v").read_bytes()
    (root / "in/e_cut.mkv").write_bytes(whole[: int(0.6 * len(whole))])
    (root / "in/f_none.mp4").write_bytes(b"no video")
    (root / "net.safetensors").write_bytes(checkpoint())
    return root


@contextlib.contextmanager
def known():
    """The backend `by_width`, as long as this lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._FACTORIES, ("keypoints", "by_width"), BoxesByWidth)
        yield


@pytest.fixture(scope="module")
def backend():
    """Settings of these tests may name it."""
    with known():
        yield


@pytest.fixture(scope="session")
def result(folder):
    """Everything on, of every input."""
    config = settings(folder, folder / "out", meshes="gltf", overlays=True, frames=FrameChoice(every=3))
    seen = []

    class Remembered:
        def show(self, what, done, total, note, left_s):
            seen.append(done)

    with known():
        done = predict([str(folder / "in")], config, Remembered())
    assert seen
    return done


@pytest.fixture(scope="session")
def rows(result, folder):
    table = pd.read_parquet(folder / "out/people")
    table["source"] = table["source"].str.rpartition("/")[2]
    return table
