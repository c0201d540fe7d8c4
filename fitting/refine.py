"""Refines coarse part estimates to an EHM-s body that agrees with 133 keypoints, for a whole batch of people.

    result = refine(SparseBody.from_assets(assets), observations, coarse, camera, RefineConfig())

Two runs of Levenberg-Marquardt, first with a wide, then with a tight robust loss, over all unknowns at once. A person
without a valid body estimate starts from neutral bodies in several yaws, of which the one that fits best goes on.
Rows are independent: a bad one gets its own status and is returned as it came.
"""

from dataclasses import replace

import torch
from torch import Tensor

from fitting.fit import fit_batch, fit_shared
from fitting.inputs import Coarse, Observations
from fitting.result import Parameters, RefineResult
from fitting.rows import cat_rows, grown_index, take_rows
from fitting.settings import RefineConfig
from fitting.solver import ROW_MULTIPLE, Status
from fitting.sparse_body import SparseBody
from fitting.summary import summarise
from model.imaging.camera import Camera

__all__ = ["Camera", "Coarse", "Observations", "Parameters", "RefineConfig", "RefineResult", "Status", "refine"]


def refine(
    model: SparseBody,
    observations: Observations,
    coarse: Coarse,
    camera: Camera,
    config: RefineConfig | None = None,
    person_index: Tensor | None = None,
) -> RefineResult:
    """Refines a batch of people.

    Args:
        model: sparse tables of the body; its type is the type of the arithmetic.
        observations: keypoints and their standard deviations.
        coarse: part estimates with validity flags.
        camera: one pinhole a person.
        config: settings; the default is for photos.
        person_index: (B,) int64; rows with the same number are one person, in several frames say, and share body shape,
            face shape and head scale (`fitting.shared`). None: every row is a person of its own.
    """
    config = config or RefineConfig()
    model = model.with_hand_components(config.num_hand_components)
    rows = torch.arange(len(observations.keypoints_px), device=model.device)
    if len(rows) == 0:
        raise ValueError("refine got no people; skip the call for an empty shard")
    if not len(rows) == len(coarse.global_orient) == len(camera.focal_px):
        raise ValueError(
            f"refine needs as many estimates and cameras as people, got keypoints of {len(rows)} people, "
            f"{len(coarse.global_orient)} estimates and {len(camera.focal_px)} cameras"
        )
    if person_index is not None and (person_index.shape != (len(rows),) or person_index.is_floating_point()):
        raise ValueError(
            f"person_index needs one integer a row, ({len(rows)},), "
            f"got {tuple(person_index.shape)} of {person_index.dtype}"
        )
    parts = rows.split(config.batch_size)
    fits, filled = [], []
    for part in parts:
        # Full batches, of whose rows only the first are real: see ROW_MULTIPLE.
        index = part[grown_index(len(part), ROW_MULTIPLE, part.device)]
        seen = _blank_from(len(part), take_rows(observations, index))
        fits.append(fit_batch(model, seen, take_rows(coarse, index), take_rows(camera, index), config))
        filled.append(index)
    if person_index is not None:
        fits = fit_shared(fits, person_index.to(model.device)[torch.cat(filled)])
    results = [summarise(fit) for fit in fits]
    return cat_rows([take_rows(result, part - part[0]) for result, part in zip(results, parts, strict=True)])


def _blank_from(first: int, observations: Observations) -> Observations:
    """The observations without any keypoint from row `first` on."""
    sigma = observations.sigma_px.clone()
    sigma[first:] = torch.inf
    return replace(observations, sigma_px=sigma)
