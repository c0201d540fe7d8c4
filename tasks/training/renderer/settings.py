"""Settings of ``finetune-renderer``, read from ``params.renderer.yaml`` and its like."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from datasets_manifest.placed_settings import PathText, load_placed
from datasets_manifest.settings import Share
from datasets_manifest.shards.label_filter import LabelFilter
from datasets_manifest.shards.label_sets import LabelSet
from model.renderer.perceptual.term import PerceptualConfig
from tasks.settings import BodyModelConfig

SECTION = "renderer"
"""Name of the section in the settings file, and of the step in ``tasks.revisions``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedPeopleConfig:
    """People that are made up: the colours of their surface are known all over."""

    train: NonNegativeInt = 600
    """Number of people to learn from; 0 where ``start`` names a renderer to begin with."""
    held_out: PositiveInt = 24
    """Number of people that are drawn, each from a picture of them and in another pose and view."""
    image_px: Annotated[int, Field(ge=64)] = 256
    """Side of the pictures of the people who are held out."""
    seed: NonNegativeInt = 300
    """Of the people to learn from; those held out have the next one."""
    crop_shares: tuple[float, float, float, float, float, float] = (0.25, 0.35, 0.15, 0.0, 0.0, 0.25)
    """Shares of held-out people of whom the camera shows all, the upper body, the head and what is around it, the left
    hand, the right hand, and a face that fills the picture."""

    def __post_init__(self) -> None:
        if min(self.crop_shares) < 0 or not abs(sum(self.crop_shares) - 1) <= 1e-6:
            raise ValueError(f"crop_shares: expected shares that add up to 1, got {list(self.crop_shares)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class RendererOutputConfig:
    """Where the results go, relative to the folder of the settings file."""

    checkpoint: PathText = "runs/renderer.safetensors"
    """The renderer, with its metadata."""
    metrics: PathText = "metrics/renderer.json"
    """All figures; the main ones are in ``summary/renderer.json`` beside it, for ``dvc metrics show``."""
    pictures: PathText = "reports/renderer/people.png"
    """Held-out people: picture, drawn, another picture of them, and drawn as in that one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RendererConfig:
    """All of the section ``renderer``."""

    kind: Literal["texture"] = "texture"
    """``texture``: flat Gaussians on the mesh of any body, coloured by a texture that is learnt over people."""
    synthetic: RenderedPeopleConfig = field(default_factory=RenderedPeopleConfig)
    """Rendered people."""
    start: PathText | None = None
    """Renderer to begin with, relative to the folder of the settings file; null learns one from rendered people."""
    datasets: tuple[LabelSet, ...] = ()
    """Published labels with photos and masks, to whose people the texture is adapted."""
    filter: LabelFilter = field(default_factory=LabelFilter)
    """Which labels are taken."""
    max_dropped_share: Share = 0.5
    """Largest share of labels that the filter may leave out of a data set."""
    max_people: PositiveInt = 600
    """Most people of each data set, evenly spread over it."""
    max_photo_px: Annotated[int, Field(ge=64)] = 1024
    """Photos with a longer side are made so large."""
    directions: PositiveInt = 48
    """In how many directions people differ; of ``start`` where that is given."""
    passes: PositiveInt = 2
    """How often the light is taken out of the photos and the texture adapted to what is left."""
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    """What held-out pictures are measured by, beside PSNR and SSIM."""
    perceptual_backbone: PathText | None = None
    """torchvision's file of AlexNet or VGG16, where ``perceptual.kind`` is LPIPS."""
    perceptual_linear: PathText | None = None
    """Weights of LPIPS's channels; null: those of the installed package ``lpips``."""
    rasteriser: Literal["tiles", "native"] = "tiles"
    """``tiles`` (PyTorch) or ``native`` (C++, faster, where a compiler is)."""
    body_model: BodyModelConfig = field(default_factory=BodyModelConfig)
    """The body that is drawn."""
    output: RendererOutputConfig = field(default_factory=RendererOutputConfig)
    """Files."""

    def __post_init__(self) -> None:
        if self.start is None and self.directions >= self.synthetic.train:
            raise ValueError(
                f"directions: {self.directions} cannot be learnt from synthetic.train = {self.synthetic.train} people; "
                "have more people than directions, or name a renderer as start"
            )
        if self.start is not None and not self.datasets:
            raise ValueError("start: nothing to adapt it to; name labels with photos and masks as datasets")
        for number, entry in enumerate(self.datasets):
            if entry.masks is None:
                raise ValueError(
                    f"datasets[{number}].masks: a renderer is learnt from what masks show of people; name their folder"
                )

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the result, as plain values: not the places of files."""
        values = dataclasses.asdict(self)
        for name in ("start", "datasets", "body_model", "output", "perceptual_backbone", "perceptual_linear"):
            values.pop(name)
        return values


def load_renderer_config(path: str | Path, overrides: Mapping[str, Any] | None = None) -> RendererConfig:
    """Reads the settings; see ``load_placed``."""
    return load_placed(RendererConfig, path, SECTION, overrides)
