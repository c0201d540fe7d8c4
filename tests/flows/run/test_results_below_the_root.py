"""The results of a run lie among the photos it is about, as with ``pear annotate .``: none of them is a photo."""

import os

import pyarrow.parquet as pq
from annotated_project import annotate, step_states
from stub_estimators import write_photos, write_stub_params

from tasks.annotate.run.forecast import forecast
from tasks.annotate.settings import Origin


def test_the_second_run_finds_nothing_to_do(tmp_path):
    params = write_stub_params(tmp_path)
    write_photos(tmp_path, ["a.png", "b.png", "c.png"])
    (tmp_path / "shown").symlink_to("reports/annotate")  # Another way to the pictures.
    first = annotate(params, datasets=[str(tmp_path)])
    assert first.publication.count.people == 3
    report = tmp_path / "reports/annotate"
    assert any(path.suffix in {".png", ".jpg", ".webp"} for path in report.rglob("*"))
    before = {path: (path.read_bytes(), path.stat().st_ino) for path in (tmp_path / "labels").rglob("*.parquet")}
    with step_states() as ended:
        annotate(params, datasets=[str(tmp_path)])
    assert set(ended.values()) == {"skipped"}
    after = {path: (path.read_bytes(), path.stat().st_ino) for path in (tmp_path / "labels").rglob("*.parquet")}
    assert after == before
    images = {name for path in after for name in pq.read_table(path)["image"].to_pylist()}
    assert images == {"a.png", "b.png", "c.png"}


def test_what_is_left_out_is_counted(tmp_path):
    params = write_stub_params(tmp_path)
    write_photos(tmp_path, ["a.png"])
    for folder in ("labels", "work", "reports/annotate"):
        os.makedirs(tmp_path / folder)
    line, _ = forecast(Origin.of(params, {"datasets": [str(tmp_path)]}))
    assert ": 1 photo, " in line
    assert "folders of results left out: 3" in line


def test_a_folder_of_results_may_itself_be_annotated(tmp_path):
    params = write_stub_params(tmp_path)
    write_photos(tmp_path / "reports/annotate", ["a.png"])
    assert annotate(params, datasets=[str(tmp_path / "reports/annotate")]).publication.count.people == 1


def test_overlays_of_a_prediction_are_no_photos(tmp_path):
    params = write_stub_params(tmp_path)
    write_photos(tmp_path, ["a.png"])
    write_photos(tmp_path / "overlays", ["b.png"])
    write_photos(tmp_path / "predictions/overlays", ["a.jpg"])
    (tmp_path / "predictions/people").mkdir()
    (tmp_path / "predictions/people/00000.parquet").touch()
    line, _ = forecast(Origin.of(params, {"datasets": [str(tmp_path)]}))
    assert ": 2 photos, " in line
    assert "folders of results left out: 1" in line
    (line, _) = forecast(Origin.of(params, {"datasets": [str(tmp_path / "predictions/overlays")]}))
    assert ": 1 photo" in line
