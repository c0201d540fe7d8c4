"""The flow run that this process carries out, so that its server hears at once of a process that is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State

_last: list[UUID] = []
"""The last one that began here; a process has one at a time."""


def remember(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Hook of a flow that begins to run."""
    _last[:] = [flow_run.id]


def tell_server(message: str) -> None:
    """Marks the flow run as crashed if it has not ended; waits for the server, and raises what its client raises."""
    for run in _last:
        from prefect.client.orchestration import get_client
        from prefect.states import Crashed

        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run, Crashed(message=message))
