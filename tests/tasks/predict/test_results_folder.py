"""The folder of results: nothing in it is lost unasked, nothing half done is left."""

import dataclasses

import pandas as pd
import pytest
from predictions_of_photos import settings

from tasks.predict import run as module
from tasks.predict.run import predict
from tasks.settings import EstimatorConfig

pytestmark = pytest.mark.usefixtures("backend")


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


def test_a_run_that_is_broken_off_keeps_the_rows_it_has(folder, tmp_path, monkeypatch):
    class Stop:
        def show(self, what, done, total, note, left_s):
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "SHOTS_AT_ONCE", 1)
    with pytest.raises(KeyboardInterrupt):
        predict([str(folder / "in")], settings(folder, tmp_path, rotations_only=True), Stop())
    table = pd.read_parquet(tmp_path / "people")
    assert list(table["status"]) == ["ok", "partial", "failed"]


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


def test_a_file_in_place_of_the_folder_of_results_is_said_before_anything_is_read(folder, tmp_path):
    (tmp_path / "out").write_text("a file")
    for out in (tmp_path / "out", tmp_path / "out/deeper/folder"):
        with pytest.raises(ValueError, match=r"/out is a file, the results need a folder; name another one with --out"):
            predict([str(folder / "in/a_three.png")], settings(folder, out, checkpoint="gone"))
