"""A prediction from files to files: every input has a row, the rows are the people, the meshes are the rows."""

import dataclasses
import io
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import trimesh
from grey_renderer import grey_renderer
from PIL import Image
from video_files import write_video

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.error_codes import ErrorCode, Refusal
from datasets_manifest.schema.predictions import SEEN_COLUMNS, prediction_schema, rotations_schema
from datasets_manifest.settings import read_settings
from datasets_manifest.shards.shard import read_footer, read_shard
from datasets_manifest.sources.video import FrameChoice, VideoClip
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.estimators import registry
from model.estimators.base import EstimatorInfo, KeypointsOutput
from model.regressor.checkpoint import CheckpointMeta, save_regressor
from model.regressor.config import BackboneConfig, ReadoutConfig, RegressorConfig
from model.regressor.network import EhmRegressor
from model.renderer.mesh_files import y_up
from model.renderer.raster import project
from model.renderer.texture.file import RendererMeta, save_renderer
from tasks.posing import pose_bodies
from tasks.predict import run as module
from tasks.predict.run import predict
from tasks.predict.settings import AvatarConfig, PredictConfig
from tasks.settings import BodyModelConfig, EstimatorConfig

TINY = RegressorConfig(
    backbone=BackboneConfig(size="", width=32, depth=1, heads=2),
    decoder=ReadoutConfig(width=32, depth=1, heads=1, hidden=32),
    crop_px=64,
    side_px=8,
)
BY_WIDTH = {
    96: [([20, 4, 60, 60], None), ([50, 8, 90, 58], "person_overlapped"), ([500, 4, 560, 60], "box_invalid")],
    64: [],
    80: [([10, 5, 70, 60], None)],
}
"""Width of a photo -> boxes of its people and what the backend has against them."""


class BoxesByWidth:
    """A keypoint backend that knows the photos of these tests."""

    info = EstimatorInfo(name="by_width", version="1")

    def estimate(self, image, boxes, annotated):
        if image.rgb.shape[1] == 70:
            raise RuntimeError(f"{image.image_id} is too much for it")
        people = BY_WIDTH[image.rgb.shape[1]]
        num = len(people)
        return KeypointsOutput(
            boxes_xyxy=np.array([box for box, _ in people], np.float32).reshape(num, 4),
            box_source=["detector"] * num,
            scores=np.full(num, 0.5),
            keypoints=np.zeros((num, 133, 3), np.float32),
            sigma_px=np.full((num, 133), np.inf, np.float32),
            part_valid=np.ones((num, 4), bool),
            valid=np.array([reason != "box_invalid" for _, reason in people], bool),
            part_details=[(None,) * 4] * num,
            limb_details=[(None,) * 6] * num,
            reasons=[code and Refusal(ErrorCode(code), f"{code}: 2 found, 3 needed") for _, code in people],
            evidence={},
        )


def photo(path, width, height=64):
    noise = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.GaussianBlur(noise, (0, 0), 2))


@pytest.fixture(scope="module")
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


def checkpoint(sha256=None, config=TINY):
    assets = load_open_body()
    torch.manual_seed(1)
    body = {"name": assets.smplx.name, "sha256": sha256 or assets.sha256}
    network = EhmRegressor(config)
    with torch.no_grad():
        for readout in [*network.smplx_head.children(), *network.flame_head.children()]:
            readout.linear.weight *= 30
    return save_regressor(network, CheckpointMeta(config=config, step=7, body_model=body))


@pytest.fixture(scope="module", autouse=True)
def backend():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._FACTORIES, ("keypoints", "by_width"), BoxesByWidth)
        yield


def settings(folder, out, **changes):
    values = {"checkpoint": str(folder / "net.safetensors"), "out": str(out)}
    return PredictConfig(**values | {"keypoints": EstimatorConfig(backend="by_width")} | changes)


