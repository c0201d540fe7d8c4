"""People as no renderer was learnt from them: lit from elsewhere, before a photo, their masks estimated."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from benchmarks.masks import photos_without_people
from benchmarks.pixel_people import Trial
from datasets_manifest.sources.masks import PERSON
from model.estimators.base import PersonBatch
from model.estimators.mediapipe.masks import MediapipeMasks
from tasks.synthetic.person import Light, RenderedPerson, Surroundings

SIDE_PX = 256


@lru_cache(maxsize=1)
def _photos() -> list[np.ndarray]:
    return photos_without_people()


def before_a_photo(rng: np.random.Generator) -> Surroundings:
    """A piece of a photo behind a person, and a lamp on the side where those of the rendered data set seldom are.

    Those are at (-.3, -.8, -.8) +- (.7, .3, .3) with .42 to .65 of the light from everywhere.
    """
    photo = _photos()[rng.integers(len(_photos()))]
    top, left = (int(rng.integers(size - SIDE_PX + 1)) for size in photo.shape[:2])
    piece = photo[top : top + SIDE_PX, left : left + SIDE_PX].astype(np.float32)
    towards = rng.normal([1.0, -0.2, -0.6], 0.2)
    return Surroundings(Light((towards[0], towards[1], towards[2]), float(rng.uniform(0.3, 0.42))), piece)


def with_estimated_masks(trial: Trial, people: list[RenderedPerson]) -> Trial:
    """The people with masks as annotation has them: by the pose network, None where it refuses."""
    seen = trial.problem.people
    precision = seen.precision.double().numpy()
    keypoints = np.concatenate([seen.keypoints_px.double().numpy(), (precision > 0)[..., None]], -1)
    batch = PersonBatch(
        images=trial.photos,
        boxes_xyxy=np.stack([one.truth["bbox_xyxy"] for one in people]).astype(float),
        keypoints=keypoints,
        sigma_px=np.divide(1.0, precision, out=np.full_like(precision, np.inf), where=precision > 0),
        focal_px=seen.camera.focal_px.double().numpy(),
        principal_px=seen.camera.principal_px.double().numpy(),
    )
    return replace(trial, masks=MediapipeMasks().estimate(batch))


def mask_overlap(mask: np.ndarray, true: np.ndarray | None) -> float:
    """Intersection over union of what two masks say is the person."""
    mine, its = mask == PERSON, np.asarray(true) == PERSON
    return float((mine & its).sum() / (mine | its).sum())
