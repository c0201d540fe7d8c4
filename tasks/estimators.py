"""Estimators of one worker process: built once, lent to one thread at a time or, where they allow it, to all."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from datasets_manifest.settings import read_settings
from model.estimators import EstimatorInfo, create
from model.estimators.registry import describe, options_of
from model.licensed_files.networks import check_published
from tasks.settings import EstimatorConfig, uses_gpu

_RUN_OPTIONS = ("device", "batch_size", "num_threads")
"""Options of the backends that change the speed, not the result."""

Slot = Callable[[], AbstractContextManager[object]]
"""Gives what is to be held while a network computes on a GPU."""
_SLOT: ContextVar[Slot] = ContextVar("slot", default=nullcontext)

_Key = tuple[str, str]
_SHARED: dict[_Key, Any] = {}
_IDLE: dict[_Key, list[Any]] = defaultdict(list)
_INFO: dict[_Key, EstimatorInfo] = {}
_BUILDING: dict[_Key, threading.Lock] = defaultdict(threading.Lock)
_LOCK = threading.Lock()


def _key(part: str, config: EstimatorConfig) -> _Key:
    return part, json.dumps([config.backend, config.options], sort_keys=True)


@contextmanager
def borrowed(part: str, config: EstimatorConfig) -> Iterator[Any]:
    """Lends an estimator of this process, or builds one.

    One whose attribute ``shareable`` is true (``model.estimators.base``) is built once and lent to every thread that
    asks: a network of gigabytes lies in memory once. Of the others a process holds as many as it has threads that use
    them at once, and never builds one twice for the same thread's next shard. One that raised is not lent again.

    Args:
        part: ``keypoints``, ``body``, ``hands`` or ``face``.
        config: Backend and options.

    Raises:
        ValueError: Unknown backend or options, or a file in the place of published weights that is another.
        ImportError: The backend's package is not installed; the message names the extra to install.
    """
    key = _key(part, config)
    estimator = _taken(key)
    if estimator is None:
        estimator = _built(key, part, config)
    try:
        yield estimator
    except BaseException:
        # It may be broken inside (a graph that stopped, a lost device): the shard's next try builds a new one.
        with _LOCK:
            if _SHARED.get(key) is estimator:
                del _SHARED[key]
        raise
    with _LOCK:
        if not _is_shareable(estimator):
            _IDLE[key].append(estimator)


@contextmanager
def slots_of(slot: Slot) -> Iterator[None]:
    """Lets estimators of this thread take a slot while they compute on a GPU."""
    token = _SLOT.set(slot)
    try:
        yield
    finally:
        _SLOT.reset(token)


def computing(part: str, config: EstimatorConfig) -> AbstractContextManager[object]:
    """Holds a slot for as long as the block lasts, where a part's networks run on a GPU and slots were asked for.

    Only calls of an estimator belong inside: photos are read, rows written and bodies fitted while others compute.
    """
    slot = _SLOT.get()
    is_asked = slot is not nullcontext and uses_gpu(checked_options(part, config).get("device", "cpu"))
    return slot() if is_asked else nullcontext()


def estimator_info(part: str, config: EstimatorConfig) -> EstimatorInfo:
    """Returns name, version, hash and licence of a backend, as they go into every footer.

    A backend that can tell from its files (``model.estimators.registry.describe``) is not built for that: the process
    may never need its network.
    """
    key = _key(part, config)
    check_published(part, config.backend, config.options)
    if key not in _INFO:
        info = describe(part, config.backend, **checked_options(part, config))
        if info is None:
            with borrowed(part, config) as estimator:
                info = estimator.info
        _INFO[key] = info
    return _INFO[key]


def estimator_entry(part: str, config: EstimatorConfig) -> dict[str, Any]:
    """What made an output, as footers list it."""
    return {"part": part, **dataclasses.asdict(estimator_info(part, config))}


def estimator_settings(config: EstimatorConfig) -> dict[str, Any]:
    """Backend and options that decide a result: not the places of its files, for which the estimator's hash of them
    stands, nor where and in what batches it runs."""
    options = {k: v for k, v in config.options.items() if not k.endswith("_path") and k not in _RUN_OPTIONS}
    return {"backend": config.backend, "options": options}


def checked_options(part: str, config: EstimatorConfig) -> dict[str, Any]:
    """Keyword arguments of the backend, of the types that it states; ``device`` only where it has one.

    Raises:
        ValueError: An option is unknown, absent or of another type.
    """
    known = options_of(part, config.backend)
    if known is None:
        return dict(config.options)
    options = dict(config.options)
    if "device" not in {f.name for f in dataclasses.fields(known)}:
        options.pop("device", None)
    elif "device" in options:
        options["device"] = "cuda" if uses_gpu(options["device"]) else "cpu"
    typed = read_settings(known, options, f"{part}.options of {config.backend}")
    return {name: getattr(typed, name) for name in options}


def _is_shareable(estimator: Any) -> bool:
    return bool(getattr(estimator, "shareable", False))


def _taken(key: _Key) -> Any | None:
    """The shared estimator, or an idle one, or None."""
    with _LOCK:
        if key in _SHARED:
            return _SHARED[key]
        return _IDLE[key].pop() if _IDLE[key] else None


def _built(key: _Key, part: str, config: EstimatorConfig) -> Any:
    """A new estimator. Threads build one after the other, so that the second finds what the first made to share."""
    with _LOCK:
        building = _BUILDING[key]
    with building:
        estimator = _taken(key)
        if estimator is None:
            check_published(part, config.backend, config.options)
            estimator = create(part, config.backend, **checked_options(part, config))
            if _is_shareable(estimator):
                with _LOCK:
                    _SHARED[key] = estimator
        return estimator
