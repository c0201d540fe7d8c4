"""Shards survive real kills, real races and a really full disk."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WRITER = Path(__file__).parents[2] / "support" / "shard_writer.py"


def run_writer(*arguments, check=True, **options):
    return subprocess.run(
        [sys.executable, str(WRITER), *map(str, arguments)], capture_output=True, text=True, check=check, **options
    )


@pytest.mark.long
def test_twenty_kills_lose_and_double_nothing(tmp_path):
    done = run_writer("crash", tmp_path, 20, 7, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["near_rename"] >= 5
    assert result["orphans_seen"] > 0, "no kill hit a write: the test proves nothing"
    assert result["rows"] == result["unique_rows"] == result["expected_rows"]
    assert result["unreadable"] == 0
    assert result["temporary_left"] == 0


@pytest.mark.long
def test_sixty_processes_may_write_one_shard_at_once(tmp_path):
    done = run_writer("race", tmp_path, 60, 1, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"failed": 0, "rows": 60, "files": 1}, done.stderr


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_order_of_system_calls_is_sync_rename_sync(tmp_path):
    trace = tmp_path / "trace"
    target = tmp_path / "labels" / "a.parquet"
    try:
        subprocess.run(
            [
                "strace",
                "-f",
                "-qq",
                "-y",
                "-e",
                "trace=fsync,rename,renameat,renameat2",
                "-o",
                trace,
                sys.executable,
                str(WRITER),
                "once",
                str(target),
            ],
            check=True,
            capture_output=True,
        )
    except subprocess.CalledProcessError as error:
        pytest.skip(f"strace may not trace here: {error.stderr[-200:]!r}")
    calls = [line.split(maxsplit=1)[1] for line in trace.read_text().splitlines() if str(target.parent) in line]
    assert len(calls) == 3, calls
    assert re.match(r"fsync\(\d+<.*/\.a\.parquet\.\d+\.[0-9a-f]{16}\.partial>", calls[0])
    assert calls[1].startswith("rename")
    assert '/a.parquet")' in calls[1]
    assert re.match(rf"fsync\(\d+<{re.escape(str(target.parent))}>", calls[2])
    assert all(call.rstrip().endswith("= 0") for call in calls)


def test_a_write_that_is_cut_off_by_a_limit_leaves_nothing(tmp_path):
    program = (
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        f"sys.argv = ['shard_writer', 'once', {str(tmp_path / 'a.parquet')!r}]\n"
        f"runpy.run_path({str(WRITER)!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "was not written and nothing is left of it" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.long
def test_a_full_disk_gives_a_clear_error_and_the_next_run_the_same_bytes(small_disk, tmp_path):
    environment = os.environ | {"SOURCE_DATE_EPOCH": "1767225600"}
    filler = small_disk / "filler"
    filler.write_bytes(bytes(1_000_000))
    done = run_writer("once", small_disk / "a.parquet", check=False, env=environment)
    assert done.returncode == 1
    assert "WriteError: The disk is full: " in done.stderr
    assert list(small_disk.iterdir()) == [filler]
    filler.unlink()
    run_writer("once", small_disk / "a.parquet", env=environment)
    run_writer("once", tmp_path / "b.parquet", env=environment)
    assert (small_disk / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
