"""Files are whole or not there: real kills, real races, a really full disk."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from annotated_project import write_project

WRITER = Path(__file__).parents[1] / "support" / "shard_writer.py"


def run_writer(*arguments, check=True, **options):
    return subprocess.run(
        [sys.executable, str(WRITER), *map(str, arguments)], capture_output=True, text=True, check=check, **options
    )


@pytest.mark.promise(
    1,
    "A process killed while it writes leaves nothing half written",
    "20 kills -9, 5 of them within 3 ms of a rename: no row lost or doubled, no unreadable file, and after the next "
    "start no temporary file",
)
@pytest.mark.long
def test_twenty_kills_lose_and_double_nothing(tmp_path, measured):
    done = run_writer("crash", tmp_path, 20, 7, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["near_rename"] >= 5
    assert result["orphans_seen"] > 0, "no kill hit a write: the test proves nothing"
    assert result["rows"] == result["unique_rows"] == result["expected_rows"]
    assert result["unreadable"] == 0
    assert result["temporary_left"] == 0
    measured(
        f"{result['kills']} kills, {result['near_rename']} of them within 3 ms of a rename: {result['rows']:,} of "
        f"{result['expected_rows']:,} rows, {result['unreadable']} unreadable; {result['orphans_seen']} temporary "
        f"files after kills, {result['temporary_left']} after the next start"
    )


@pytest.mark.promise(2)
@pytest.mark.long
def test_two_hundred_processes_may_write_one_shard_at_once(tmp_path, measured):
    done = run_writer("race", tmp_path, 200, 1, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"failed": 0, "rows": 60, "files": 1}, done.stderr
    measured("200 processes wrote one shard at once: 0 failed, 1 file, whole")


@pytest.mark.promise(
    2,
    "What is said to be on disk is there after a power cut too",
    "fsync of the file, rename, fsync of the folder, in this order in a trace of system calls; 200 writers of one file "
    "at once, none fails",
)
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_order_of_system_calls_is_sync_rename_sync(tmp_path, measured):
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
    measured("strace: fsync of the temporary file, rename, fsync of the folder")


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


SMALL_DISK_MB = 64
ENVIRONMENT = os.environ | {"SOURCE_DATE_EPOCH": "1767225600", "OMP_NUM_THREADS": "1"}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MB}m", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def pear(folder, *words):
    command = [sys.executable, "-m", "flows.cli.app", *words]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)


@pytest.mark.promise(
    21,
    "A full disk ends a run clearly and spoils nothing",
    "a run on a full disk of 64 MB: one sentence, no half file, no temporary file; once there is room, labels of the "
    "same bytes as without",
)
@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_full_disk_is_one_sentence_and_the_next_run_gives_the_same_bytes(rendered, small_disk, tmp_path, measured):
    for folder in (small_disk / "run", tmp_path / "run"):
        folder.mkdir()
        write_project(folder, rendered)
    whole = pear(tmp_path / "run", "annotate", "--local")
    assert whole.returncode == 0, whole.stderr
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        left = shutil.disk_usage(small_disk).free - 50_000
        file.write(bytes(left))
    full = pear(small_disk / "run", "annotate", "--local")
    assert full.returncode == 1, full.stderr
    (sentence,) = [line for line in full.stderr.splitlines() if line.startswith("pear: ")]
    assert "The disk is full: " in sentence
    assert "Traceback" not in full.stderr
    assert not list(small_disk.rglob("*.partial"))
    for path in (small_disk / "run/labels").rglob("*.parquet"):
        assert path.read_bytes() == (tmp_path / path.relative_to(small_disk)).read_bytes()
    filler.unlink()
    again = pear(small_disk / "run", "annotate", "--local")
    assert again.returncode == 0, again.stderr
    labels = sorted((tmp_path / "run/labels").rglob("*.parquet"))
    assert labels
    for path in labels:
        assert path.read_bytes() == (small_disk / path.relative_to(tmp_path)).read_bytes(), path
    measured(
        f"{SMALL_DISK_MB} MB tmpfs: `pear: The disk is full`, 0 temporary files; "
        f"then {len(labels)} label files of the same bytes"
    )
