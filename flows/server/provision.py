"""What a fresh Prefect server needs before the first flow run: work pool, GPU slots, crash detection, deployment.

Every step may be repeated: what is there already is left alone or brought up to date. ``python -m
flows.server.provision`` does it all for the server of ``$PREFECT_API_URL`` and the ``prefect.yaml`` of the folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from uuid import UUID

WORK_POOL = "local-process"
"""Work pool named in ``prefect.yaml``; its runs are processes of this machine."""

GPU_LIMIT = "gpu"
"""Global concurrency limit that says how many use one GPU at once; see ``flows.run.gpu_slots`` for those of each."""

GPU_PREFIX = "pear-gpu-"
"""Beginning of the names of the limits of single GPUs."""

GPU_LEASE_S = 60
"""A slot that its holder does not renew for so long is free again; the shortest that Prefect allows."""

HEARTBEAT_S = 30
"""Interval of the sign of life of a flow run; the shortest that Prefect allows."""

SILENCE_S = 90
"""A flow run that is silent for so long is dead: three heartbeats."""

AUTOMATION = "crash-zombie-flows"
"""Name of the automation that marks silent flow runs as Crashed."""


FLOWS = (
    "annotate-part-labels",
    "evaluate",
    "evaluate-benchmarks",
    "finetune-renderer",
    "train-photometric",
    "train-regressor",
)
"""Names of the project's flows: the automation minds these only, on a server that others use too."""


def provision(api_url: str, *, gpu_slots: int, keep_limit: bool = False) -> None:
    """Creates work pool, GPU limit and automation on the server at ``api_url``.

    Args:
        api_url: Address of the server's API.
        gpu_slots: Size of the GPU limit.
        keep_limit: Leaves a GPU limit that is there as it is.

    Raises:
        ValueError: ``gpu_slots`` is smaller than 1.
    """
    if gpu_slots < 1:
        raise ValueError(f"the number of GPU slots must be at least 1, not {gpu_slots}")
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: api_url}):
        asyncio.run(_provision(gpu_slots, keep_limit))


async def _provision(gpu_slots: int, keep_limit: bool) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate, WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    async with get_client() as client:
        with contextlib.suppress(ObjectAlreadyExists):
            await client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process"))
        if not (keep_limit and await _has_limit(client)):
            await client.upsert_global_concurrency_limit_by_name(name=GPU_LIMIT, limit=gpu_slots)
            limits = await client.read_global_concurrency_limits(limit=200)
            for name in (own.name for own in limits if own.name == GPU_LIMIT or own.name.startswith(GPU_PREFIX)):
                # A limit that somebody switched off in the UI would let every task through.
                wanted = GlobalConcurrencyLimitUpdate(active=True, limit=gpu_slots)
                await client.update_global_concurrency_limit(name, wanted)

        wanted = zombie_automation()
        existing = await client.read_automations_by_name(AUTOMATION)
        for automation in existing:
            if automation.trigger.model_dump(exclude={"id"}) == wanted.trigger.model_dump(exclude={"id"}):
                return
            await client.delete_automation(automation.id)
        await client.create_automation(wanted)


async def _has_limit(client) -> bool:
    from prefect.exceptions import ObjectNotFound

    try:
        await client.read_global_concurrency_limit_by_name(GPU_LIMIT)
    except ObjectNotFound:
        return False
    return True


def zombie_automation():
    """The automation that marks a flow run of the project as Crashed once its heartbeats stop without a final state.

    Any other event of the run counts as a sign of life too. So a run that ends in a state of its own name, for example
    ``Failed`` named "2 shards failed", is never crashed after the fact.
    """
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    return AutomationCore(
        name=AUTOMATION,
        description=f"A flow run that is silent for {SILENCE_S} s has lost its process: Crashed, not Running for ever.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.*"},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": "flow", "prefect.resource.name": list(FLOWS)}
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENCE_S),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name="Crashed",
                message=f"no heartbeat for {SILENCE_S} s: the process of this flow run is gone",
                force=False,
            )
        ],
    )


def deploy(root: Path, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Starts ``prefect deploy --all`` for ``<root>/prefect.yaml``; the caller waits for it and checks its exit code."""
    return subprocess.Popen(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=root,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_worker(api_url: str, *, timeout_s: float) -> bool:
    """Waits until a worker of the pool has reported to the server; False if none did in time."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: api_url}):
        return asyncio.run(_wait_for_worker(timeout_s))


async def _wait_for_worker(timeout_s: float) -> bool:
    from prefect.client.orchestration import get_client

    deadline = time.monotonic() + timeout_s
    async with get_client() as client:
        while time.monotonic() < deadline:
            workers = await client.read_workers_for_work_pool(WORK_POOL)
            if any(getattr(worker.status, "value", worker.status) == "ONLINE" for worker in workers):
                return True
            await asyncio.sleep(0.25)
    return False


def crash_unfinished(api_url: str, message: str, *, run_ids: Collection[str] | None = None) -> int:
    """Marks the flow runs that the server takes for running as Crashed, when their processes are known to be gone.

    Args:
        api_url: Address of the server's API.
        message: Why.
        run_ids: The flow runs that are meant; by default all are.

    Returns:
        How many there were.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: api_url}):
        return asyncio.run(_crash_unfinished(message, run_ids))


async def _crash_unfinished(message: str, run_ids: Collection[str] | None) -> int:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterId,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    unfinished = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    async with get_client() as client:
        # By their ids: a server gives a page of runs at a time, and those of others may fill it.
        ids = None if run_ids is None else FlowRunFilterId(any_=[UUID(own) for own in run_ids])
        state = FlowRunFilterState(type=FlowRunFilterStateType(any_=unfinished))
        runs = await client.read_flow_runs(flow_run_filter=FlowRunFilter(id=ids, state=state))
        for run in runs:
            await client.set_flow_run_state(run.id, Crashed(message=message), force=True)
    return len(runs)


def main() -> int:
    """Gives the server of ``$PREFECT_API_URL`` all it needs; its limit stays if it is there. An exit code."""
    api_url = os.environ.get("PREFECT_API_URL")
    if not api_url:
        print("PREFECT_API_URL names no server, as http://server:4200/api", file=sys.stderr)
        return 2
    provision(api_url, gpu_slots=1, keep_limit=True)
    deployment = deploy(Path.cwd(), os.environ)
    output, _ = deployment.communicate()
    print(output)
    return deployment.returncode


if __name__ == "__main__":
    sys.exit(main())
