"""Registry of estimator backends.

A backend is a factory registered under (part, name). Built-in backends live in modules that are imported on first use,
so that a heavy package is needed only by those who ask for it. Backends of other packages are found in every process,
workers on other machines too, by their entry points:

    [project.entry-points."pear.estimators"]
    "hands.mine" = "my_package.hands:MyHands"
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import field, fields, make_dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar, get_type_hints

from model.estimators.base import PARTS

Factory = TypeVar("Factory", bound=Callable[..., Any])

_FACTORIES: dict[tuple[str, str], Callable[..., Any]] = {}

_BUILT_IN: dict[tuple[str, str], str] = {
    ("keypoints", "mediapipe"): "model.estimators.mediapipe.keypoints",
    ("body", "mediapipe"): "model.estimators.mediapipe.body",
    ("body", "prohmr"): "model.estimators.prohmr.body",
    ("body", "hmr2"): "model.estimators.hmr2.body",
    ("hands", "mediapipe"): "model.estimators.mediapipe.hands",
    ("hands", "hamer"): "model.estimators.hamer.hands",
    ("face", "mediapipe"): "model.estimators.mediapipe.face",
    ("face", "teaser"): "model.estimators.teaser.face",
    ("face", "smirk"): "model.estimators.teaser.face",
    ("keypoints", "dwpose"): "model.estimators.dwpose.keypoints",
    ("keypoints", "annotations"): "model.estimators.annotations",
    ("keypoints", "simulated"): "model.estimators.simulated",
    ("body", "simulated"): "model.estimators.simulated",
    ("hands", "simulated"): "model.estimators.simulated",
    ("face", "simulated"): "model.estimators.simulated",
}
"""Module that registers a backend when it is imported."""


ENTRY_POINTS = "pear.estimators"
"""Group of the entry points by which packages name their backends, each called ``<part>.<name>``."""


def register(part: str, name: str) -> Callable[[Factory], Factory]:
    """Returns a decorator that registers a class or function building the estimator ``name`` of ``part``."""
    if part not in PARTS:
        raise ValueError(f"estimator part {part!r} is unknown, expected one of {', '.join(PARTS)}")

    def keep(factory: Factory) -> Factory:
        _FACTORIES[part, name] = factory
        return factory

    return keep


def known_backends(part: str) -> list[str]:
    """Returns the sorted backend names of a part."""
    return sorted({name for known, name in (*_FACTORIES, *_BUILT_IN, *_of_packages()) if known == part})


def create(part: str, name: str, **options: Any) -> Any:
    """Builds an estimator.

    Args:
        part: One of ``PARTS``.
        name: Backend name, see ``known_backends``.
        **options: Passed to the backend's factory.

    Raises:
        ValueError: Unknown part or backend, or options the backend does not take.
    """
    _check_options(part, name, options)
    return factory_of(part, name)(**options)


def describe(part: str, name: str, **options: Any) -> Any | None:
    """Returns the ``EstimatorInfo`` of the estimator that ``create`` would build, or None if only building it tells.

    A factory that can tell, from its files' hashes, has a class method ``describe`` with the same options.

    Raises:
        ValueError: As for ``create``, and a file that is not there.
    """
    _check_options(part, name, options)
    tell = getattr(factory_of(part, name), "describe", None)
    return None if tell is None else tell(**options)


def factory_of(part: str, name: str) -> Callable[..., Any]:
    """What builds a backend, imported on first use; ValueError with the known names otherwise."""
    if part not in PARTS:
        raise ValueError(f"estimator part {part!r} is unknown, expected one of {', '.join(PARTS)}")
    if (part, name) not in _FACTORIES:
        of_packages = _of_packages()  # also for a built-in one: a package that gives it its name is told
        if (module := _BUILT_IN.get((part, name))) is not None:
            importlib.import_module(module)
        elif (point := of_packages.get((part, name))) is not None:
            _FACTORIES[part, name] = _loaded(point)
        else:
            raise ValueError(
                f"no {part} estimator is called {name!r}, expected one of {', '.join(known_backends(part))}; "
                f"name your own in the entry points {ENTRY_POINTS} of its package, or use model.estimators.register"
            )
    return _FACTORIES[part, name]


@cache
def _of_packages() -> dict[tuple[str, str], EntryPoint]:
    """Entry points of installed packages by part and name.

    Raises:
        ValueError: One is called otherwise than ``<part>.<name>``, or as a built-in backend or that of another package.
    """
    found: dict[tuple[str, str], EntryPoint] = {}
    for point in entry_points(group=ENTRY_POINTS):
        part, mark, name = point.name.partition(".")
        if part not in PARTS or not mark or not name:
            raise ValueError(
                f"the {_told(point)} is called {point.name!r}, expected <part>.<name>, such as hands.mine; parts are "
                f"{', '.join(PARTS)}"
            )
        if (part, name) in _BUILT_IN:
            raise ValueError(f"the {_told(point)} has the name of a built-in backend, {point.name}; rename it there")
        if found.setdefault((part, name), point) != point:
            raise ValueError(
                f"the {_told(found[part, name])} and the {_told(point)} are both called {point.name}; uninstall one of "
                "the packages"
            )
    return found


def _loaded(point: EntryPoint) -> Callable[..., Any]:
    try:
        factory = point.load()
    except Exception as error:  # whatever somebody else's import raises
        raise ValueError(
            f"the {_told(point)} cannot be imported ({type(error).__name__}: {error}); mend or uninstall the package"
        ) from error
    if not callable(factory):
        raise ValueError(f"the {_told(point)} is no class or function: {point.value}")
    return factory


def _told(point: EntryPoint) -> str:
    package = "" if point.dist is None else f" of the package {point.dist.name}"
    return f"entry point {point.name} ({ENTRY_POINTS}){package}"


def options_of(part: str, name: str) -> type[Any] | None:
    """The options of a backend as a dataclass; None if it takes any.

    They are the keyword arguments of its factory and, for the ``**options`` of a class, the fields of the dataclass
    that it names by ``Options``.

    Raises:
        ValueError: Unknown part or backend.
    """
    factory = factory_of(part, name)
    base = getattr(factory, "Options", None)
    own = [at for at in inspect.signature(factory).parameters.values() if at.kind is not at.VAR_KEYWORD]
    if base is None and len(own) < len(inspect.signature(factory).parameters):
        return None
    hints = get_type_hints(factory.__init__ if isinstance(factory, type) else factory)
    stated = [
        (at.name, hints.get(at.name, Any), field() if at.default is at.empty else field(default=at.default))
        for at in own
    ]
    return make_dataclass(f"{part}_{name}", stated, bases=(base,) if base else (), frozen=True, kw_only=True)


def _check_options(part: str, name: str, options: Mapping[str, Any]) -> None:
    known = options_of(part, name)
    if known is None:
        return
    try:
        known(**options)
    except TypeError as error:
        names = ", ".join(option.name for option in fields(known)) or "none"
        raise ValueError(f"{part} estimator {name!r}: {error}; its options are {names}") from error
