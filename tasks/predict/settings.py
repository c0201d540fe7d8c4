"""Settings of a prediction, from a file or the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from datasets_manifest.paths import placed
from datasets_manifest.placed_settings import PathText, placed_overrides, with_places
from datasets_manifest.settings import read_section, read_settings, with_overrides
from datasets_manifest.sources.frame_choice import FrameChoice
from model.execution import Mode, Precision
from model.renderer.mesh_files import MeshFormat
from tasks.predict.people import BoxRule
from tasks.settings import BodyModelConfig, Device, EstimatorConfig
from tasks.tracks.settings import TrackConfig

SECTION = "predict"
"""Name of the section in the settings file."""
WITHOUT_PIXELS = ("annotations", "simulated")
"""Keypoint backends that need a data set's own keypoints."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictRunConfig:
    """How the network is run."""

    device: Device = "auto"
    """``cpu``, ``cuda``, or ``auto``: the GPU if there is one."""
    mode: Mode = "eager"
    """``eager``; ``compile`` (needs a C++ compiler) and ``graph`` (CUDA) prepare the network for one size of batch."""
    batch_size: PositiveInt = 32
    """People in a batch of the network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SmoothingConfig:
    """How the predictions of a track are smoothed over time."""

    reach_s: PositiveFloat = 0.4
    """Frames that are at most so far from one have a say in it, nearer ones more; larger is smoother, and flattens fast
    motion."""
    max_step_s: PositiveFloat = 0.2
    """Frames of a track that are further apart are not smoothed together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AvatarConfig:
    """How people are drawn in new poses."""

    renderer: PathText = "runs/renderer.safetensors"
    """File of a trained renderer of the same body."""
    views: NonNegativeInt = 60
    """Pictures of a turntable, which takes four seconds; 0: no turntable."""
    motion: PathText | None = None
    """Poses of somebody else: Parquet of labels or predictions, or NPZ as in AMASS; null: none."""
    face: Literal["motion", "photo"] = "motion"
    """Whose jaw, eyes, eyelids and expression are seen in the motion: its own, or those of the photo."""
    fps: PositiveFloat | None = None
    """Frames a second of the motion; null: as the file says, else 2."""
    size_px: Annotated[int, Field(ge=64, le=2048, multiple_of=2)] = 512
    """Side of the pictures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictConfig:
    """What is predicted, from what, and what is written."""

    checkpoint: PathText
    """File of a trained regressor."""
    out: PathText = "predictions"
    """Folder of the results."""
    boxes: BoxRule = "keypoints"
    """``keypoints``: people that the keypoint backend finds; ``whole``: the whole image is one person."""
    keypoints: EstimatorConfig = field(default_factory=EstimatorConfig)
    """The keypoint backend."""
    body_model: BodyModelConfig = field(default_factory=BodyModelConfig)
    """The body that the network was trained with; not looked at for rotations only."""
    rotations_only: bool = False
    """Joint rotations and nothing else: no body model, no mesh."""
    meshes: MeshFormat | None = None
    """Format of mesh files, None for none."""
    overlays: bool = False
    """Pictures with the mesh over the photo; of a video one film."""
    render: bool = False
    """Draw every person of a photo, or of the first frame of a video that shows people, in new poses."""
    avatar: AvatarConfig = field(default_factory=AvatarConfig)
    """How."""
    frames: FrameChoice = field(default_factory=FrameChoice)
    """Which frames of videos."""
    tracks: TrackConfig = field(default_factory=TrackConfig)
    """Who is who over the frames of a video."""
    smooth: bool = False
    """Smooth the predictions of videos over time, with one shape a track."""
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    """How."""
    focal_px: PositiveFloat | None = None
    """Focal length of all photos; None takes what each photo's EXIF block states, else 1.2 times the longer side."""
    precision: Precision = "fp32"
    """fp32, tf32 or bf16."""
    run: PredictRunConfig = field(default_factory=PredictRunConfig)
    """How the network is run."""
    overwrite: bool = False
    """Replace predictions that are in the folder already."""

    def __post_init__(self) -> None:
        if self.boxes == "keypoints" and self.keypoints.backend in WITHOUT_PIXELS:
            raise ValueError(
                f"the keypoint backend {self.keypoints.backend!r} finds nobody in a photo: it repeats what a data set "
                "states; choose another backend, or boxes whole"
            )
        if self.rotations_only and (self.meshes is not None or self.overlays or self.render):
            raise ValueError("rotations only means that no mesh is computed: leave out meshes, overlays, render, or it")
        if self.render and not self.avatar.views and self.avatar.motion is None:
            raise ValueError("avatar.views: expected 1 or more, or a motion: with neither there is nothing to render")


def load_predict_config(path: Path | None, overrides: Mapping[str, Any]) -> PredictConfig:
    """Reads the settings.

    Args:
        path: YAML file with one section ``predict``, relative paths in it are taken from its folder; None for the
            defaults, in the working folder.
        overrides: Dotted names to values that replace those of the file; relative paths are taken from the working
            folder.

    Raises:
        ValueError: The file is missing or not YAML, a setting is unknown or out of range.
    """
    path = None if path is None else placed(path).absolute()
    stated = {} if path is None else read_section(path, SECTION)
    typed = placed_overrides(overrides, PredictConfig, Path.cwd())
    where, folder = ("settings", Path.cwd()) if path is None else (path.name, path.parent)
    config = read_settings(PredictConfig, with_overrides(stated, typed, PredictConfig), where)
    config: PredictConfig = with_places(config, PredictConfig, folder)
    config.keypoints.check("keypoints")
    options = config.keypoints.options | {"device": config.run.device}
    return dataclasses.replace(config, keypoints=dataclasses.replace(config.keypoints, options=options))
