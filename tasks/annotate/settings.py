"""Settings of the annotation, read from ``params.yaml`` so that DVC sees every value.

Each step has a hash over its own settings, the code that made it and the hashes of what it reads. A file belongs to the
present settings if its footer carries that hash, so a changed setting re-does just what depends on it.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from fitting.settings import Composition, RefineConfig
from model.estimators.base import PARTS
from tasks.annotate.asset_paths import DEFAULT_ROOT, with_table_paths

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimatorConfig:
    """Which backend annotates a part."""

    backend: str = "mediapipe"
    """Name in the registry of model.estimators."""
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the backend. Those called ``*_path`` are files, relative to the folder of ``params.yaml``;
    the files' hashes, not their places, go into footers. One that is not named lies where ``pear assets`` says, below
    ``body_model.path`` or ``licensed``; null is no file."""

    def within(self, folder: Path, part: str) -> EstimatorConfig:
        """The same with the paths of its files made absolute.

        Args:
            folder: What they are relative to.
            part: Name of these settings, for messages.

        Raises:
            ValueError: A path is not text.
        """
        options = dict(self.options)
        for name, value in options.items():
            if name.endswith("_path") and value not in (None, ""):
                if not isinstance(value, str):
                    raise ValueError(f"{part}.options.{name}: expected the path of a file or null, got {value!r}")
                options[name] = str(folder / value)
        return dataclasses.replace(self, options=options)


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyModelConfig:
    """Which body model the labels are labels of."""

    path: str | None = None
    """Folder of converted SMPL-X + FLAME files (see ``python -m model.body.convert``), relative to the folder of
    ``params.yaml``; null: the open body. The files' hash, not their place, goes into footers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """How the work is cut and spread; changes no label, so it is in no hash but for ``images_per_shard``."""

    images_per_shard: int = 8
    """Photos a shard."""
    workers: int = 2
    """Shard parts that run at once in one process."""
    task_runner: str = "threads"
    """Under Prefect: ``threads`` of the flow's process, or ``dask`` or ``ray`` (extras of those names)."""
    use_gpu: bool = False
    """Under Prefect: every shard part takes a slot of the concurrency limit ``gpu`` while it runs."""
    retries: int = 2
    """Times a shard part is tried again after an error, waiting longer each time."""
    window: int = 64
    """Task runs that are submitted before the flow waits for them, so that the server records every one."""
    max_failed_share: float = 0.5
    """Largest share of failed people with which a run still counts as good."""

    def __post_init__(self) -> None:
        for name in ("images_per_shard", "workers", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"run.{name}: expected at least 1, got {getattr(self, name)}")
        if self.retries < 0:
            raise ValueError(f"run.retries: expected 0 or more, got {self.retries}")
        if self.task_runner not in ("threads", "dask", "ray"):
            raise ValueError(f"run.task_runner: expected threads, dask or ray, got {self.task_runner!r}")
        if not 0 <= self.max_failed_share <= 1:
            raise ValueError(f"run.max_failed_share: expected a share from 0 to 1, got {self.max_failed_share}")


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputConfig:
    """Where the results go; relative paths are relative to the folder of ``params.yaml``."""

    work: str = "work"
    """Intermediate files."""
    labels: str = "labels"
    """Published labels."""
    report: str = "reports/annotate"
    """The page a person looks at, and the picture of the error distribution."""
    metrics: str = "metrics/annotate.json"
    """Figures for ``dvc metrics show``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotateConfig:
    """All of ``params.yaml``."""

    datasets: tuple[str, ...] = ("demo_photos", "demo_people")
    """Manifest ids, or paths of manifest files."""
    roots: dict[str, str] = field(default_factory=dict)
    """Data set id to folder, where the data lie elsewhere than the manifest says."""
    keypoints: EstimatorConfig = field(default_factory=EstimatorConfig)
    """133 COCO-WholeBody keypoints and the people's boxes."""
    body: EstimatorConfig = field(default_factory=EstimatorConfig)
    """Coarse body."""
    hands: EstimatorConfig = field(default_factory=EstimatorConfig)
    """Coarse hands."""
    face: EstimatorConfig = field(default_factory=EstimatorConfig)
    """Coarse face."""
    refine: RefineConfig = field(default_factory=RefineConfig)
    """Refinement by keypoints."""
    body_model: BodyModelConfig = field(default_factory=BodyModelConfig)
    """The body the labels are labels of."""
    smpl_to_smplx: Composition = "conjugate"
    """How the poses of a body backend that speaks SMPL become SMPL-X poses: ``conjugate``, ``additive`` (paper eq. 9)
    or ``copy``; see fitting/delta_theta.py. The other backends do not need it."""
    run: RunConfig = field(default_factory=RunConfig)
    """Shards and workers."""
    output: OutputConfig = field(default_factory=OutputConfig)
    """Folders."""

    def __post_init__(self) -> None:
        if self.smpl_to_smplx not in get_args(Composition):
            known = ", ".join(get_args(Composition))
            raise ValueError(f"smpl_to_smplx: expected one of {known}, got {self.smpl_to_smplx!r}")


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Builds a settings dataclass from plain YAML values, nested ones included.

    Args:
        cls: The dataclass.
        values: What the file says; missing keys keep their defaults.
        where: Name of the place in the file, for messages.

    Raises:
        ValueError: A key is unknown, a value has the wrong type or is out of range.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{where}: expected a mapping of settings, got {values!r}")
    hints = get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"{where}: unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    built = {name: _value(hints[name], value, f"{where}.{name}") for name, value in values.items()}
    try:
        return cls(**built)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    """A setting of the type that is asked for, or the sentence that it is none."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in parts:
            return None
        (hint,) = (part for part in parts if part is not NoneType)  # settings are a type or, at most, null beside it
        return _value(hint, value, where)
    if dataclasses.is_dataclass(hint):
        return from_mapping(hint, value, where)  # type: ignore[type-var]
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{where}: expected a list, got {value!r}")
        kinds = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        if len(kinds) != len(value):
            raise ValueError(f"{where}: expected a list of {len(kinds)}, got {list(value)!r}")
        return tuple(
            _value(kind, entry, f"{where}[{i}]") for i, (kind, entry) in enumerate(zip(kinds, value, strict=True))
        )
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{where}: expected a mapping, got {value!r}")
        return value
    if hint is float:
        value = _from_text(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return float(value)
    if hint in (int, float, bool, str) and not (isinstance(value, hint) and (hint is bool) == isinstance(value, bool)):
        raise ValueError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value


def _from_text(value: Any) -> Any:
    """The number that a text states, anything else as it is: without a point, 2e-4 is text to YAML 1.1."""
    if not isinstance(value, str):
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    return number if math.isfinite(number) else value


def load_config(
    path: str | Path = "params.yaml", overrides: Mapping[str, Any] | None = None, *, asset_root: Path | None = None
) -> AnnotateConfig:
    """Reads the settings.

    Args:
        path: YAML file; relative output folders are taken from its folder.
        overrides: As for ``build_config``.
        asset_root: As for ``build_config``.

    Raises:
        ValueError: The file is missing or not YAML, a setting is unknown or out of range.
    """
    path = Path(path).absolute()
    return build_config(read_section(path, "annotate"), path.parent, path.name, overrides, asset_root=asset_root)


def read_section(path: Path, section: str) -> dict[str, Any]:
    """The one section of a settings file, as YAML gives it.

    Args:
        path: YAML file.
        section: Name of its only key.

    Raises:
        ValueError: The file is missing or not YAML, or holds anything else.
    """
    if not path.is_file():
        raise ValueError(f"settings file {path} does not exist; give its path with --params")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"settings file {path} is not valid YAML: {error}") from error
    if not isinstance(values, dict) or set(values) != {section} or not isinstance(values[section], dict):
        raise ValueError(f"settings file {path} must hold one section, `{section}:`, with the settings below it")
    return values[section]


def build_config(
    values: Mapping[str, Any],
    folder: Path,
    where: str,
    overrides: Mapping[str, Any] | None = None,
    *,
    asset_root: Path | None = None,
) -> AnnotateConfig:
    """Builds the settings from plain values.

    Args:
        values: What stands below ``annotate:``.
        folder: What relative paths are relative to.
        where: Name of the file, for messages.
        overrides: Dotted names to values that replace those of the file, e.g. ``{"keypoints.backend": "annotations"}``.
            Another backend of a part does not get the options that the file has for the one it replaces.
        asset_root: Folder of the licensed files that ``options`` name no path of; None:
            ``body_model.path``, then ``licensed``.

    Raises:
        ValueError: A setting is unknown or out of range.
    """
    config = from_mapping(AnnotateConfig, _overridden(values, overrides or {}), where)
    body_path = config.body_model.path
    body_model = BodyModelConfig(path=None if body_path is None else str(folder / body_path))
    output = {f.name: str(folder / getattr(config.output, f.name)) for f in dataclasses.fields(config.output)}
    here = [] if body_model.path is None else [Path(body_model.path)]
    roots = [*here, folder / DEFAULT_ROOT] if asset_root is None else [asset_root.absolute()]
    estimators = {}
    for part in PARTS:
        estimator: EstimatorConfig = getattr(config, part).within(folder, part)
        options = with_table_paths(part, estimator.backend, estimator.options, roots)
        estimators[part] = dataclasses.replace(estimator, options=options)
    return dataclasses.replace(config, body_model=body_model, output=OutputConfig(**output), **estimators)


def _overridden(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    replaced = copy.deepcopy(dict(values))
    for part in PARTS:
        own, backend = replaced.get(part), overrides.get(f"{part}.backend")
        if isinstance(own, dict) and backend not in (None, own.get("backend", EstimatorConfig().backend)):
            own.pop("options", None)
    return with_overrides(replaced, overrides)


def with_overrides(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with some replaced, each by its dotted name; the given ones stay as they are.

    Raises:
        ValueError: A name leads below a single value.
    """
    replaced = copy.deepcopy(dict(values))
    for dotted, value in overrides.items():
        node = replaced
        *parents, last = dotted.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ValueError(f"override {dotted!r}: {parent} is a single value, it has no settings below it")
        node[last] = value
    return replaced
