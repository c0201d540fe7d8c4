"""A command that is stopped says so in a sentence, leaves no process behind, and goes on when it is run again."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest
from prefect_api import ask
from typer.testing import CliRunner

from flows.cli.app import app

PEAR = [sys.executable, "-m", "flows.cli.app"]


def start(folder, *words, program=None, **env):
    """A command in a project, or a program of its own."""
    given = [sys.executable, "-c", program] if program else [*PEAR, *words]
    return subprocess.Popen(
        given,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs tests in the background may ignore Ctrl-C for all that they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def first_line(process):
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.fixture
def project(rendered, tmp_path):
    """The rendered project without any result."""
    shutil.copytree(rendered.parent / "work/datasets", tmp_path / "work/datasets")
    settings = rendered.read_text().replace("images_per_shard: 2", "images_per_shard: 1")
    (tmp_path / "params.yaml").write_text(f"{settings}  refine: {{iterations: 2}}\n")
    return tmp_path


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_stopped_annotation_is_a_sentence_and_goes_on(project, monkeypatch, number, code):
    process = start(project, "annotate", "--local")
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline and not list(project.glob("work/parts/*/*/*/*")):
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert said.splitlines()[-1] == (
        f"pear: stopped by {number.name}; run the same command again to go on; what is finished is kept."
    )
    assert "Traceback" not in said
    monkeypatch.chdir(project)
    again = CliRunner().invoke(app, ["annotate", "--local"])
    assert again.exit_code == 0, again.output
    assert len(pd.read_parquet(project / "labels")) == 4
    assert not list(project.rglob("*.partial"))


LONG = """
import hashlib
from flows.cli.stopping import stoppable
with stoppable("go on."):
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2 * 10**9)
"""
CHILD = """
import subprocess, sys
from flows.cli.stopping import stoppable
with stoppable("go on."):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    print(child.pid, flush=True)
    child.wait()
"""
IGNORED = """
import os, signal, time
from flows.cli.stopping import stoppable
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with stoppable("go on."):
    os.kill(os.getpid(), signal.SIGHUP)
    time.sleep(0.1)
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
print("finished", flush=True)
"""


def test_a_long_call_of_a_library_is_not_waited_for(tmp_path):
    process = start(tmp_path, program=LONG)
    assert first_line(process) == "ready\n"
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (143, "pear: stopped by SIGTERM; go on.\n")


def test_no_process_is_left_behind(tmp_path):
    process = start(tmp_path, program=CHILD)
    child = psutil.Process(int(first_line(process)))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_signal_that_is_ignored_stays_so_and_the_handlers_are_put_back(tmp_path):
    process = start(tmp_path, program=IGNORED)
    assert process.communicate(timeout=60) == ("finished\n", "")


FLOW = """
import os
import time
from prefect import flow
from prefect.context import FlowRunContext
from flows.cli.stopping import stoppable
from flows.run.own_run import remember

@flow(on_running=[remember])
def long_call():
    run = FlowRunContext.get().flow_run.id
    {call}

with stoppable("go on."):
    long_call()
"""
# What it says is said by a process of the call's own, so the call has begun and Python's handlers wait for its end.
IN_A_LIBRARY = 'os.system(f"echo {run}; sleep 600")'
IN_PYTHON = "print(run, flush=True); time.sleep(600)"
SHOWN = """
import time, uuid
from flows.cli.stopping import stoppable
from flows.run.own_run import _last
_last.append(uuid.uuid4())
with stoppable("go on."):
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("call", "messages"),
    [
        (IN_A_LIBRARY, {"stopped by SIGTERM"}),
        # Prefect's engine hears of it too, and either may come last.
        (IN_PYTHON, {"stopped by SIGTERM", "Execution was aborted by a termination signal."}),
    ],
    ids=["in a library", "in Python"],
)
def test_a_server_shows_a_stopped_run_as_crashed_at_once(api, tmp_path, call, messages):
    process = start(tmp_path, program=FLOW.format(call=call), PREFECT_API_URL=api)
    run = first_line(process).strip()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.splitlines()[-1]) == (143, "pear: stopped by SIGTERM; go on.")
    state = ask(f"{api}/flow_runs/{run}")["state"]
    assert state["type"] == "CRASHED"
    assert state["message"] in messages


def test_both_flows_are_known_to_the_command():
    from flows.annotate import annotate_part_labels
    from flows.run.own_run import remember
    from flows.train import train_regressor

    assert annotate_part_labels.on_running_hooks == train_regressor.on_running_hooks == [remember]


def test_a_server_that_does_not_answer_is_not_waited_for(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        process = start(tmp_path, program=SHOWN, PREFECT_API_URL=url)
        assert first_line(process) == "ready\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)  # One request alone would wait for a minute.
    assert (process.returncode, said) == (130, "pear: stopped by SIGINT; go on.\n")


@pytest.mark.long
def test_a_disk_that_takes_no_more_is_one_sentence(project):
    # No file may be larger than 12 kB, as if the disk were full: labels are larger, plans are not.
    limited = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (12000, 12000)); from flows.cli.app import app; app()"
    process = subprocess.run(
        [sys.executable, "-c", limited, "annotate", "--local", "--set", "run.retries=0"],
        cwd=project, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 1, process.stderr
    assert "Traceback" not in process.stderr
    told = [line for line in process.stderr.splitlines() if line.startswith("pear: ")]
    assert len(told) == 1
    assert "Writing failed (File too large): " in told[0]
    assert "was not written and nothing is left of it" in told[0]
    assert not list(project.glob("labels/*/*/*"))
