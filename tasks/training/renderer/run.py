"""A renderer from settings: checked, learnt, measured on people who are held out, published.

It takes minutes and is not gone on with: a run that was stopped begins again, one that has finished says so.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from datasets_manifest.canonical import config_hash
from datasets_manifest.files import write_bytes, write_text
from datasets_manifest.shards.body_entry import body_identity
from model.body.ehms import EHMs
from model.metrics.person import unmeasured
from model.renderer.perceptual.term import Perceptual, build_perceptual
from model.renderer.sites import body_sites
from model.renderer.splat import native_library
from model.renderer.texture.file import RendererMeta, load_renderer, save_renderer
from model.renderer.texture.renderer import TextureRenderer
from model.tensor_file import unpack
from model.weights import checkpoint_sha256
from tasks.body_model import full_body
from tasks.display import Display
from tasks.metric_files import write_summary
from tasks.revisions import REVISIONS
from tasks.settings import check_files
from tasks.training.labelled_photos import LabelledPhotos, open_labelled
from tasks.training.renderer.evaluation import GOAL, held_out_figures
from tasks.training.renderer.people import held_out_pairs, rendered_people
from tasks.training.renderer.photos import adapted, read_people
from tasks.training.renderer.settings import SECTION, RendererConfig
from tasks.version import code_version

log = logging.getLogger(__name__)

_SUMMARY = (GOAL, "same_psnr_db", "other_ssim", "mean_psnr_db")
"""Figures for ``dvc metrics show``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RendererResult:
    """What the learning came to."""

    checkpoint: Path
    """The renderer."""
    metrics: Mapping[str, Any]
    """Figures of people who are held out."""
    pictures: Path
    """Some of them, as they are and as they are drawn."""
    sentence: str
    """The outcome."""

    @property
    def markdown(self) -> str:
        """The figures as a table."""
        lines = ["# Renderer", "", self.sentence, "", "| held out | value |", "|:--|--:|"]
        return "\n".join(lines + [f"| {name} | {value:.4g} |" for name, value in self.metrics.items()]) + "\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class RendererPlan:
    """A learning that may start."""

    config: RendererConfig
    body: EHMs
    photos: tuple[LabelledPhotos, ...]
    start: TextureRenderer | None
    """What is begun with."""
    perceptual: Perceptual
    run_hash: str
    """Over everything that decides the result."""
    learnt_from: Mapping[str, Any]
    """What the file will say."""

    def lines(self) -> list[str]:
        """What will be done, for a log."""
        people = self.config.synthetic
        said = [f"learns from {each.selection.sentence}" for each in self.photos]
        if people.train:
            said.append(f"learns from {people.train} rendered people")
        return [*said, f"evaluates on {people.held_out} rendered people; run {self.run_hash[:12]}"]


def open_plan(config: RendererConfig) -> RendererPlan:
    """Reads and checks everything that the learning needs.

    Raises:
        ValueError: Labels, photos, masks or files are missing, or of another body.
        ImportError: The rasteriser cannot be built here.
    """
    files = {
        name: path
        for name in ("start", "perceptual_backbone", "perceptual_linear")
        if (path := getattr(config, name)) is not None
    }
    check_files(files)
    perceptual = build_perceptual(
        config.perceptual, backbone=config.perceptual_backbone, linear=config.perceptual_linear
    )
    if config.rasteriser == "native":
        native_library.library()  # built or refused now, not after the people have been made up
    body = full_body(config.body_model)
    if sum(config.synthetic.crop_shares[3:5]) and "hands" in (absent := unmeasured(body.assets)):
        raise ValueError(
            "synthetic.crop_shares: the body does not say which vertices are hands; convert it again with "
            f"{absent['hands']}, or ask for no pictures of hands"
        )
    start = None
    if "start" in files:
        data = Path(files["start"]).read_bytes()
        start, _ = load_renderer(data, body.faces, body.assets.smplx.num_vertices, source=files["start"])
    photos = tuple(
        open_labelled(
            entry,
            config.filter,
            max_dropped_share=config.max_dropped_share,
            body_model=body.assets.entry,
            size=body.size,
        )
        for entry in config.datasets
    )
    stated = {
        "revision": REVISIONS[SECTION],
        "settings": config.deciding(),
        "snapshots": [each.selection.snapshot_hash for each in photos],
        "body_model": body_identity(body.assets.entry),
        "start": checkpoint_sha256(str(files["start"])) if "start" in files else None,
        "perceptual": perceptual.record,
    }
    run_hash = config_hash(stated)
    return RendererPlan(
        config=config,
        body=body,
        photos=photos,
        start=start,
        perceptual=perceptual,
        run_hash=run_hash,
        learnt_from={**stated, "run_hash": run_hash, "labels": [each.selection.origin for each in photos]},
    )


