"""Synthetic people seen in several crops, fitted: the true error of each part beside the figures that tell of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.synthetic_people import HARD_START, StudyConfig, SyntheticPeople, keep_keypoints, make_people
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE
from datasets_manifest.schema.labels import PART_NAMES
from fitting.inputs import Observations
from fitting.quality import figures_of
from fitting.refine import RefineResult, refine
from fitting.result import parameters_of
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.batches import map_tensors
from model.body import skeleton
from model.body.assets import load_open_body
from model.body.parameters import EhmParameters
from model.metrics.person import PosedByParameters, person_errors

Array = NDArray[np.float64]
NUM_MIXES = 12
"""Mixtures that a heterogeneous set is made of."""
_NAMES = skeleton.KEYPOINT_NAMES
_WRIST = _NAMES.index("left_wrist")
_HEAD = slice(0, _NAMES.index("left_shoulder"))
UPPER_BODY = [slice(0, _NAMES.index("left_knee")), skeleton.FACE, skeleton.LEFT_HAND, skeleton.RIGHT_HAND]
"""Keypoints of somebody cut off below the hips."""
CROPS: dict[str, list[slice]] = {
    "whole": [slice(0, skeleton.NUM_KEYPOINTS)],
    "upper body": UPPER_BODY,
    "head only": [_HEAD, skeleton.FACE],
    "left hand": [slice(_WRIST, _WRIST + 1), skeleton.LEFT_HAND],
}
"""Keypoints that a picture shows of somebody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartErrors:
    """Refined people, part by part: body, left hand, right hand, face."""

    error_mm: Array
    """(B, 4) true errors as `metrics/annotate.json` has them: `pa_mpjpe_mm`, `hand_pa_mpjpe_mm` twice, `head_pa_mm`."""
    expected_mm: Array
    """(B, 4) calibrated expectation; quality falls with it."""
    quality: Array
    """(B, 4)."""
    figures: tuple[dict[str, Array], ...]
    """Of each part (B,) `fitting.quality.figures_of`."""

    @classmethod
    def joined(cls, parts: "list[PartErrors]") -> "PartErrors":
        """Several sets as one."""
        return cls(
            error_mm=np.concatenate([part.error_mm for part in parts]),
            expected_mm=np.concatenate([part.expected_mm for part in parts]),
            quality=np.concatenate([part.quality for part in parts]),
            figures=tuple(
                {name: np.concatenate([part.figures[k][name] for part in parts]) for name in parts[0].figures[k]}
                for k in range(len(PART_NAMES))
            ),
        )


def part_errors(body: SparseBody, truth: State, result: RefineResult) -> PartErrors:
    """Compares refined synthetic people with the truth; eyes and eyelids, which no keypoint shows, are those of the
    truth."""
    known = parameters_of(body, truth)
    found = replace(result.parameters, eye_pose=known.eye_pose, eyelids=known.eyelids)
    return with_errors(found, known, result)


def with_errors(found: EhmParameters, truth: EhmParameters, result: RefineResult) -> PartErrors:
    """Refined people beside what they are, by the errors of `metrics/annotate.json`."""
    posed, true = (_pose()(map_tensors(people, Tensor.float)) for people in (found, truth))
    errors = person_errors(posed, true)
    left, right = errors["hand_pa_mpjpe_mm"].T
    figures = figures_of(result.reprojection, result.uncertainty, result.joints_moved_rad)
    return PartErrors(
        error_mm=np.stack([errors["pa_mpjpe_mm"], left, right, errors["head_pa_mm"]], 1),
        expected_mm=result.expected_error_mm.double().numpy(),
        quality=result.quality.double().numpy(),
        figures=tuple({name: values.double().numpy() for name, values in own.items()} for own in figures),
    )


@lru_cache(maxsize=1)
def _pose() -> PosedByParameters:
    return PosedByParameters(load_open_body(), DEFAULT_SIZE)


