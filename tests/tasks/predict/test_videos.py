"""Videos as they come: with a cut, of one frame, without people, filmed upright, of a varying rate, and broken ones."""

import re

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from known_people import TINY
from video_files import FPS, SIZE, write_clip

from datasets_manifest.sources.video import VideoClip
from model.body.assets import load_open_body
from model.estimators import registry
from model.estimators.base import EstimatorInfo, KeypointsOutput
from model.regressor.checkpoint import CheckpointMeta, save_regressor
from model.regressor.network import EhmRegressor
from tasks.film import film_into
from tasks.predict.run import predict
from tasks.predict.settings import PredictConfig
from tasks.settings import EstimatorConfig

UNEVEN_S = [0, 0.03, 0.06, 0.14, 0.17]
SENTENCES = {
    "cut_short.mkv": r"cut_short\.mkv states 20 frames \(2\.00 s\), but it ends after \d+ \(",
    "empty.mp4": r"empty\.mp4 \(0 bytes\) cannot be opened as a video: ",
    "half.mp4": r"half\.mp4 \(\d+ bytes\) cannot be opened as a video: ",
    "text.mov": r"text\.mov \(5 bytes\) cannot be opened as a video: ",
}


class OnePersonEach:
    """A keypoint backend that finds one person, who fills the picture, but nobody in clips of that name."""

    info = EstimatorInfo(name="one_each", version="1")

    def estimate(self, image, boxes, annotated):
        num = int("nobody" not in image.image_id)
        height, width = image.rgb.shape[:2]
        return KeypointsOutput(
            boxes_xyxy=np.array([[4, 4, width - 4, height - 4]] * num, np.float32).reshape(num, 4),
            box_source=["detector"] * num,
            scores=np.full(num, 0.5),
            keypoints=np.zeros((num, 133, 3), np.float32),
            sigma_px=np.full((num, 133), np.inf, np.float32),
            part_valid=np.ones((num, 4), bool),
            valid=np.ones(num, bool),
            part_details=[(None,) * 4] * num,
            limb_details=[(None,) * 6] * num,
            reasons=[None] * num,
            evidence={},
        )


def write_scenes(path, lengths):
    """Scenes of other colours, each of so many frames."""
    with path.open("wb") as file, film_into(file) as film:
        for frame, scene in enumerate(np.repeat(np.arange(len(lengths)), lengths).tolist()):
            colours = np.random.default_rng(scene).integers(0, 256, (4, 6, 3), dtype=np.uint8)
            film.add(cv2.resize(colours, SIZE), frame / FPS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Rows and films of all of them, smooth."""
    root = tmp_path_factory.mktemp("videos")
    clips = root / "in"
    clips.mkdir()
    write_scenes(clips / "cut.mp4", [5, 5])
    write_clip(clips / "one.mp4", 1)
    write_clip(clips / "nobody.mp4", 3)
    write_clip(clips / "upright.mp4", 4, turned=(90, False, False))
    write_clip(clips / "uneven.mp4", len(UNEVEN_S), times_s=UNEVEN_S)
    for name, of in (("cut_short.mkv", "a.mkv"), ("half.mp4", "a.mp4")):
        whole = write_clip(root / of, 20).read_bytes()
        (clips / name).write_bytes(whole[: len(whole) // 2])
    (clips / "empty.mp4").write_bytes(b"")
    (clips / "text.mov").write_text("hello")
    torch.manual_seed(1)
    network, assets = EhmRegressor(TINY), load_open_body()
    with torch.no_grad():  # people of other shapes in each frame
        for readout in [*network.smplx_head.children(), *network.flame_head.children()]:
            readout.linear.weight *= 30
    body = {"name": assets.smplx.name, "sha256": assets.sha256}
    (root / "net.safetensors").write_bytes(save_regressor(network, CheckpointMeta(config=TINY, body_model=body)))
    config = PredictConfig(
        checkpoint=str(root / "net.safetensors"),
        out=str(root / "out"),
        keypoints=EstimatorConfig(backend="one_each"),
        overlays=True,
        smooth=True,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._FACTORIES, ("keypoints", "one_each"), OnePersonEach)
        predict([str(clips)], config)
    return root


@pytest.fixture(scope="module")
def rows_of(folder):
    table = pd.read_parquet(folder / "out/people")
    return {source.rpartition("/")[2]: rows for source, rows in table.groupby("source")}


def film_of(folder, name):
    (path,) = (folder / "out/overlays").rglob(f"{name}.overlay.mp4")
    return VideoClip.index(path, name=name)


def shape(rows):
    return np.stack(list(rows["betas"]))


@pytest.mark.long
def test_a_cut_ends_tracks_and_smoothing(rows_of):
    rows = rows_of["cut.mp4"]
    assert rows["track"].tolist() == [0] * 5 + [1] * 5
    before, after = shape(rows[:5]), shape(rows[5:])
    assert np.ptp(before, 0).max() == np.ptp(after, 0).max() == 0
    assert np.abs(before[0] - after[0]).max() > 1e-3


@pytest.mark.long
def test_a_video_of_one_frame_is_one_row_and_a_film_of_one_frame(rows_of, folder):
    (row,) = rows_of["one.mp4"].to_dict("records")
    assert (row["frame"], row["time_s"], row["track"], row["status"]) == (0, 0.0, 0, "ok")
    assert film_of(folder, "one").num_frames == 1


def test_a_video_without_people_has_a_row_and_a_picture_a_frame(rows_of, folder):
    rows = rows_of["nobody.mp4"]
    assert rows["frame"].tolist() == [0, 1, 2]
    assert set(rows["error_code"]) == {"no_person_found"}
    assert film_of(folder, "nobody").num_frames == 3


def test_people_of_a_video_that_was_filmed_upright_are_in_the_upright_picture(rows_of, folder):
    rows = rows_of["upright.mp4"]
    assert set(zip(rows["image_width"], rows["image_height"], strict=True)) == {SIZE[::-1]}
    assert rows["bbox_xyxy"].iloc[0].tolist() == [4, 4, SIZE[1] - 4, SIZE[0] - 4]
    assert film_of(folder, "upright").rgb(0).shape == (*SIZE, 3)


def test_frames_of_a_varying_rate_keep_their_times(rows_of, folder):
    rows = rows_of["uneven.mp4"]
    assert rows["time_s"].to_numpy() == pytest.approx(UNEVEN_S, abs=1e-3)
    assert set(rows["track"]) == {0}
    assert film_of(folder, "uneven").frames.times_s == pytest.approx(UNEVEN_S, abs=1e-3)


@pytest.mark.parametrize("name", sorted(SENTENCES))
def test_what_cannot_be_read_of_a_video_is_one_sentence_in_one_row(rows_of, name):
    rows = rows_of[name]
    (failed,) = rows[rows["status"] == "failed"].to_dict("records")
    assert failed["error_code"] == ("video_truncated" if name == "cut_short.mkv" else "video_unreadable")
    assert re.search(SENTENCES[name], failed["error_detail"])
    assert (len(rows) > 1) == (name == "cut_short.mkv"), "the frames before the cut are there"