def finetune_renderer(
    config: RendererConfig,
    display: Display,
    *,
    stage: Callable[[str, Callable[[], Any]], Any] = lambda _name, function: function(),
) -> RendererResult:
    """Learns a renderer and publishes it, unless the file is there and was made from the same.

    Args:
        config: All settings.
        display: Shows how far it is.
        stage: Runs a function under a name and returns what it returns.

    Raises:
        ValueError: See ``open_plan``; or nobody in the photos has a mask.
    """
    plan: RendererPlan = stage("people", lambda: open_plan(config))
    for line in plan.lines():
        log.info("%s", line)
    output = config.output
    found = _finished(Path(output.checkpoint), plan.run_hash)
    if found is not None and Path(output.pictures).is_file():
        log.info("%s has been learnt from the same already", output.checkpoint)
        return _published(config, found)
    renderer = stage(f"learn/{plan.run_hash[:12]}", lambda: _learnt(plan, display))
    figures, sheet = stage("held-out", lambda: _measured(plan, renderer, display))
    meta = RendererMeta(
        body_model=plan.body.assets.entry,
        learnt_from=plan.learnt_from,
        metrics=figures,
        code_version=code_version(),
    )
    write_bytes(Path(output.pictures), sheet)
    write_bytes(Path(output.checkpoint), save_renderer(renderer, meta))
    return _published(config, figures)


def _learnt(plan: RendererPlan, display: Display) -> TextureRenderer:
    config, assets = plan.config, plan.body.assets
    sites = body_sites(assets) if plan.start is None else plan.start.sites
    people = rendered_people(config.synthetic, assets, sites, display) if config.synthetic.train else None
    if plan.start is not None:
        renderer = plan.start
    else:
        assert people is not None  # the settings ask for more people than directions
        renderer = TextureRenderer(plan.body.faces, sites, people.texture(config.directions))
    if plan.photos:
        seen = read_people(plan.photos, config, renderer, plan.body, display)
        others = torch.empty(0, len(sites), 3, dtype=torch.uint8) if people is None else people.surface
        texture = adapted(renderer.texture, seen, others, config.passes, display)
        renderer = TextureRenderer(plan.body.faces, sites, texture)
    return renderer


def _measured(plan: RendererPlan, renderer: TextureRenderer, display: Display) -> tuple[dict[str, float], bytes]:
    pairs = held_out_pairs(plan.config.synthetic, plan.body, display)
    return held_out_figures(renderer, pairs, plan.perceptual, plan.config.rasteriser, display)


def _finished(path: Path, run_hash: str) -> dict[str, Any] | None:
    """Figures of the renderer in a file that was learnt from the same; None: there is no such file."""
    if not path.is_file():
        return None
    try:
        _, metadata = unpack(path.read_bytes(), str(path))
    except ValueError:
        return None
    is_same = metadata.get("learnt_from", {}).get("run_hash") == run_hash
    return metadata["metrics"] if is_same else None


def _published(config: RendererConfig, figures: Mapping[str, Any]) -> RendererResult:
    """Writes the figures beside the renderer, and says what came of it."""
    output = config.output
    write_text(Path(output.metrics), json.dumps(figures, indent=2, sort_keys=True) + "\n")
    write_summary(output.metrics, SECTION, {name: figures[name] for name in _SUMMARY})
    sentence = (
        f"{output.checkpoint}: held-out people, drawn from another picture of them, PSNR {figures[GOAL]:.1f} dB within "
        f"the mask ({figures['mean_psnr_db']:.1f} with the mean of all people), {figures['same_psnr_db']:.1f} dB from "
        "the same picture."
    )
    return RendererResult(
        checkpoint=Path(output.checkpoint), metrics=figures, pictures=Path(output.pictures), sentence=sentence
    )
