"""A bucket of a local S3 server, as s3fs, botocore and processes that inherit the environment find it."""

from __future__ import annotations

import logging
import os
import uuid
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from datasets_manifest import store_answers, stores

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}


@cache
def endpoint() -> str:
    """Starts the server, which ends with the process."""
    server = pytest.importorskip("moto.server", reason="needs moto (extra dev)")
    pytest.importorskip("s3fs", reason="needs s3fs (extra s3)")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    threaded = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    threaded.start()
    return "http://{}:{}".format(*threaded.get_host_and_port())


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a new bucket."""
    for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint()}).items():
        monkeypatch.setenv(name, value)
    import fsspec

    name = f"bucket-{uuid.uuid4().hex[:8]}"
    fsspec.filesystem("s3", use_listings_cache=False).mkdir(name)
    yield f"s3://{name}"
    assert os.environ["AWS_ENDPOINT_URL"]


class _Faltering:
    def __init__(self, store: Any, asked: Counter[str]) -> None:
        self._store, self._asked = store, asked

    def __getattr__(self, name: str) -> Any:
        own = getattr(self._store, name)
        if name not in ("ls", "pipe_file", "rm_file", "cat_file", "info", "metadata"):
            return own

        def ask(*arguments: Any, **options: Any) -> Any:
            self._asked[name] += 1
            if self._asked[name] % 3:
                raise OSError("connection reset by peer")
            return own(*arguments, **options)

        return ask


def make_falter(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """From now on stores answer nothing but every third time; returns how often each question was asked."""
    asked: Counter[str] = Counter()
    whole = stores.store_of
    monkeypatch.setattr(stores, "store_of", lambda place: _Faltering(whole(place), asked))
    monkeypatch.setattr(store_answers, "_WAITS_S", (0.01, 0.02, 0.03))
    return asked
