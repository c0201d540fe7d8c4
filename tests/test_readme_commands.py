"""The README, followed by somebody new: in a fresh clone every command and snippet is run as it stands, in its order.

What stands for the reader's own (a folder of photos, a clip) is put there. Two commands cannot be waited for: a
training of hours is stopped by Ctrl-C, and one that needs licensed files says so.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
import requests
from pages import command_lines

ROOT = Path(__file__).resolve().parents[1]
MINUTE = 60
COMMAND_LIMIT_S = 20 * MINUTE
"""Four times what the longest takes on two cores at rest."""
ENDS = {
    r"make test$": None,  # this test is part of it
    r"pear assets --check$": (1, "next"),
    r"pear train$": "stop",
    r"pear view$": "stop",
    r"pear train --params params\.train-paper\.yaml$": (2, "licensed"),
    r"pear train-photometric$": (2, "is another network"),  # that of params.train-tiny.yaml is what there is
}
"""Commands that do not end with 0: not run, stopped, or exit code and a word of what they say."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The project as it is now, cloned, with the environment that these tests run in."""
    folder = tmp_path_factory.mktemp("readme") / "pear-pipeline"
    if not (ROOT / ".git").exists() or not (ROOT / ".venv").exists():
        pytest.skip("needs a git checkout with its .venv")
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, folder], check=True)
    changed = subprocess.run(
        ["git", "ls-files", "-z", "--modified", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    for name in filter(None, changed.stdout.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name in ("pyproject.toml", "requirements.lock"):
        os.utime(folder / name, (0, 0))  # the environment is ready
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


@pytest.fixture(scope="module")
def theirs(clone):
    """A reader's own photos, two with a person and one without, and a clip."""
    data = pytest.importorskip("skimage.data")
    photos = clone / "photos"
    photos.mkdir()
    for name, rgb in (("astronaut.png", data.astronaut()), ("coffee.png", data.coffee())):
        cv2.imwrite(str(photos / name), rgb[..., ::-1])
    writer = cv2.VideoWriter(str(clone / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 5.0, (512, 512))
    for _ in range(5):
        writer.write(data.astronaut()[..., ::-1].copy())
    writer.release()
    return photos


def steps(text):
    """(language, command or snippet) in the order of the page."""
    for language, block in re.findall(r"```(bash|python)\n(.*?)```", text, re.DOTALL):
        yield from ((language, line) for line in ([block] if language == "python" else command_lines(block)))


def run(argv, clone, environment, limit_s):
    done = subprocess.run(argv, cwd=clone, env=environment, capture_output=True, text=True, timeout=limit_s)
    return done.returncode, done.stdout + done.stderr


def run_until_stopped(command, clone, environment):
    """Ctrl-C after the first sign of life."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=clone, env=environment, stderr=subprocess.STDOUT, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    said = process.stdout.readline()
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=MINUTE)
    return process.returncode, said + rest


def wait_for_flow_runs(environment, limit_s=8 * MINUTE):
    """Until no flow run of the server is under way; each must have completed."""
    url = f"http://127.0.0.1:{environment['PEAR_PREFECT_PORT']}/api/flow_runs/filter"
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        states = [flow_run["state_type"] for flow_run in requests.post(url, json={}, timeout=10).json()]
        if states and not {"SCHEDULED", "PENDING", "RUNNING"} & set(states):
            assert set(states) == {"COMPLETED"}
            return
        time.sleep(1)
    raise AssertionError("the flow run did not end")


@pytest.mark.slow
@pytest.mark.timeout(60 * MINUTE)
def test_every_command_and_snippet_in_order(clone, theirs):
    environment = dict(os.environ) | {"PEAR_PREFECT_PORT": "4391", "MAKEFLAGS": "--old-file=.venv/.ready"}
    seen = []
    for language, step in steps((clone / "README.md").read_text(encoding="utf-8")):
        started = time.monotonic()
        step = step.replace("/path/to/folder", str(theirs))
        end = next((end for pattern, end in ENDS.items() if re.search(pattern, step)), (0, ""))
        if end is None:
            continue
        if language == "python":
            code, said = run([sys.executable, "-c", step], clone, environment, MINUTE)
        elif end == "stop":
            code, said = run_until_stopped(step, clone, environment)
            end = (130, "same command")
        else:
            code, said = run(["bash", "-c", step], clone, environment, COMMAND_LIMIT_S)
        seen.append(f"{time.monotonic() - started:6.1f} s  {step.splitlines()[0]}")
        print(seen[-1], flush=True)
        assert code == end[0], f"{step}\nends with {code}\n{said[-3000:]}"
        assert end[1] in said, f"{step}\n{said[-3000:]}"
        assert "Traceback" not in said, f"{step}\n{said[-6000:]}"
        if "prefect deployment run" in step:
            wait_for_flow_runs(environment)

    assert len(seen) > 15