@pytest.fixture(scope="module")
def result(folder):
    """Everything on, of every input."""
    config = settings(folder, folder / "out", meshes="gltf", overlays=True, frames=FrameChoice(every=3))
    seen = []

    class Remembered:
        def show(self, what, done, total, note, left_s):
            seen.append(done)

    done = predict([str(folder / "in")], config, Remembered())
    assert seen
    return done


@pytest.fixture(scope="module")
def rows(result, folder):
    table = pd.read_parquet(folder / "out/people")
    table["source"] = table["source"].str.rpartition("/")[2]
    return table


def array(rows, name, *shape):
    return np.stack(list(rows[name])).reshape(len(rows), *shape)


def test_every_input_has_its_rows_with_the_reason(rows, result):
    frames = rows["frame"].fillna(-1).astype(int)
    codes = [code if isinstance(code, str) else None for code in rows["error_code"]]
    found = {}
    for source, *state in zip(rows["source"], frames, rows["status"], codes, strict=True):
        found.setdefault(source, []).append(tuple(state))
    walk = [("ok", None), ("partial", "person_overlapped"), ("failed", "box_invalid")]
    assert found["a_three.png"] == [(-1, *state) for state in walk]
    assert found["b_nobody.png"] == [(-1, "failed", "no_person_found")]
    assert found["c_cut.jpg"] == [(-1, "failed", "image_corrupt")]
    assert found["d_walk.avi"] == [(frame, *state) for frame in (0, 3) for state in walk]
    assert found["e_cut.mkv"][-1] == (-1, "failed", "video_truncated")
    assert found["e_cut.mkv"][0] == (0, "ok", None)
    assert found["f_none.mp4"] == [(-1, "failed", "video_unreadable")]
    assert rows["sample_id"].is_unique
    failed = rows[rows["status"] == "failed"]
    assert failed["error_detail"].str.len().min() > 20
    empty = (rows.error_code == "no_person_found").sum()
    assert empty > 0
    assert (result.people, result.empty, result.failed) == (len(rows) - len(failed), empty, len(failed) - empty)
    assert rows.loc[rows["frame"] == 3, "time_s"].to_numpy() == pytest.approx(0.3)


def test_people_of_a_video_have_tracks_and_those_of_photos_none(rows):
    """The third box of each frame lies outside the picture."""
    tracks = {source: own["track"].fillna(-1).astype(int).tolist() for source, own in rows.groupby("source")}
    assert tracks["d_walk.avi"] == [0, 1, -1, 0, 1, -1]
    assert tracks["e_cut.mkv"][:3] == [0, 1, -1], "the next video begins anew"
    assert tracks["a_three.png"] == [-1, -1, -1]


def test_the_file_is_of_the_schema_and_says_how_it_was_made(result, folder):
    path = folder / "out/people/00000.parquet"
    read_shard(path, prediction_schema())
    footer = read_footer(path)
    assert footer.body_model["sha256"] == load_open_body().sha256
    assert [entry["part"] for entry in footer.estimators] == ["regressor", "keypoints"]
    assert footer.config["checkpoint"]["step"] == 7
    assert footer.failed_count == result.failed + result.empty


def test_columns_pose_the_body_that_the_row_is_about(rows):
    people = rows[rows["status"] != "failed"]
    columns = {name: array(people, name, -1) for name in LABEL_PARAMETERS}
    posed = pose_bodies(EHMs(load_open_body()), columns)
    joints = array(people, "joints_m", 55, 3)
    assert np.abs(posed.joints.numpy() - joints).max() < 2e-5
    assert np.ptp(joints[:, :22], axis=0).max() > 0.01, "the random network sees the crops"
    for k in range(len(people)):
        row = people.iloc[k]
        pixels = project(posed.keypoints[k].numpy(), row["focal_px"], row["principal_px"])
        assert np.abs(pixels - row["keypoints_2d"].reshape(133, 2)).max() < 0.05
    assert people["focal_px"].iloc[0] == pytest.approx(1.2 * 96)


