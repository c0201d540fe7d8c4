"""Task runners by name: threads of the flow's process, or a Dask or Ray cluster from an optional extra."""

from __future__ import annotations

import importlib
from typing import Any

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner


def open_task_runner(name: str, workers: int) -> TaskRunner[Any]:
    """Builds a task runner.

    Args:
        name: ``threads``, ``dask`` or ``ray``.
        workers: Task runs at once.

    Raises:
        ValueError: The name is unknown.
        ImportError: The extra is not installed; the message says how to install it.
    """
    if name == "threads":
        return ThreadPoolTaskRunner(max_workers=workers)
    if name == "dask":
        # Estimators and torch are not made for many threads of one process: one thread a Dask worker.
        options = {"cluster_kwargs": {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}}
        return _extra("prefect_dask", "dask").DaskTaskRunner(**options)
    if name == "ray":
        return _extra("prefect_ray", "ray").RayTaskRunner(init_kwargs={"num_cpus": workers})
    raise ValueError(f"run.task_runner: expected threads, dask or ray, got {name!r}")


def _extra(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"run.task_runner {extra!r} needs the extra: pip install -e '.[{extra}]'") from error
