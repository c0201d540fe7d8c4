"""Refinement by pixels, where it is on: people are drawn, compared with their photos, and what fits these better stays.

It begins where the fit to keypoints ends, in the unknowns of that fit, which no file has. So it is no step with a file
of its own: in the step ``refine`` it follows the fit to keypoints, and reads the photos besides.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from datasets_manifest.schema.columns import Values
from datasets_manifest.schema.ehm_fields import BodySize
from datasets_manifest.schema.evidence import pack_arrays
from datasets_manifest.schema.labels import PIXEL_PARTS
from fitting.picture_parts import PicturePart, picture_parts
from fitting.pixel_settings import PixelConfig
from fitting.refine import Camera, Coarse, Observations, RefineResult, fit_people
from fitting.refine_pixels import PixelResult, PixelStatus, refine_pixels
from fitting.result import summarise
from model.batches import cat_rows, choose_rows, map_tensors, take_rows
from model.estimators.base import Array, PersonBatch
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.masks import SOURCE as ANNOTATED
from tasks.annotate.steps.masks import AnnotatedMasks
from tasks.annotate.steps.parts import person_batches
from tasks.body_model import full_body, sparse_body
from tasks.people_renderer import OpenedRenderer, open_renderer
from tasks.settings import BodyModelConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelOutcome:
    """What pixels said of the (P,) people of a shard that have keypoints."""

    gain: np.ndarray
    """(P, 3) as the column ``photometric_gain``."""
    details: list[str | None]
    """Why parts are as keypoints alone have them."""
    mask_sources: list[str | None]
    """What says which pixels are the person."""
    before: list[dict[str, np.ndarray] | None]
    """Parameters that were changed, as they were."""

    def columns(self, rows: np.ndarray) -> dict[str, Values]:
        """Label columns of those people whose numbers are given."""
        return {
            "photometric_gain": self.gain[rows],
            "photometric_detail": [self.details[row] for row in rows],
            "mask_source": [self.mask_sources[row] for row in rows],
            **pack_arrays([self.before[row] for row in rows], "before_pixels"),
        }


def refine_by_pixels(
    job: ShardJob, observations: Observations, coarse: Coarse, camera: Camera
) -> tuple[RefineResult, PixelOutcome]:
    """Fits the (P,) people of a shard that have keypoints to these and to their photos.

    Returns:
        The fit, in which parts that fit the photo better are changed, and what was changed.

    Raises:
        RuntimeError: A photo that had been read for its keypoints cannot be read.
        ValueError: The renderer is of another body, or there is none.
    """
    config, masks, annotated = job.config, _Masks(), AnnotatedMasks(job.columns("plan"))
    sample_ids = job.columns("keypoints")["sample_id"]
    body = sparse_body(config.body_model, job.size, config.coefficients.refined)
    renderer = open_renderer(str(config.pixels.renderer), "pixels.renderer", config.body_model)
    parts = _parts(
        _Drawn(
            body_model=config.body_model,
            size=job.size,
            refined=config.coefficients.refined,
            num_hand_components=config.refine.num_hand_components,
            renderer=renderer,
            pixels=config.pixels.fit,
        )
    )
    found: list[tuple[RefineResult, RefineResult, PixelResult]] = []
    sources: list[str | None] = []
    for batch, kept in person_batches(job):
        rows = torch.arange(len(sources), len(sources) + len(batch))
        own, is_own = annotated.or_estimated(batch, sample_ids[kept].tolist(), masks.estimate)
        said = [ANNOTATED if annotated_one else masks.source for annotated_one in is_own]
        sources += [None if mask is None else source for mask, source in zip(own, said, strict=True)]
        first = 0
        for problem, solution in fit_people(body, *take_rows((observations, coarse, camera), rows), config.refine):
            people = slice(first, first := first + len(solution.status))
            pixels = refine_pixels(
                problem, solution, batch.images[people], own[people], parts, config.pixels.fit, config.pixels.rasteriser
            )
            with torch.inference_mode():
                found.append((summarise(problem, solution), summarise(problem, pixels.solution), pixels))
    # Copies, which are no inference tensors.
    before, after = (map_tensors(cat_rows(each), torch.clone) for each in list(zip(*found, strict=True))[:2])
    # The limits of valid parts are those of keypoints, which pixels may have moved a part beyond.
    lost = (before.part_valid & ~after.part_valid).any(1)
    after = choose_rows(lost, before, after)
    pixels = [each for _, _, each in found]
    changed = np.concatenate([(each.status == PixelStatus.CHANGED).numpy() for each in pixels]) & ~lost.numpy()[:, None]
    gain = np.concatenate([each.photometric_gain.numpy() for each in pixels])
    reasons = [_reasons(each, row, config.pixels.fit) for each in pixels for row in range(len(each.status))]
    return after, PixelOutcome(
        gain=np.where(changed, gain, np.nan),
        details=[_detail(said, bool(is_lost)) for said, is_lost in zip(reasons, lost, strict=True)],
        mask_sources=sources,
        before=_changed(before, after),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Drawn:
    """What decides how the parts of people are drawn."""

    body_model: BodyModelConfig
    size: BodySize
    refined: BodySize
    num_hand_components: int
    renderer: OpenedRenderer
    pixels: PixelConfig


@lru_cache(maxsize=1)
def _parts(of: _Drawn) -> Sequence[PicturePart]:
    """The parts, made once a process for all shards of a run."""
    body = sparse_body(of.body_model, of.size, of.refined).with_hand_components(of.num_hand_components)
    return picture_parts(body, full_body(of.body_model, of.size), of.renderer.renderer, of.pixels)


def _detail(reasons: Sequence[str | None], is_lost: bool) -> str | None:
    """Why parts of a person are as keypoints alone have them.

    Args:
        reasons: Of each part; None for a changed one.
        is_lost: Whether the changes were taken back.
    """
    taken_back = "it would take a part beyond what its keypoints allow" if is_lost else None
    said = [
        f"{part}: {reason or taken_back}"
        for part, reason in zip(PIXEL_PARTS, reasons, strict=True)
        if reason or taken_back
    ]
    return "; ".join(said) or None


def _reasons(found: PixelResult, row: int, config: PixelConfig) -> list[str | None]:
    """What was measured of each part that was not changed, and what is needed."""
    return [_reason(found, row, part, config) for part in range(len(PIXEL_PARTS))]


def _reason(found: PixelResult, row: int, part: int, config: PixelConfig) -> str | None:
    share, gain, loss = (
        float(values[row, part]) for values in (found.start_share, found.photometric_gain, found.picture_loss[..., 1])
    )
    before, after = found.keypoint_cost[row, part].tolist()
    slack = (config.head if PIXEL_PARTS[part] == "head" else config.hand).keypoint_slack
    return {
        PixelStatus.CHANGED: None,
        PixelStatus.NOT_SEEN: "too few of its keypoints are seen",
        PixelStatus.FAR_START: f"its keypoints are {share:.1%} of its box off, allowed {config.start_share:.1%}",
        PixelStatus.NO_PICTURE: "too little of it is in the photo",
        PixelStatus.UNEXPLAINED: f"it differs from the photo by {loss:.2f}, allowed {config.most_loss:.2f}",
        PixelStatus.NO_GAIN: f"the difference from the photo fell by {gain:.1%}, needed {config.least_gain:.1%}",
        PixelStatus.KEYPOINTS_WORSE: f"a keypoint's cost would rise from {before:.2f} to {after:.2f}, allowed by "
        f"{slack:.2f}",
    }[PixelStatus(int(found.status[row, part]))]


def _changed(before: RefineResult, after: RefineResult) -> list[dict[str, np.ndarray] | None]:
    """Of each person the parameters in which two fits differ, as the first has them; None where they are the same."""
    pairs = zip(before.label_columns().items(), after.label_columns().values(), strict=True)
    differing = [(name, was.numpy(), (was != now).flatten(1).any(1).tolist()) for (name, was), now in pairs]
    people = [
        {name: was[row] for name, was, is_other in differing if is_other[row]} for row in range(len(before.status))
    ]
    return [changed or None for changed in people]


class _Masks:
    """Masks of people by MediaPipe; without that package nobody has one."""

    def __init__(self) -> None:
        self.source: str | None = None
        try:
            # LiteRT, which the module needs, is there without mediapipe, whose networks the class reads.
            from model.estimators.mediapipe.masks import SOURCE, MediapipeMasks

            self._masks = MediapipeMasks()
        except ImportError as error:
            log.warning("people are compared with their photos without masks: %s", error)
            return
        self.source = SOURCE

    def estimate(self, batch: PersonBatch) -> list[Array | None]:
        """See ``MediapipeMasks.estimate``."""
        return [None] * len(batch) if self.source is None else self._masks.estimate(batch)
