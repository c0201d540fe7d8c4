"""A slot of a GPU: of several processes that share one, so many compute on it at once as the server's limit says.

Each GPU has a limit of its own, ``pear-gpu-<what it is called>``. It is made when the GPU is first used, as large as
the limit ``gpu`` that ``pear up`` makes.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache

from flows.server.provision import GPU_LEASE_S, GPU_LIMIT, GPU_PREFIX


@dataclass(frozen=True, slots=True)
class GpuSlot:
    """Takes a slot of the GPU that networks of this process run on; may be sent to another process of this machine."""

    api_url: str | None
    """Address of the server's API."""

    @classmethod
    def here(cls) -> GpuSlot:
        """For the server that this process reports to."""
        from prefect.settings import get_current_settings

        return cls(get_current_settings().api.url)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Holds a slot for as long as the block lasts."""
        from prefect.concurrency.sync import concurrency
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with (
            temporary_settings({PREFECT_API_URL: self.api_url} if self.api_url is not None else {}),
            concurrency(_limit(self.api_url, gpu_name()), occupy=1, lease_duration=GPU_LEASE_S),
        ):
            yield


def gpu_name() -> str:
    """What tells the GPU of this process from all others: its own number, else the machine and which it is there."""
    import torch

    if torch.cuda.is_available() and (uuid := getattr(torch.cuda.get_device_properties(0), "uuid", None)):
        return str(uuid)
    return f"{socket.gethostname()}-{os.environ.get('CUDA_VISIBLE_DEVICES', '').partition(',')[0] or 0}"


@cache
def _limit(_api_url: str | None, gpu: str) -> str:
    """The name of a GPU's limit, which is made if there is none."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    name, slots = f"{GPU_PREFIX}{gpu}", 1
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            with suppress(ObjectNotFound):
                slots = client.read_global_concurrency_limit_by_name(GPU_LIMIT).limit
            with suppress(ObjectAlreadyExists):
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=slots))
    return name