def mixed(
    body: SparseBody, count: int, seed: int, *, is_stated: bool, cropped: bool = True
) -> Iterator[tuple[SyntheticPeople, Observations]]:
    """People of many kinds: noise 0.5-8 px, coarse errors 2-9 degrees, 1-8 % outliers, 5-25 % missing, every third
    cut off below the hips unless ``cropped`` is False. With `is_stated` False nothing states its true error: 2 px and
    the recipe's sigmas.
    """
    for k in range(NUM_MIXES):
        draw = np.random.default_rng([seed, k]).random(4)
        noise, error = 0.5 + 7.5 * draw[0], 2 + 7 * draw[1]
        config = StudyConfig(
            noise_px=(noise, noise),
            sigma_px=max(noise, 1.0) if is_stated else 2.0,
            outlier_share=0.01 + 0.07 * draw[2],
            missing_share=0.05 + 0.20 * draw[3],
            body_error_deg=error,
            root_error_deg=error,
            hand_error_deg=1.5 * error,
        )
        people = make_people(body, max(2, count // NUM_MIXES), seed=100 * seed + k, config=config)
        if not is_stated:
            people = replace(people, coarse=replace(people.coarse, sigma_rad=None, hand_sigma_rad=None))
        is_cut = cropped and k % 3 == 0
        yield people, keep_keypoints(people.observations, UPPER_BODY) if is_cut else people.observations


def _one_kind(
    body: SparseBody, count: int, seed: int, config: StudyConfig, keep: list[slice] | None = None
) -> Iterator[tuple[SyntheticPeople, Observations]]:
    people = make_people(body, count, seed=seed, config=config)
    yield people, people.observations if keep is None else keep_keypoints(people.observations, keep)


Kind = Callable[[SparseBody, int, int], Iterator[tuple[SyntheticPeople, Observations]]]
KINDS: dict[str, Kind] = {
    "one kind": lambda body, count, seed: _one_kind(body, count, seed, StudyConfig()),
    "upper bodies": lambda body, count, seed: _one_kind(body, count, seed, StudyConfig(), UPPER_BODY),
    "failed estimates": lambda body, count, seed: _one_kind(body, count, seed, HARD_START),
    "many kinds": lambda body, count, seed: mixed(body, count, seed, is_stated=True),
    "many kinds, errors unstated": lambda body, count, seed: mixed(body, count, seed, is_stated=False),
}
"""Sets that the ranking of bodies is measured on."""


def in_crops(body: SparseBody, crop: str, count: int, seed: int) -> PartErrors:
    """Many kinds of people in a crop, half of them with their errors stated, fitted. What a crop leaves out has no
    estimate either; the body's is there if some of the body is."""
    keep = CROPS[crop]
    found = []
    for is_stated in (True, False):
        for people, observations in mixed(body, count // 2, seed + is_stated, is_stated=is_stated, cropped=False):
            seen = keep_keypoints(observations, keep)
            shown = torch.isfinite(seen.sigma_px)
            hands = torch.stack([shown[:, part].any(1) for part in (skeleton.LEFT_HAND, skeleton.RIGHT_HAND)], 1)
            coarse = replace(people.coarse, hand_valid=hands, face_valid=shown[:, skeleton.FACE].any(1))
            found.append(part_errors(body, people.truth, refine(body, seen, coarse, people.camera)))
    return PartErrors.joined(found)


def rank_correlation(first: Array, second: Array) -> float:
    """Spearman's; NaN where either says the same of everybody."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    from scipy.stats import rankdata  # Dear to import.

    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def auc(score: Array, is_bad: NDArray[np.bool_]) -> float:
    """Probability that a bad one has a higher score than a good one; NaN without either."""
    bad, good = int(is_bad.sum()), int((~is_bad).sum())
    if not bad or not good:
        return float("nan")
    from scipy.stats import rankdata  # Dear to import.

    return float((rankdata(score)[is_bad].sum() - bad * (bad + 1) / 2) / (bad * good))
