"""Estimators of one worker process: built once, lent to one thread at a time."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from model.estimators import EstimatorInfo, create
from tasks.config import EstimatorConfig

_IDLE: dict[tuple[str, str], list[Any]] = defaultdict(list)
_INFO: dict[tuple[str, str], EstimatorInfo] = {}
_LOCK = threading.Lock()


def _key(part: str, config: EstimatorConfig) -> tuple[str, str]:
    return part, json.dumps([config.backend, config.options], sort_keys=True)


@contextmanager
def borrowed(part: str, config: EstimatorConfig) -> Iterator[Any]:
    """Lends an idle estimator of this process, or builds one when all are in use.

    So a process holds as many copies of a network as it has threads that use it at once, and never loads one twice
    for the same thread's next shard. One that raised is not lent again.

    Args:
        part: ``keypoints``, ``body``, ``hands`` or ``face``.
        config: Backend and options.

    Raises:
        ValueError: Unknown backend or options.
        ImportError: The backend's package is not installed; the message names the extra to install.
    """
    key = _key(part, config)
    with _LOCK:
        estimator = _IDLE[key].pop() if _IDLE[key] else None
    if estimator is None:
        estimator = create(part, config.backend, **config.options)
    # Not in a `finally`: an estimator that raised may be broken inside (a graph that stopped, a lost device), so it is
    # dropped and the shard's next try builds a new one.
    yield estimator
    with _LOCK:
        _IDLE[key].append(estimator)


def estimator_info(part: str, config: EstimatorConfig) -> EstimatorInfo:
    """Returns name, version, hash and licence of a backend, as they go into every footer."""
    key = _key(part, config)
    if key not in _INFO:
        with borrowed(part, config) as estimator:
            _INFO[key] = estimator.info
    return _INFO[key]
