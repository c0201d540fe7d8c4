"""What decides the content of each step's files, as the footers state it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

from datasets_manifest.canonical import config_hash
from datasets_manifest.corrections.kept import NONE, Corrections
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE
from datasets_manifest.shards.footer import Footer
from model.body.ehms import EHMs
from model.estimators.base import PARTS
from model.renderer.splat.native_library import library
from tasks.annotate.corrections import corrected_inputs
from tasks.annotate.delta_theta import transfer_key
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.workspace import ShardRef
from tasks.body_model import ehm_assets, full_body, people_size
from tasks.estimators import estimator_entry, estimator_info, estimator_settings
from tasks.people_renderer import open_renderer
from tasks.revisions import REVISIONS
from tasks.settings import EstimatorConfig
from tasks.version import code_version


def body_model_entry(step: str, config: AnnotateConfig) -> dict[str, Any]:
    """What a step's files state of the body model. How its head is fused concerns the fitted body alone."""
    body = config.body_model if step == "refine" else dataclasses.replace(config.body_model, fusion="blended")
    return ehm_assets(body).entry


def labelled_body(config: AnnotateConfig) -> EHMs:
    """The whole body of the labels, with as many coefficients as they have."""
    return full_body(config.body_model, people_size(config.body_model, config.coefficients.size))


def step_config(step: str, config: AnnotateConfig, *, in_groups: bool = False) -> dict[str, Any]:
    """The canonical settings of a step: its own, its estimator's, and those of the steps it reads.

    Args:
        step: ``keypoints``, ``body``, ``hands``, ``face`` or ``refine``.
        config: All settings.
        in_groups: Whether its photos are in groups; files of others say nothing of these.
    """
    stated: dict[str, Any] = {"step": step, "revision": REVISIONS[step]}
    if step in PARTS:
        part: EstimatorConfig = getattr(config, step)
        stated |= {"settings": estimator_settings(part), "estimator": estimator_entry(step, part)}
        if step == "body" and estimator_info(step, part).skeleton == "smpl":
            stated["smpl_to_smplx"] = {"composition": config.smpl_to_smplx, "key": transfer_key(config.body_model)}
        if step == "keypoints" and in_groups:
            stated["tracks"] = dataclasses.asdict(config.groups.tracks)
    else:
        stated["settings"] = dataclasses.asdict(config.refine)
    if step != "keypoints":
        if step == "refine":
            stated["reads"] = {name: step_config(name, config, in_groups=in_groups) for name in PARTS}
        else:  # parts do not ask who is who
            stated["reads"] = {"keypoints": config_hash(step_config("keypoints", config))}
        stated["body_model"] = body_model_entry(step, config)
    if step in ("body", "face", "refine"):
        # The usual numbers are not said, as in files that knew no others.
        size = people_size(config.body_model, config.coefficients.size)
        told = {"coefficients": size, "refined_coefficients": config.coefficients.refined if step == "refine" else None}
        stated |= {name: dataclasses.asdict(value) for name, value in told.items() if value not in (None, DEFAULT_SIZE)}
    if step == "refine" and in_groups:
        together = {name: value for name, value in dataclasses.asdict(config.groups).items() if name != "tracks"}
        stated["groups"] = {"revision": REVISIONS["groups"], "settings": together}
    if step == "refine" and config.pixels.renderer is not None:
        # Likewise: labels by keypoints alone say nothing of pixels.
        stated["pixels"] = {
            "revision": REVISIONS["pixels"],
            "settings": dataclasses.asdict(config.pixels.fit),
            "rasteriser": config.pixels.rasteriser,
            "estimators": pixel_entries(config),
        }
    return stated


def pixel_entries(config: AnnotateConfig) -> list[dict[str, Any]]:
    """What refines labels by pixels, as footers list it: the renderer, and what says which pixels are a person.

    Without the package mediapipe the latter is not there, and outlines are not looked at.

    Raises:
        ValueError: There is no file of the renderer, or it is none of this body.
        ImportError: The rasteriser cannot be built here.
    """
    if config.pixels.renderer is None:
        return []
    if config.pixels.rasteriser == "native":
        library()  # built or refused now, not in the first shard
    found = {"renderer": open_renderer(config.pixels.renderer, "pixels.renderer", config.body_model).info}
    with suppress(ImportError):
        found["masks"] = import_module("model.estimators.mediapipe.masks").mask_info()
    return [{"part": part, **dataclasses.asdict(info)} for part, info in found.items()]


def step_footer(
    step: str,
    config: AnnotateConfig,
    shard: ShardRef,
    planned: Mapping[str, Any],
    corrections: Corrections = NONE,
) -> Footer:
    """The footer of a shard's file at a step.

    Args:
        step: Name of the step.
        config: All settings.
        shard: Which shard.
        planned: Manifest entry of its plan, which says which photos and annotations it is about.
        corrections: Of people in its photos, which concern the labels alone.
    """
    parts = PARTS if step == "refine" else (step,)
    read = ("inputs_hash",) if step == "refine" else ("parts_hash", "unmasked_hash", "inputs_hash")
    inputs = next(planned[name] for name in read if name in planned)
    if step == "refine":
        inputs = corrected_inputs(inputs, corrections)
    further = pixel_entries(config) if step == "refine" else []
    return Footer(
        config=step_config(step, config, in_groups="parts_hash" in planned),
        code_version=code_version(),
        manifest={name: planned[name] for name in ("id", "version", "hash", "licence")} | {"inputs_hash": inputs},
        shard=f"{shard.index:05d}",
        body_model={} if step == "keypoints" else body_model_entry(step, config),
        estimators=(*(estimator_entry(part, getattr(config, part)) for part in parts), *further),
    )