def test_rows_say_which_parts_were_seen(rows):
    """As far as the points of the row lie in the photo; of failed rows nothing is said."""
    people, failed = rows[rows["status"] != "failed"], rows[rows["status"] == "failed"]
    flags = people[list(SEEN_COLUMNS)].to_numpy()
    assert failed[list(SEEN_COLUMNS)].isna().all(None)
    assert set(np.unique(flags.astype(bool))) == {False, True}
    for (_, row), own in zip(people.iterrows(), flags, strict=True):
        points = row["keypoints_2d"].reshape(133, 2)
        inside = ((points >= 0) & (points <= (row["image_width"], row["image_height"]))).all(1)
        for part, is_seen in zip((slice(5, 13), slice(91, 112), slice(112, 133), slice(23, 91)), own, strict=True):
            assert not is_seen or inside[part].mean() >= 0.5


def test_meshes_are_the_people_of_the_rows(rows, folder):
    files = sorted((folder / "out/meshes").rglob("*.glb"))
    people = rows[rows["status"] != "failed"]
    assert len(files) == len(people.drop_duplicates(["source", "frame"]))
    three = people[people["source"] == "a_three.png"]
    scene = trimesh.load_scene(io.BytesIO(next(f for f in files if f.stem == "a_three").read_bytes()), file_type="glb")
    assert set(scene.geometry) == {"person0", "person1"}
    columns = {name: array(three, name, -1) for name in LABEL_PARAMETERS}
    posed = y_up(pose_bodies(EHMs(load_open_body()), columns).vertices.numpy())
    for person in (0, 1):
        bounds = np.stack([posed[person].min(0), posed[person].max(0)])
        assert np.abs(scene.geometry[f"person{person}"].bounds - bounds).max() < 1e-4


def test_every_photo_that_could_be_read_has_an_overlay(rows, folder):
    read = rows[rows["image_width"].notna() & rows["frame"].isna()].drop_duplicates("source")
    files = sorted((folder / "out/overlays").rglob("*.jpg"))
    assert len(files) == len(read)
    drawn = cv2.imread(str(next(f for f in files if f.stem == "a_three")))
    assert drawn.shape == (64, 96, 3)
    assert np.abs(drawn.astype(int) - cv2.imread(str(folder / "in/a_three.png"))).max() > 60


def test_every_video_that_could_be_read_has_a_film_of_its_frames_at_their_times(rows, folder):
    films = {path.name: path for path in (folder / "out/overlays").rglob("*.mp4")}
    assert set(films) == {"d_walk.overlay.mp4", "e_cut.overlay.mp4"}
    for name, path in films.items():
        own = rows[rows["source"].str.startswith(name.partition(".")[0]) & rows["frame"].notna()]
        film = VideoClip.index(path, name=name)
        assert film.frames.times_s == pytest.approx(np.sort(own["time_s"].unique()), abs=1e-3)
        assert film.rgb(0).shape == (64, 96, 3)
        plain = VideoClip.index(next((folder / "in").glob(f"{name.partition('.')[0]}.*")), name="plain").rgb(0)
        assert np.abs(film.rgb(0).astype(int) - plain).max() > 60


def test_a_run_that_is_broken_off_leaves_no_film_of_half_a_video(folder, tmp_path, monkeypatch):
    class Stop:
        def show(self, what, done, total, note, left_s):
            if done == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(module, "SHOTS_AT_ONCE", 1)
    with pytest.raises(KeyboardInterrupt):
        predict([str(folder / "in/d_walk.avi")], settings(folder, tmp_path, overlays=True), Stop())
    assert [path for path in (tmp_path / "overlays").rglob("*") if path.is_file()] == []
    assert len(pd.read_parquet(tmp_path / "people")) == 6


