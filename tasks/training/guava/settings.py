"""Settings of ``finetune-renderer`` of the kind ``guava``, read from ``params.guava.yaml`` and its like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import PositiveInt

from datasets_manifest.paths import placed
from datasets_manifest.placed_settings import PathText, load_placed
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, BodySize
from datasets_manifest.settings import Share, Text, read_section
from datasets_manifest.shards.label_filter import LabelFilter
from datasets_manifest.shards.label_sets import LabelSet
from model.renderer.guava.config import PUBLISHED, GuavaConfig
from model.renderer.guava.losses import GuavaLossConfig
from model.renderer.splat.draw import Rasteriser
from tasks.settings import BodyModelConfig
from tasks.training.engine.config import EngineConfig, OutputConfig

SECTION = "renderer"
"""Name of the section in the settings file."""
FILES = ("checkpoint", "perceptual_backbone", "perceptual_linear")
"""Settings that name a file by which the result is decided."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GuavaOutputConfig(OutputConfig):
    """Where the results go, relative to the folder of the settings file."""

    runs: PathText = "runs/guava"
    """One folder a run, named by the hash of what decides its result."""
    checkpoint: PathText = "runs/guava.safetensors"
    """The networks of the last finished run with the UV map, as ``load_guava`` reads them."""
    metrics: PathText = "metrics/guava.json"
    """All figures; the main ones are in ``summary/guava.json`` beside it, for ``dvc metrics show``."""
    curve: PathText = "metrics/guava_curve.csv"
    """Losses by step, for ``dvc plots``."""
    evaluations: PathText = "metrics/guava_evaluations.csv"
    """Held-out figures by step, for ``dvc plots``."""
    held_out: PathText = "reports/guava/held_out.parquet"
    """Figures of every held-out frame at the last evaluation."""
    plot: PathText = "reports/guava/curve.png"
    """Both as a picture."""
    overlays: PathText = "reports/guava/people.png"
    """Held-out people: the frame that they are known from, another one, and what is drawn of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GuavaTrainConfig(EngineConfig):
    """All of the section ``renderer`` of the kind ``guava``."""

    kind: Literal["guava"]
    """GUAVA's networks, which need the licensed body."""
    checkpoint: PathText
    """What is begun with: the published checkpoint, or one of an earlier training, relative to the folder of the
    settings file."""
    datasets: tuple[LabelSet, ...]
    """Published labels with photos and masks. People are learnt from who are labelled alone in two photos or more: two
    of a track, or of a clip where labels know no tracks, unless `same_person` says otherwise."""
    validation: tuple[LabelSet, ...] = ()
    """Likewise, to evaluate on; people are known from their first photo."""
    same_person: Text | None = None
    """Regular expression that says by the names of photos which of them show one person: those that match alike from
    the beginning of their names, in its groups where it has some. Of `actor3/cam04.mp4::000120`, for example,
    `[^/]+` are all frames of all cameras of an actor, and `(.*)/cam\\d+\\.mp4(::\\d+)` the views of one moment. null:
    the frames of a clip."""
    filter: LabelFilter = field(default_factory=LabelFilter)
    """Which labels are taken."""
    max_dropped_share: Share = 0.5
    """Largest share of labels that the filter may leave out of a data set; beyond that no training starts."""
    max_broken_share: Share = 0.0
    """Largest share of photos that may turn out to be unusable; each gives way to the next one."""
    max_validation_frames: PositiveInt = 200
    """Photos of an evaluation, spread evenly over each set."""
    coefficients: BodySize = DEFAULT_SIZE
    """Numbers of coefficients that the labels have."""
    body_model: BodyModelConfig = field(default_factory=BodyModelConfig)
    """The body that the labels are labels of: the licensed one, in the fusion ``paper``."""
    network: GuavaConfig = PUBLISHED
    """Sizes of the networks."""
    loss: GuavaLossConfig = field(default_factory=GuavaLossConfig)
    """Terms and weights."""
    perceptual_backbone: PathText | None = None
    """torchvision's file of AlexNet or VGG16, where ``loss.term.kind`` is LPIPS."""
    perceptual_linear: PathText | None = None
    """Weights of LPIPS's channels; null: those of the installed package ``lpips``."""
    rasteriser: Rasteriser = "tiles"
    """``tiles`` (PyTorch) or ``native`` (C++, on a CPU where a compiler is)."""
    output: GuavaOutputConfig = field(default_factory=GuavaOutputConfig)
    """Files."""

    def __post_init__(self) -> None:
        if not self.datasets:
            raise ValueError("datasets: nothing to learn from; name labels with their masks")
        for name in ("datasets", "validation"):
            for number, entry in enumerate(getattr(self, name)):
                if entry.masks is None:
                    raise ValueError(
                        f"{name}[{number}].masks: a renderer is learnt from what masks show; name their folder"
                    )
        if self.same_person is not None:
            try:
                re.compile(self.same_person)
            except re.error as error:
                raise ValueError(f"same_person: {self.same_person} is no regular expression ({error})") from error
        if self.body_model.path is None or self.body_model.fusion != "paper":
            raise ValueError(
                "body_model: GUAVA's networks know SMPL-X that wears the whole FLAME head; set path to the converted "
                "licensed body and fusion to paper, and have labels of that body"
            )
        if self.rasteriser == "gsplat":
            raise ValueError("rasteriser: gsplat draws by other conventions than GUAVA's weights know; take tiles")

    @property
    def files(self) -> dict[str, str]:
        """Files that decide the result, by the setting that names them."""
        return {name: path for name in FILES if (path := getattr(self, name)) is not None}

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the result, as plain values; see ``EngineConfig.deciding``."""
        values = EngineConfig.deciding(self)
        for name in ("datasets", "validation", "body_model", "output", "rasteriser", *FILES):
            values.pop(name)
        values["weights"] = [dataset.weight for dataset in self.datasets]
        return values


def is_guava(path: str | Path, overrides: Mapping[str, Any] | None = None) -> bool:
    """Whether the settings of ``finetune-renderer`` in a file are of this kind.

    Raises:
        ValueError: The file is missing or not YAML.
    """
    stated = read_section(placed(path).absolute(), SECTION)
    return {**stated, **(overrides or {})}.get("kind") == "guava"


def load_guava_config(path: str | Path, overrides: Mapping[str, Any] | None = None) -> GuavaTrainConfig:
    """Reads the settings; see ``load_placed``."""
    return load_placed(GuavaTrainConfig, path, SECTION, overrides)
