"""A name is held by one at a time, is free when its holder ends however that is, and leaves no file."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.annotate.run.claims import LockedFiles

NAME = "coco/val/00012"
ROOT = Path(__file__).parents[4]
HOLDER = """
import sys, time
from pathlib import Path
from tasks.annotate.run.claims import LockedFiles
with LockedFiles(Path(sys.argv[1])).held(sys.argv[2], wait=True) as is_mine:
    print(is_mine, flush=True)
    time.sleep(600)
"""


def test_many_at_once_hold_a_name_one_after_the_other(tmp_path):
    claims, inside, most, done = LockedFiles(tmp_path), [], [], []

    def hold(number):
        for _ in range(25):
            with claims.held(NAME, wait=number % 2 == 0) as is_mine:
                if is_mine:
                    inside.append(number)
                    most.append(len(inside))
                    inside.remove(number)
                    done.append(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, range(8)))
    assert set(most) == {1}
    assert sum(number % 2 == 0 for number in done) == 4 * 25
    assert not list(tmp_path.rglob("*.lock"))


def test_who_does_not_wait_is_told_that_another_holds_the_name_and_no_other_name_is_concerned(tmp_path):
    claims = LockedFiles(tmp_path)
    with claims.held(NAME, wait=False) as first, claims.held(NAME, wait=False) as second:
        assert (first, second) == (True, False)
        with claims.held("coco/val/00013", wait=False) as other:
            assert other
    with claims.held(NAME, wait=False) as again:
        assert again


def test_an_error_inside_frees_the_name(tmp_path):
    claims = LockedFiles(tmp_path)
    with pytest.raises(RuntimeError), claims.held(NAME, wait=True):
        raise RuntimeError
    with claims.held(NAME, wait=False) as is_mine:
        assert is_mine


def test_a_killed_holder_holds_nothing(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path), NAME]
    paths = {"PYTHONPATH": str(ROOT)}
    holder = subprocess.Popen(command, env=os.environ | paths, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    claims, came = LockedFiles(tmp_path), threading.Event()

    def wait():
        with claims.held(NAME, wait=True):
            came.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    with claims.held(NAME, wait=False) as is_mine:
        assert not is_mine
    time.sleep(0.1)
    assert not came.is_set()
    holder.send_signal(signal.SIGKILL)
    assert came.wait(10)
    waiting.join()
    holder.communicate()


def test_on_a_disk_without_locks_nobody_waits_and_it_is_said_once(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    claims = LockedFiles(tmp_path)
    with claims.held(NAME, wait=True) as first, claims.held(NAME, wait=True) as second:
        assert (first, second) == (True, True)
    (said,) = caplog.messages
    assert "cannot be locked ([Errno 37] No locks available); shards may be done twice" in said
