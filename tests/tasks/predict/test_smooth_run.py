"""People of videos smoothed over frames, from files to files: rows, drawings and meshes are of the same people."""

import io

import numpy as np
import pandas as pd
import pytest
import trimesh
from predictions_of_photos import array, photo, settings
from video_files import write_video

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.shards.shard import read_footer
from datasets_manifest.sources.video import VideoClip
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.renderer.mesh_files import y_up
from model.renderer.raster import project
from tasks.posing import pose_bodies
from tasks.predict import run as module
from tasks.predict.run import predict

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("backend")]


@pytest.fixture(scope="module")
def smooth_rows(folder, backend):
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
