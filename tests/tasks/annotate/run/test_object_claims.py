"""Claims in a store: a name is held by one at a time, is free soon after its holder died, and leaves no object."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from local_s3 import bucket  # noqa: F401 (a fixture)

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