@pytest.fixture(scope="module")
def smooth_rows(folder):
    """A photo and a video of 9 frames, smooth, and as they were."""
    (folder / "moving").mkdir()
    photo(folder / "moving/a_three.png", 96)
    write_video(folder / "moving/walk.avi", 9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS_PER_FILE", 11)
        predict(
            [str(folder / "moving")], settings(folder, folder / "smooth", smooth=True, overlays=True, meshes="gltf")
        )
    predict([str(folder / "moving")], settings(folder, folder / "raw"))
    return pd.read_parquet(folder / "smooth/people"), pd.read_parquet(folder / "raw/people")


def test_smooth_people_have_one_shape_and_stay_where_they_were_seen(smooth_rows):
    smooth, raw = smooth_rows
    assert list(smooth["sample_id"]) == list(raw["sample_id"])
    assert list(smooth["status"]) == list(raw["status"])
    photo, moving = smooth["frame"].isna(), smooth["track"].notna()
    pd.testing.assert_frame_equal(smooth[photo], raw[photo])
    for _, own in smooth[moving].groupby("track"):
        assert np.ptp(array(own, "betas", -1), axis=0).max() == 0
        before = raw.loc[own.index]
        assert np.ptp(array(before, "betas", -1), axis=0).max() > 0
        shaking = [np.diff(array(rows, "joints_m", 55, 3), 2, axis=0).std() for rows in (own, before)]
        assert shaking[0] < 0.7 * shaking[1]
        off = array(own, "keypoints_2d", 133, 2) - array(before, "keypoints_2d", 133, 2)
        size = np.ptp(array(before, "keypoints_2d", 133, 2), axis=1).max()
        assert np.abs(off[:, :17].mean((0, 1))).max() < 0.02 * size


def test_smooth_columns_pose_the_body_that_the_row_is_about(smooth_rows):
    people = smooth_rows[0].dropna(subset=["body_pose"])
    columns = {name: array(people, name, -1) for name in LABEL_PARAMETERS}
    posed = pose_bodies(EHMs(load_open_body()), columns)
    assert np.abs(posed.joints.numpy() - array(people, "joints_m", 55, 3)).max() < 2e-5
    for k in range(len(people)):
        row = people.iloc[k]
        pixels = project(posed.keypoints[k].numpy(), row["focal_px"], row["principal_px"])
        assert np.abs(pixels - row["keypoints_2d"].reshape(133, 2)).max() < 0.05
    assert np.abs(array(people, "global_rotations", 55, 3)[:, 0] - array(people, "global_orient", 3)).max() < 1e-5


def test_smooth_people_are_drawn_as_they_are_in_the_rows(smooth_rows, folder):
    smooth, _ = smooth_rows
    (film,) = (folder / "smooth/overlays").rglob("*.mp4")
    assert VideoClip.index(film, name="film").frames.times_s == pytest.approx(np.arange(9) / 10, abs=1e-3)
    files = sorted((folder / "smooth/meshes").rglob("walk/*.glb"))
    assert len(files) == 9
    own = smooth[(smooth["frame"] == 7) & smooth["body_pose"].notna()]
    posed = pose_bodies(EHMs(load_open_body()), {name: array(own, name, -1) for name in LABEL_PARAMETERS})
    scene = trimesh.load_scene(io.BytesIO(files[7].read_bytes()), file_type="glb")
    for person, vertices in enumerate(y_up(posed.vertices.numpy())):
        assert np.abs(scene.geometry[f"person{person}"].bounds - [vertices.min(0), vertices.max(0)]).max() < 1e-4


def test_files_say_that_they_are_smooth_and_others_do_not(smooth_rows, folder):
    assert len(list((folder / "smooth/people").iterdir())) == 3
    for path in (folder / "smooth/people").iterdir():
        assert read_footer(path).config["smoothing"] == {"reach_s": 0.4, "max_step_s": 0.2}
    assert "smoothing" not in read_footer(folder / "raw/people/00000.parquet").config


def test_rotations_alone_are_the_same_and_touch_no_body(folder, rows, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a body was asked for")

    for name in ("ehm_assets", "KeypointBody", "EHMs"):
        monkeypatch.setattr(module, name, refuse)
    predict([str(folder / "in")], settings(folder, tmp_path, rotations_only=True, frames=FrameChoice(every=3)))
    table = read_shard(tmp_path / "people/00000.parquet", rotations_schema())
    alone = table.to_pandas()
    assert list(alone["status"]) == list(rows["status"])
    kept = alone[alone["status"] != "failed"]
    whole = rows[rows["status"] != "failed"]
    assert np.abs(array(kept, "local_rotations", 55, 3)[:, 1:22] - array(whole, "body_pose", 21, 3)).max() < 1e-5
    assert np.abs(array(kept, "local_rotations", 55, 3)[:, 40:] - array(whole, "right_hand_pose", 15, 3)).max() < 1e-5
    assert np.abs(array(kept, "global_rotations", 55, 3)[:, 0] - array(whole, "global_orient", 3)).max() < 1e-5
    assert not list(tmp_path.glob("meshes")) + list(tmp_path.glob("overlays"))


def test_the_whole_image_is_one_person_without_any_backend(folder, tmp_path):
    config = settings(folder, tmp_path, boxes="whole", keypoints=EstimatorConfig(backend="not there"))
    done = predict([str(folder / "in/a_three.png"), str(folder / "in/b_nobody.png")], config)
    table = pd.read_parquet(tmp_path / "people")
    assert done.people == 2
    assert [box.tolist() for box in table["bbox_xyxy"]] == [[0, 0, 96, 64], [0, 0, 64, 64]]
    assert set(table["bbox_source"]) == {"image"}
    assert table["detection_score"].isna().all()
    assert len(read_footer(tmp_path / "people/00000.parquet").estimators) == 1


@pytest.mark.parametrize(("given", "focal_px"), [(None, 500.0), (700.0, 700.0)])
def test_the_focal_length_of_a_photo_is_what_it_states_unless_one_is_given(folder, tmp_path, given, focal_px):
    exif = Image.Exif()
    exif[0x8769] = {0xA405: 50}
    Image.new("RGB", (360, 240)).save(tmp_path / "stated.jpg", exif=exif)
    predict([str(tmp_path / "stated.jpg")], settings(folder, tmp_path / "out", boxes="whole", focal_px=given))
    (row,) = pd.read_parquet(tmp_path / "out/people")["focal_px"]
    assert row == pytest.approx(focal_px)


def test_many_rows_are_cut_into_files_without_loss(folder, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS_PER_FILE", 3)
    monkeypatch.setattr(module, "SHOTS_AT_ONCE", 2)
    config = settings(folder, tmp_path, frames=FrameChoice(every=3))
    done = predict([str(folder / "in")], config)
    table = pd.read_parquet(tmp_path / "people")
    assert done.files == len(list((tmp_path / "people").iterdir())) == -(-len(rows) // 3)
    assert list(table["sample_id"]) == list(rows["sample_id"])
    assert np.allclose(array(table.dropna(subset="body_pose"), "body_pose", -1),
                       array(rows.dropna(subset="body_pose"), "body_pose", -1), atol=1e-5)  # fmt: skip


def test_a_result_folder_is_not_overwritten_unless_asked_for(folder, result):
    config = settings(folder, folder / "out")
    before = (folder / "out/people/00000.parquet").read_bytes()
    with pytest.raises(ValueError, match=r"out/people already holds 1 file\(s\) of predictions.*--overwrite"):
        predict([str(folder / "in/a_three.png")], config)
    assert (folder / "out/people/00000.parquet").read_bytes() == before


def test_overwriting_leaves_nothing_of_the_run_before(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS_PER_FILE", 1)
    config = settings(folder, tmp_path)
    predict([str(folder / "in/a_three.png")], config)
    again = dataclasses.replace(config, overwrite=True)
    with pytest.raises(ValueError, match="no keypoints estimator"):
        predict(
            [str(folder / "in/b_nobody.png")], dataclasses.replace(again, keypoints=EstimatorConfig(backend="none"))
        )
    assert len(pd.read_parquet(tmp_path / "people")) == 3, "a run that cannot begin deletes nothing"
    predict([str(folder / "in/b_nobody.png")], again)
    assert len(pd.read_parquet(tmp_path / "people")) == 1


def test_overwriting_removes_the_pictures_and_meshes_of_the_run_before_and_nothing_else(folder, tmp_path):
    config = settings(folder, tmp_path / "out", overlays=True, meshes="obj")
    predict([str(folder / "in/a_three.png")], config)
    (tmp_path / "out/overlays/notes.txt").write_text("mine")
    made = {path.suffix for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert made == {".parquet", ".jpg", ".obj", ".txt"}
    predict([str(folder / "in/b_nobody.png")], settings(folder, tmp_path / "out", rotations_only=True, overwrite=True))
    left = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sorted(left) == ["00000.parquet", "notes.txt"]


def test_a_photo_on_which_the_backend_fails_has_a_row_and_harms_no_other(folder, tmp_path):
    (tmp_path / "in").mkdir()
    for name, width in (("a", 96), ("b", 70), ("c", 80)):
        photo(tmp_path / f"in/{name}.png", width)
    done = predict([str(tmp_path / "in")], settings(folder, tmp_path / "out", rotations_only=True))
    table = pd.read_parquet(tmp_path / "out/people")
    assert (done.frames, done.people, done.failed) == (3, 3, 2)
    (row,) = table[table["error_code"] == "estimator_failed"].to_dict("records")
    assert row["source"].endswith("in/b.png")
    assert row["error_detail"] == f"RuntimeError: {row['source']} is too much for it"


def test_a_run_that_is_broken_off_keeps_the_rows_it_has(folder, tmp_path, monkeypatch):
    class Stop:
        def show(self, *_):
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "SHOTS_AT_ONCE", 1)
    with pytest.raises(KeyboardInterrupt):
        predict([str(folder / "in")], settings(folder, tmp_path, rotations_only=True), Stop())
    table = pd.read_parquet(tmp_path / "people")
    assert list(table["status"]) == ["ok", "partial", "failed"]


def test_a_file_in_place_of_the_folder_of_results_is_said_before_anything_is_read(folder, tmp_path):
    (tmp_path / "out").write_text("a file")
    for out in (tmp_path / "out", tmp_path / "out/deeper/folder"):
        with pytest.raises(ValueError, match=r"/out is a file, the results need a folder; name another one with --out"):
            predict([str(folder / "in/a_three.png")], settings(folder, out, checkpoint="gone"))


def test_another_body_is_refused_with_both_names(folder, tmp_path):
    (tmp_path / "other.safetensors").write_bytes(checkpoint(sha256="0123456789abcdef"))
    config = settings(folder, tmp_path / "out", checkpoint=str(tmp_path / "other.safetensors"))
    ours = load_open_body().sha256[:12]
    with pytest.raises(ValueError, match=rf"speaks of the body model open_body.*0123456789ab.*open_body.*{ours}"):
        predict([str(folder / "in/a_three.png")], config)
    assert predict([str(folder / "in/a_three.png")], dataclasses.replace(config, rotations_only=True)).people == 2


def test_another_fusion_is_refused_and_the_settings_name_it(folder, tmp_path):
    network, path = EhmRegressor(TINY), tmp_path / "paper.safetensors"
    entry = dataclasses.replace(load_open_body(), fusion="paper").entry
    path.write_bytes(save_regressor(network, CheckpointMeta(config=TINY, body_model=entry)))
    photo, config = str(folder / "in/a_three.png"), settings(folder, tmp_path / "out", checkpoint=str(path))
    with pytest.raises(
        ValueError, match=r"fusion paper\), this run uses open_body.*, fusion blended\).*body_model\.fusion"
    ):
        predict([photo], config)
    config = dataclasses.replace(config, body_model=BodyModelConfig(fusion="paper"))
    assert predict([photo], config).people == 2
    (shard,) = (tmp_path / "out/people").rglob("*.parquet")
    assert read_footer(shard).body_model["fusion"] == "paper"


def test_numbers_that_are_not_finite_become_a_row(folder, tmp_path):
    network = EhmRegressor(TINY)
    network.flame_head.flame_shape.linear.bias.data[3] = 3e38
    body = {"name": "open_body_smplx", "sha256": load_open_body().sha256}
    (tmp_path / "huge.safetensors").write_bytes(save_regressor(network, CheckpointMeta(config=TINY, body_model=body)))
    config = settings(
        folder, tmp_path / "out", checkpoint=str(tmp_path / "huge.safetensors"), overlays=True, meshes="obj"
    )
    done = predict([str(folder / "in/a_three.png")], config)
    table = pd.read_parquet(tmp_path / "out/people")
    assert done.people == 0
    assert list(table["error_code"]) == ["prediction_not_finite", "prediction_not_finite", "box_invalid"]
    assert not (tmp_path / "out/meshes").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"boxes": "faces"}, "boxes: expected one of keypoints, whole, got 'faces'"),
        ({"meshes": "ply"}, "meshes: expected one of gltf, obj, got 'ply'"),
        ({"rotations_only": True, "overlays": True}, "no mesh is computed"),
        ({"focal_px": 0.0}, "focal_px: expected more than 0, got 0.0"),
        ({"run": {"mode": "fast"}}, "mode: expected one of eager, compile, graph, got 'fast'"),
        ({"keypoints": {"backend": "annotations"}}, "'annotations' finds nobody in a photo"),
        ({"keypoints": {"backend": "simulated"}}, "'simulated' finds nobody in a photo"),
    ],
)
def test_settings_that_cannot_be_name_field_and_value(wrong, message):
    with pytest.raises(ValueError, match=message):
        read_settings(PredictConfig, {"checkpoint": "net.safetensors", **wrong}, "settings")


def test_avatars_are_drawn_of_everybody_in_a_photo_and_of_a_video_once(folder, result, tmp_path):
    assets = load_open_body()
    meta = RendererMeta(body_model=assets.entry)
    (tmp_path / "renderer.safetensors").write_bytes(save_renderer(grey_renderer(assets), meta))
    inputs = [str(folder / "in" / name) for name in ("a_three.png", "b_nobody.png", "d_walk.avi")]
    people = folder / "out/people/00000.parquet"
    avatar = AvatarConfig(renderer=str(tmp_path / "renderer.safetensors"), views=2, size_px=64, motion=str(people))
    predict(inputs, settings(folder, tmp_path / "out", render=True, avatar=avatar, frames=FrameChoice(every=3)))
    written = sorted(path.relative_to(tmp_path / "out/avatars") for path in (tmp_path / "out/avatars").rglob("*.*"))
    stem = Path(*folder.parts[1:], "in")
    names = [f"person{k}-{what}.{kind}" for k in (0, 1) for what in ("motion", "turntable") for kind in ("mp4", "png")]
    expected = [stem / "a_three" / name for name in names] + [stem / "d_walk/000000" / name for name in names]
    assert written == sorted(expected)
    with pytest.raises(ValueError, match="already holds"):
        predict(inputs, settings(folder, tmp_path / "out", render=True, avatar=avatar))
    predict([str(folder / "in/b_nobody.png")], settings(folder, tmp_path / "out", overwrite=True))
    assert not list((tmp_path / "out/avatars").rglob("*.*"))
