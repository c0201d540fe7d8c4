"""Prefect plugin: ``prefect deployment run annotate-part-labels`` without ``/local``.

Stock Prefect wants ``<flow>/<deployment>``. With this plugin a name without a slash means the flow's only deployment.
It is loaded when Prefect is imported in the project folder (entry point group ``prefect.plugins``, switched on by
``[tool.prefect] plugins.enabled`` in ``pyproject.toml``).

It wraps one method of a private Prefect module. Should a later Prefect no longer have it in this form, the stock
behaviour stays and one warning says so; ``annotate-part-labels/local`` works in any case.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import warnings
from typing import Any

from prefect.plugins import register_hook

PREFECT_PLUGIN_API_REQUIRES = ">=0.1,<1"

_MODULE = "prefect.client.orchestration._deployments.client"
_CLASS = "DeploymentAsyncClient"
_METHOD = "read_deployment_by_name"


@register_hook
def setup_environment(*, ctx: Any) -> None:
    """Prefect's start-up hook: changes no environment variable, only teaches the client the bare name."""
    del ctx
    enable()


def enable(module_name: str = _MODULE) -> bool:
    """Wraps the client's look-up by name, once.

    Returns:
        Whether bare names are understood from now on; False (and one warning) if Prefect has changed inside.
    """
    try:
        client_class = getattr(importlib.import_module(module_name), _CLASS)
        stock = getattr(client_class, _METHOD)
        parameters = list(inspect.signature(stock).parameters)
    except (ImportError, AttributeError) as error:
        return _give_up(str(error))
    if getattr(stock, "understands_bare_names", False):
        return True
    if parameters != ["self", "name"] or not inspect.iscoroutinefunction(stock):
        return _give_up(f"{_METHOD} has the parameters {parameters}")

    @functools.wraps(stock)
    async def read_deployment_by_name(self: Any, name: str) -> Any:
        if "/" not in name:
            name = f"{name}/{await _only_deployment(self, name)}"
        return await stock(self, name)

    read_deployment_by_name.understands_bare_names = True  # type: ignore[attr-defined]
    setattr(client_class, _METHOD, read_deployment_by_name)
    return True


async def _only_deployment(client: Any, flow_name: str) -> str:
    """Name of the flow's only deployment; ValueError if there is none or more than one."""
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName

    found = await client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[flow_name])))
    names = sorted(deployment.name for deployment in found)
    if len(names) == 1:
        return names[0]
    if not names:
        raise ValueError(f"no flow named {flow_name!r} is deployed here; `prefect deployment ls` lists what is")
    full = ", ".join(f"{flow_name}/{name}" for name in names)
    raise ValueError(f"flow {flow_name!r} has {len(names)} deployments: name one of {full}")


def _give_up(reason: str) -> bool:
    warnings.warn(
        f"this Prefect looks deployments up in another way ({reason}): write <flow>/<deployment>, "
        "for example annotate-part-labels/local",
        stacklevel=3,
    )
    return False
