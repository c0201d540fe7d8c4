"""`prefect deployment run <flow>` without a deployment name."""

from __future__ import annotations

import asyncio
import importlib.metadata
import types

import pytest
from prefect.client.orchestration import get_client
from prefect.client.orchestration._deployments.client import DeploymentAsyncClient
from prefect.exceptions import ObjectNotFound

from flows.server import bare_deployment_name


@pytest.fixture(autouse=True)
def _stock_client(monkeypatch):
    """Each test starts from, and leaves behind, the client method as it was."""
    stock = DeploymentAsyncClient.read_deployment_by_name
    monkeypatch.setattr(DeploymentAsyncClient, "read_deployment_by_name", getattr(stock, "__wrapped__", stock))


def _look_up(name: str):
    async def ask():
        async with get_client() as client:
            return await client.read_deployment_by_name(name)

    return asyncio.run(ask())


def test_the_plugin_is_registered():
    (entry,) = importlib.metadata.entry_points(group="prefect.plugins", name="pear-bare-deployment-name")
    assert entry.load() is bare_deployment_name


def test_bare_and_full_name_are_the_same_deployment(api):
    assert bare_deployment_name.enable()
    assert _look_up("annotate-part-labels").id == _look_up("annotate-part-labels/local").id


def test_unknown_names_are_refused(api):
    assert bare_deployment_name.enable()
    with pytest.raises(ValueError, match="no flow named 'annotate' is deployed"):
        _look_up("annotate")
    with pytest.raises(ObjectNotFound):
        _look_up("annotate-part-labels/cluster")


def test_two_deployments_are_told_apart():
    class Client:
        async def read_deployments(self, flow_filter):
            return [types.SimpleNamespace(name=name) for name in ("nightly", "local")]

    with pytest.raises(ValueError, match="2 deployments: name one of f/local, f/nightly"):
        asyncio.run(bare_deployment_name._only_deployment(Client(), "f"))


def test_wrapping_twice_wraps_once():
    assert bare_deployment_name.enable()
    wrapped = DeploymentAsyncClient.read_deployment_by_name
    assert bare_deployment_name.enable()
    assert DeploymentAsyncClient.read_deployment_by_name is wrapped


def test_a_prefect_without_the_private_module_keeps_its_behaviour_with_one_warning():
    with pytest.warns(UserWarning, match="annotate-part-labels/local") as caught:
        assert not bare_deployment_name.enable("prefect.client.orchestration.no_such_module")
    assert len(caught) == 1


def test_a_prefect_with_another_signature_keeps_its_behaviour(monkeypatch):
    async def read_deployment_by_name(self, flow, deployment):
        raise NotImplementedError

    monkeypatch.setattr(DeploymentAsyncClient, "read_deployment_by_name", read_deployment_by_name)
    with pytest.warns(UserWarning, match="another way"):
        assert not bare_deployment_name.enable()
    assert DeploymentAsyncClient.read_deployment_by_name is read_deployment_by_name
