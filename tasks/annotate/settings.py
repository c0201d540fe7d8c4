"""Settings of the annotation, read from ``params.yaml`` so that DVC sees every value.

Each step has a hash over its own settings, the code that made it and the hashes of what it reads. A file belongs to the
present settings if its footer carries that hash, so a changed setting re-does just what depends on it.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from datasets_manifest.named_sources import fixed_root, fixed_source
from datasets_manifest.paths import is_address, placed
from datasets_manifest.placed_settings import PathText, PlacedBy, PlaceText, placed_overrides, with_places
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, BodySize
from datasets_manifest.settings import Share, Text, read_section, read_settings, with_overrides
from datasets_manifest.sources.frame_choice import ALL_FRAMES, FrameChoice
from fitting.clips.settings import ClipConfig
from fitting.pixel_settings import PixelConfig
from fitting.rigs.settings import RigConfig
from fitting.settings import Composition, RefineConfig
from model.estimators.base import PARTS
from tasks.annotate.asset_paths import DEFAULT_ROOT, with_table_paths
from tasks.settings import BodyModelConfig, Device, EstimatorConfig
from tasks.tracks.settings import TrackConfig

TaskRunnerName = Literal["threads", "processes", "dask", "ray"]
CLUSTERS = ("dask", "ray")
"""Task runners whose workers may be on other machines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterConfig:
    """A Dask cluster that a run starts for itself and ends again."""

    class_name: Text | None = None
    """Its class, such as ``dask_jobqueue.SLURMCluster``; null: workers of this machine."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the class, such as ``{cores: 1, processes: 1, memory: 8GB, walltime: "04:00:00"}``."""
    adapt: dict[str, Any] = field(default_factory=dict)
    """Arguments of its ``adapt``, such as ``{minimum: 0, maximum: 50}``; empty: ``run.workers`` workers all the time,
    unless ``kwargs`` say how many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """How the work is cut and spread; changes no label, so it is in no hash."""

    images_per_shard: PositiveInt = 8
    """Photos a new shard is given; a shard that is planned keeps its photos."""
    workers: PositiveInt = 2
    """Shard parts (threads) or shards (all others) that run at once."""
    task_runner: TaskRunnerName = "threads"
    """``threads`` of one process, each for a part of a shard; or each for a whole shard ``processes`` of this machine,
    or the workers of a ``dask`` or ``ray`` cluster (extras of those names)."""
    address: Text | None = None
    """A cluster that runs already, such as ``tcp://head:8786`` (Dask) or ``ray://head:10001``; null: one is started
    for the run."""
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    """The Dask cluster that is started."""
    task_options: dict[str, Any] = field(default_factory=dict)
    """What a shard asks of a cluster: arguments of Dask's ``Client.submit``, such as ``{resources: {GPU: 1}}``, or of
    Ray's ``remote``, such as ``{num_gpus: 1}``."""
    device: Device = "auto"
    """Where the networks of all backends run that can choose: ``cpu``, ``cuda``, or ``auto``: the GPU if there is one.
    On a GPU, under Prefect, an estimator takes a slot of its GPU's concurrency limit, ``pear-gpu-<GPU>``, while it
    computes."""
    retries: NonNegativeInt = 2
    """Times a shard part is tried again after an error, waiting longer each time."""
    window: PositiveInt = 64
    """Task runs that are submitted before the flow waits for them, so that the server records every one."""
    photo_cache_mb: NonNegativeFloat = 1024.0
    """MiB of decoded photos that a process keeps, so that the steps of a shard decode each once: 64 of 5 megapixels."""
    photo_chunk_mb: PositiveFloat = 256.0
    """MiB of decoded photos that a step works on at a time: 300 photos of COCO, 7 of 12 megapixels."""
    max_failed_share: Share = 0.5
    """Largest share of failed people with which a run still counts as good."""

    def __post_init__(self) -> None:
        started = self.cluster != ClusterConfig()
        for name, is_stated, runners in (
            ("address", self.address is not None, CLUSTERS),
            ("task_options", bool(self.task_options), CLUSTERS),
            ("cluster", started, ("dask",)),
        ):
            if is_stated and self.task_runner not in runners:
                raise ValueError(f"{name}: is of run.task_runner {' and '.join(runners)}, not of {self.task_runner}")
        if started and self.address is not None:
            raise ValueError("cluster: is a cluster that is started, and address one that runs already; give one")


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputConfig:
    """Where the results go; relative paths are relative to the folder of the settings file."""

    work: PathText = "work"
    """Intermediate files."""
    labels: PlaceText = "labels"
    """Published labels; a folder, or an address as ``s3://bucket/labels``."""
    parts: PlaceText | None = None
    """Files of the parts, a folder or an address; null: ``parts`` in the work folder."""
    shards_per_file: PositiveInt = 1
    """Shards whose labels are in one file. With more than one, those of each shard are kept with the parts, and the
    files of ``labels`` are made of them when a run publishes; see docs/scale.md."""
    corrections: PathText = "corrections"
    """Keypoints that people corrected, which the refinement obeys; see docs/reviews.md."""
    report: PathText = "reports/annotate"
    """The page a person looks at, and the picture of the error distribution."""
    metrics: PathText = "metrics/annotate.json"
    """All figures by data set; the main ones are in ``summary/<dataset>.json`` beside it, for ``dvc metrics show``."""

    def __post_init__(self) -> None:
        if self.shards_per_file > 1 and is_address(self.labels) and not is_address(self.parts or ""):
            raise ValueError(
                f"parts: labels in a store, {self.labels}, in files of several shards are made of what lies with the "
                "parts, so that all machines need to see it; give an address in the store (output.parts)"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class CoefficientsConfig:
    """How many coefficients labels have; fewer where the body has fewer. What no estimator gives is zero."""

    num_betas: PositiveInt = DEFAULT_SIZE.num_betas
    """SMPL-X shape."""
    num_flame_shape: PositiveInt = DEFAULT_SIZE.num_flame_shape
    """FLAME shape."""
    num_expression: PositiveInt = DEFAULT_SIZE.num_expression
    """FLAME expression."""
    refined: BodySize = DEFAULT_SIZE
    """How many of each, the leading ones, the refinement moves; the others stay as estimated."""

    @property
    def size(self) -> BodySize:
        """Of the labels."""
        return BodySize(
            num_betas=self.num_betas, num_flame_shape=self.num_flame_shape, num_expression=self.num_expression
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelsConfig:
    """Refinement of hands and head by the pixels of the photos, beside their keypoints."""

    renderer: PathText | None = None
    """File of a renderer of people, as ``pear finetune-renderer`` makes it; null: labels are refined by keypoints
    alone. The file's hash, not its place, goes into footers."""
    rasteriser: Literal["tiles", "native"] = "tiles"
    """``tiles`` is in PyTorch; ``native``, in C++, needs a compiler and takes a third of the time. Labels by one differ
    a little from those by the other, so it is a setting and not a matter of the machine."""
    fit: PixelConfig = field(default_factory=PixelConfig)
    """What is compared, and what of it is believed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupsConfig:
    """Photos that belong together: frames of videos, views of several cameras. Photos alone are not concerned."""

    together: bool = True
    """Whether frames and views of a person are fitted together; else each is, like a photo, alone."""
    max_bridged: NonNegativeInt = 30
    """Frames in turn in which nobody is found where a person passes that are given labels all the same, from the frames
    around them; in longer gaps none is."""
    tracks: TrackConfig = field(default_factory=TrackConfig)
    """Who is who over the frames of a camera."""
    clips: ClipConfig = field(default_factory=ClipConfig)
    """How frames are held together."""
    rigs: RigConfig = field(default_factory=RigConfig)
    """How far stated cameras are trusted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotateConfig:
    """All of ``params.yaml``."""

    datasets: tuple[Annotated[str, PlacedBy(fixed_source)], ...] = (
        "demo_photos",
        "demo_portrait",
        "demo_people",
        "demo_clip",
        "demo_rig",
    )
    """Manifest ids, or paths of manifest files, or of folders or files of photos and videos; relative ones are relative
    to the folder of the settings file, and so is the ``root`` that a manifest states."""
    roots: dict[str, Annotated[Text, PlacedBy(fixed_root)]] = field(default_factory=dict)
    """Data set id to folder or tar file, where the data lie elsewhere than the manifest says; as its ``root``."""
    ids: dict[str, Text] = field(default_factory=dict)
    """Data set id to another id to annotate it under, so that one manifest serves several folders."""
    frames: FrameChoice = ALL_FRAMES
    """Which frames of videos that are named by their path, or lie in a folder that is; a manifest says it itself."""
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
    pixels: PixelsConfig = field(default_factory=PixelsConfig)
    """Refinement by pixels, off where no renderer is named."""
    groups: GroupsConfig = field(default_factory=GroupsConfig)
    """Frames of videos and views of several cameras."""
    body_model: BodyModelConfig = field(default_factory=BodyModelConfig)
    """The body the labels are labels of."""
    coefficients: CoefficientsConfig = field(default_factory=CoefficientsConfig)
    """How many coefficients labels have, and how many of them are refined."""
    smpl_to_smplx: Composition = "conjugate"
    """How the poses of a body backend that speaks SMPL become SMPL-X poses: ``conjugate``, ``additive`` (paper eq. 9)
    or ``copy``; see fitting/delta_theta.py. The other backends do not need it."""
    run: RunConfig = field(default_factory=RunConfig)
    """Shards and workers."""
    output: OutputConfig = field(default_factory=OutputConfig)
    """Folders."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where settings came from: enough to make them again, in another process or working folder; ``of`` makes it."""

    params: Path
    """The settings file, as an absolute path."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """As for ``build_config``, every path absolute."""
    is_told_in_files: bool = False
    """Whether commands name the settings file even where it is the usual one: a file is read in any folder."""

    @classmethod
    def of(cls, params: str | Path, overrides: Mapping[str, Any] | None = None) -> Origin:
        """The origin of what ``load_config`` gives."""
        typed = placed_overrides(overrides or {}, AnnotateConfig, Path.cwd())
        return cls(params=placed(params).absolute(), overrides=typed)

    @property
    def folder(self) -> Path:
        """The folder of the settings file."""
        return self.params.parent

    def config(self) -> AnnotateConfig:
        """The settings."""
        return load_config(self.params, self.overrides)


def load_config(
    path: str | Path = "params.yaml", overrides: Mapping[str, Any] | None = None, *, asset_root: Path | None = None
) -> AnnotateConfig:
    """Reads the settings.

    Args:
        path: YAML file; relative paths in it are taken from its folder.
        overrides: As for ``build_config``.
        asset_root: As for ``build_config``.

    Raises:
        ValueError: The file is missing or not YAML, a setting is unknown or out of range.
    """
    path = placed(path).absolute()
    return build_config(read_section(path, "annotate"), path.parent, path.name, overrides, asset_root=asset_root)


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
        folder: What relative paths are relative to, but for those of ``overrides``: to the working folder.
        where: Name of the file, for messages.
        overrides: Dotted names to values that replace those of the file, e.g. ``{"keypoints.backend": "annotations"}``.
            Another backend of a part does not get the options that the file has for the one it replaces.
        asset_root: Folder of the licensed files that ``options`` name no path of; None:
            ``body_model.path``, then ``licensed``.

    Raises:
        ValueError: A setting is unknown or out of range.
    """
    typed = placed_overrides(overrides or {}, AnnotateConfig, Path.cwd())
    config = read_settings(AnnotateConfig, _overridden(values, typed), where)
    config: AnnotateConfig = with_places(config, AnnotateConfig, folder)
    chosen = {"device": config.run.device}
    here = [] if config.body_model.path is None else [Path(config.body_model.path)]
    roots = [*here, folder / DEFAULT_ROOT] if asset_root is None else [asset_root.absolute()]
    estimators = {}
    for part in PARTS:
        estimator: EstimatorConfig = getattr(config, part)
        estimator.check(part)
        options = with_table_paths(part, estimator.backend, estimator.options, roots)
        estimators[part] = dataclasses.replace(estimator, options=options | chosen)
    return dataclasses.replace(config, **estimators)


def _overridden(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    replaced = copy.deepcopy(dict(values))
    for part in PARTS:
        own, backend = replaced.get(part), overrides.get(f"{part}.backend")
        if isinstance(own, dict) and backend not in (None, own.get("backend", EstimatorConfig().backend)):
            own.pop("options", None)
    return with_overrides(replaced, overrides, AnnotateConfig)
