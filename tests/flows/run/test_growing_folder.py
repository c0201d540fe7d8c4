"""A folder that grows while its labels are used: no label is made again, even where the work folder was deleted."""

import shutil

import pandas as pd
import pytest
from annotated_project import annotate, step_states
from manifests import write_manifest
from stub_estimators import write_photos, write_stub_params

pytestmark = pytest.mark.long


def test_growth_in_steps_with_the_work_folder_deleted_in_between(tmp_path):
    params, photos = write_stub_params(tmp_path), tmp_path / "photos"
    source = str(write_manifest(tmp_path / "grow.yaml", "grow", photos))

    def grown(*names):
        """Labels that were made by a run after photos were added, and how many steps it did."""
        write_photos(photos, list(names))
        before = {path: path.stat().st_ino for path in (tmp_path / "labels").rglob("*.parquet")}
        with step_states() as ended:
            assert annotate(params, datasets=[source]).is_good
        after = {path: path.stat().st_ino for path in (tmp_path / "labels").rglob("*.parquet")}
        assert all(after[path] == inode for path, inode in before.items())
        labels = pd.read_parquet(tmp_path / "labels")
        assert labels["sample_id"].is_unique
        assert len(labels) == len(list(photos.iterdir()))
        return sorted(name for name, state in ended.items() if state == "done" and name.startswith("refine"))

    assert grown("b.png", "d.png", "f.png") == ["refine/grow/all/00000", "refine/grow/all/00001"]
    assert grown("a.png") == ["refine/grow/all/00002"]
    shutil.rmtree(tmp_path / "work")
    assert grown("c.png", "e.png", "g.png") == ["refine/grow/all/00003", "refine/grow/all/00004"]
    assert grown() == []
