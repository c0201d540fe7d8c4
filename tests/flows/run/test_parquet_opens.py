"""How often Parquet files are opened for one shard of two photos: fresh, and when everything is done."""

from pathlib import Path

import pytest
from annotated_project import MANIFEST, PEOPLE, annotate, step_states, write_project
from parquet_opens import watch_opens

pytestmark = pytest.mark.long


def test_a_shard_is_opened_at_most_15_times_and_5_times_when_all_is_done(tmp_path, monkeypatch):
    opens = watch_opens(monkeypatch, without="truth")  # of the data set itself
    params = write_project(tmp_path)
    (tmp_path / "few.yaml").write_text(MANIFEST.replace(f"count: {PEOPLE}", "count: 2"))
    assert annotate(params).publication.count.people == 2
    assert len(opens) <= 15, opens
    opens.clear()
    with step_states() as ended:
        annotate(params)
    assert set(ended.values()) == {"skipped"}
    assert len([path for path in opens if "state" not in Path(path).parts]) <= 5, opens
