"""Claims in a store: a name is held by one at a time, is free soon after its holder died, and leaves no object."""

import logging
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from local_s3 import bucket, make_falter  # noqa: F401 (a fixture)

from datasets_manifest.stores import listed, place_of
from tasks.annotate.run.object_claims import ObjectClaims

NAME = "coco/val/00012"
ROOT = Path(__file__).parents[4]
HOLDER = """
import sys, time
from datasets_manifest.stores import place_of
from tasks.annotate.run.object_claims import ObjectClaims
with ObjectClaims(place_of(sys.argv[1]), 1.0).held(sys.argv[2], wait=True) as is_mine:
    print(is_mine, flush=True)
    time.sleep(600)
"""


def test_many_at_once_hold_a_name_one_after_the_other(bucket):  # noqa: F811
    root = place_of(f"{bucket}/.claims")
    claims, inside, most, done = ObjectClaims(root), [], [], []

    def hold(number):
        with claims.held(NAME, wait=False) as is_mine:
            if is_mine:
                inside.append(number)
                time.sleep(0.2)
                most.append(len(inside))
                inside.remove(number)
                done.append(number)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(hold, range(6)))
    assert set(most) == {1}
    assert done
    assert list(listed(root)) == []


def test_another_name_is_free_and_an_error_frees_its_own(bucket):  # noqa: F811
    claims = ObjectClaims(place_of(f"{bucket}/.claims"))
    with claims.held(NAME, wait=False) as first, claims.held(NAME, wait=False) as second:
        assert (first, second) == (True, False)
        with claims.held("coco/val/00013", wait=False) as other:
            assert other
    with pytest.raises(RuntimeError), claims.held(NAME, wait=True):
        raise RuntimeError
    with claims.held(NAME, wait=False) as again:
        assert again


@pytest.mark.long
def test_a_killed_holder_is_followed_and_a_living_one_is_waited_for(bucket):  # noqa: F811
    root = place_of(f"{bucket}/.claims")
    command = [sys.executable, "-c", HOLDER, str(root), NAME]
    holder = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    claims = ObjectClaims(root, 1.0)

    def come():
        with claims.held(NAME, wait=True):
            return time.monotonic()

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(come)
        time.sleep(3)
        assert not coming.done()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        killed = time.monotonic()
        assert 0.5 < coming.result(30) - killed < 10
    assert list(listed(root)) == []


def test_a_store_that_fails_twice_ends_no_worker_and_is_told(bucket, monkeypatch, caplog):  # noqa: F811
    root, asked = place_of(f"{bucket}/.claims"), make_falter(monkeypatch)
    with ObjectClaims(root).held(NAME, wait=True) as is_mine:
        assert is_mine
    assert list(listed(root)) == []
    assert asked["pipe_file"] == asked["rm_file"] == 3
    assert sum("connection reset by peer; next try in 0 s" in message for message in caplog.messages) >= 6


def test_who_waits_is_told_once_for_whom_and_since_when(bucket, caplog):  # noqa: F811
    caplog.set_level(logging.INFO)
    claims = ObjectClaims(place_of(f"{bucket}/.claims"), 2.0)

    def come():
        with claims.held("coco/val/plan", wait=True) as is_mine:
            return is_mine

    with ThreadPoolExecutor(1) as pool:
        with claims.held("coco/val/plan", wait=True):
            coming = pool.submit(come)
            time.sleep(1.5)  # It looks often, and the claim is put anew.
        assert coming.result(30)
    (said,) = [message for message in caplog.messages if message.startswith("waiting for ")]
    assert re.fullmatch(rf"waiting for coco/val/plan, which process {os.getpid()} on .* is at since 20.*:\d\d", said)
