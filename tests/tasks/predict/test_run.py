"""A prediction from files to files: every input has a row, the rows are the people, the meshes are the rows."""

import io
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import trimesh
from grey_renderer import grey_renderer
from PIL import Image
from predictions_of_photos import array, photo, settings

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.predictions import SEEN_COLUMNS, prediction_schema, rotations_schema
from datasets_manifest.shards.shard import read_footer, read_shard
from datasets_manifest.sources.frame_choice import FrameChoice
from datasets_manifest.sources.video import VideoClip
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.renderer.mesh_files import y_up
from model.renderer.raster import project
from model.renderer.texture.file import RendererMeta, save_renderer
from tasks.posing import pose_bodies
from tasks.predict import run as module
from tasks.predict.run import predict
from tasks.predict.settings import AvatarConfig
from tasks.settings import EstimatorConfig

pytestmark = pytest.mark.usefixtures("backend")


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
    assert drawn is not None
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
    assert table["detection_score"].isna().to_numpy().all()
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


def test_a_photo_on_which_the_backend_fails_has_a_row_and_harms_no_other(folder, tmp_path):
    (tmp_path / "in").mkdir()
    for name, width in (("a", 96), ("b", 70), ("c", 80)):
        photo(tmp_path / f"in/{name}.png", width)
    done = predict([str(tmp_path / "in")], settings(folder, tmp_path / "out", rotations_only=True))
    table = pd.read_parquet(tmp_path / "out/people")
    assert (done.frames, done.people, done.failed) == (3, 3, 2)
    (row,) = table[table["error_code"] == "estimator_failed"].itertuples()
    assert row.source.endswith("in/b.png")
    assert row.error_detail == f"RuntimeError: {row.source} is too much for it"


@pytest.mark.long
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
