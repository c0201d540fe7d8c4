"""Whatever is killed of a flow run under a worker: ten seconds later no process of it is left, two minutes later the
server knows, and the shards go on."""

import importlib.util
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from prefect_api import ask
from watched_estimators import SECONDS, WatchedProject

from flows.annotate import FLOW_NAME

ROOT = Path(__file__).parents[3]
PHOTOS = 4
NO_RAY = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed")
RUNNERS = ["threads", "processes", "dask", pytest.param("ray", marks=NO_RAY)]


class Deployed:
    """A flow run of a project whose photos take for ever, under a worker of its own."""

    def __init__(self, api, project, runner):
        self.api, self.project = api, project
        pool = f"orphans-{uuid.uuid4().hex[:8]}"
        self.env = {
            **os.environ,
            **project.env,
            SECONDS: "600",
            "PREFECT_API_URL": api,
            "PREFECT_LOGGING_LEVEL": "ERROR",
        }
        self.env["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] = "30"
        ask(f"{api}/work_pools/", {"name": pool, "type": "process"})
        flow = ask(f"{api}/flows/", {"name": FLOW_NAME})["id"]
        deployment = ask(
            f"{api}/deployments/",
            {
                "name": pool,
                "flow_id": flow,
                "work_pool_name": pool,
                "entrypoint": "flows/annotate.py:annotate_part_labels",
                "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}],
            },
        )
        overrides = {"run.task_runner": runner, "run.workers": 2}
        parameters = {"params": str(project.folder / "params.yaml"), "overrides": overrides}
        url = f"{api}/deployments/{deployment['id']}/create_flow_run"
        self.run = ask(url, {"parameters": parameters})["id"]
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
        log = (project.folder / "worker.log").open("w")
        self.worker = subprocess.Popen(command, cwd=project.folder, env=self.env, stdout=log, stderr=log)

    @property
    def state(self):
        return ask(f"{self.api}/flow_runs/{self.run}")["state"]

    def processes(self):
        """All of the run but its worker, whoever started them."""
        return [process for process in self.project.processes() if process.pid != self.worker.pid]

    def flow(self):
        """The process of the flow itself."""
        (own,) = [process for process in self.processes() if "prefect.engine" in process.cmdline()]
        return own

    def check_over(self, states):
        """Nothing is left after ten seconds; the state is right within two minutes; the shards go on.

        Returns the seconds until nothing was left.
        """
        killed = time.monotonic()
        while left := self.processes():
            assert time.monotonic() - killed < 10, [process.cmdline() for process in left]
            time.sleep(0.1)
        gone = time.monotonic()
        while self.state["type"] not in states:
            assert time.monotonic() - killed < 120, self.state
            time.sleep(0.5)
        code, said = self.project.run("annotate", "--local")
        assert (code, len(self.project.labels())) == (0, PHOTOS), said
        return gone - killed


@pytest.fixture
def deployed(api, tmp_path, request):
    project = WatchedProject(tmp_path, PHOTOS)
    run = Deployed(api, project, request.param)
    try:
        project.wait_for(lambda: len(project.begun) >= 2, seconds=400)
        yield run
    finally:
        for process in project.processes():
            process.kill()
        run.worker.wait()


pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("deployed", RUNNERS, indirect=True)
def test_a_killed_worker_takes_its_flow_with_it(deployed):
    deployed.worker.kill()
    deployed.worker.wait()
    deployed.check_over({"CRASHED"})


@pytest.mark.parametrize("deployed", RUNNERS, indirect=True)
def test_a_worker_that_is_asked_to_end_takes_its_flow_with_it(deployed):
    deployed.worker.terminate()
    deployed.worker.wait(60)
    deployed.check_over({"CRASHED", "CANCELLED", "FAILED"})


@pytest.mark.parametrize("deployed", RUNNERS, indirect=True)
def test_a_killed_flow_takes_its_workers_with_it(deployed):
    deployed.flow().kill()
    deployed.check_over({"CRASHED"})


@pytest.mark.parametrize(
    "deployed", [pytest.param(RUNNERS[0], marks=pytest.mark.promise(19)), *RUNNERS[1:]], indirect=True
)
def test_a_cancelled_flow_takes_its_workers_with_it(deployed, measured):
    body = {"state": {"type": "CANCELLING"}, "force": False}
    ask(f"{deployed.api}/flow_runs/{deployed.run}/set_state", body)
    seconds = deployed.check_over({"CANCELLED"})
    measured(f"a flow run that is cancelled: 0 processes after {seconds:.1f} s")
