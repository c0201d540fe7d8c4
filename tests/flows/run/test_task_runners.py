"""Task runners by name; Dask is tried where its extra is installed."""

import importlib.util

import pytest
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

from flows.run.task_runners import open_task_runner


def test_threads_are_the_default_and_bounded():
    runner = open_task_runner("threads", 3)
    assert isinstance(runner, ThreadPoolTaskRunner)
    assert runner._max_workers == 3


def test_an_unknown_runner_is_named():
    with pytest.raises(ValueError, match="slurm"):
        open_task_runner("slurm", 1)


@pytest.mark.parametrize(("name", "module"), [("dask", "prefect_dask"), ("ray", "prefect_ray")])
def test_a_missing_extra_says_how_to_install_it(name, module):
    if importlib.util.find_spec(module):
        pytest.skip(f"{module} is installed")
    with pytest.raises(ImportError, match=rf"\.\[{name}\]"):
        open_task_runner(name, 1)


@pytest.mark.slow
def test_dask_runs_tasks(api):
    pytest.importorskip("prefect_dask", reason="the extra dask is not installed")

    @task
    def double(x):
        return 2 * x

    @flow
    def doubles():
        with open_task_runner("dask", 2) as runner:
            return [runner.submit(double, parameters={"x": x}).result() for x in range(4)]

    assert doubles() == [0, 2, 4, 6]
