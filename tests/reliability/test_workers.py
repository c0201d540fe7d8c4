"""Workers that live long do not grow."""

import time
from pathlib import Path

import psutil
import pytest
from watched_estimators import WatchedProject

SHARDS, WARM, LAST = 500, 100, 490
MOST_MB_A_SHARD = 1.0


def own_mb(pid):
    """Memory of a process that is its own, without mapped files."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


@pytest.mark.promise(
    18,
    "A worker that does shard after shard does not grow",
    "500 shards in one process: below 1 MB a shard after the first hundred",
)
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_five_hundred_shards_in_one_process_take_no_more_memory_than_a_hundred(tmp_path, measured):
    project = WatchedProject(tmp_path, 0)
    (tmp_path / "photos").mkdir(exist_ok=True)
    from stub_estimators import write_photos

    write_photos(tmp_path / "photos", [f"{number:03d}.png" for number in range(SHARDS)])
    process = project.start("annotate", "--local", "--set", "run.workers=1")
    labels, found = tmp_path / "labels/my_photos/all", {}
    try:
        while process.poll() is None and LAST not in found:
            done = len(list(labels.glob("[!.]*.parquet"))) if labels.is_dir() else 0
            for number in (WARM, LAST):
                if done >= number and number not in found:
                    found[number] = own_mb(process.pid)
            time.sleep(0.1)
    finally:
        psutil.Process(process.pid).kill()
        process.communicate()
    assert set(found) == {WARM, LAST}, "it ended before"
    growth = (found[LAST] - found[WARM]) / (LAST - WARM)
    assert growth < MOST_MB_A_SHARD
    measured(
        f"{found[WARM]:.0f} MB after {WARM} shards, {found[LAST]:.0f} MB after {LAST}: {1000 * growth:.0f} kB a shard"
    )
