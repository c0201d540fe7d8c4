"""What HMR2 leaves out of its own training tars when it learns from them, in its order; all is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat

from datasets_manifest.adapters.people.values import is_set, numbers


@dataclass(frozen=True, kw_only=True, slots=True)
class Hmr2Filters:
    """Limits, those of HMR2 where nothing else is said. Its filter of poses by a histogram of AMASS is not among them:
    the histogram is not published as data that may be passed on."""

    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Points that are less sure are not known."""
    max_beta: PositiveFloat = 3.0
    """A body one of whose coefficients of shape is larger is not known, neither its shape nor its pose."""
    min_points: NonNegativeInt = 5
    """People with fewer known points are left out."""
    max_loss: PositiveFloat = 31000.0
    """People whose reprojection loss in the file is this or more are left out."""

    def applied(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """A record of ``data.pyd`` whose points and body are as the filters leave them; the record stays as it is."""
        points = numbers(record, "keypoints_2d", (44, 3))
        points[points[:, 2] < self.min_confidence, 2] = 0
        filtered = {**record, "keypoints_2d": points}
        has_body = is_set(record, "has_body_pose") and is_set(record, "has_betas")
        if not has_body or np.abs(numbers(record, "betas", (10,))).max() > self.max_beta:
            filtered |= {"has_body_pose": False, "has_betas": False}
        return filtered

    def reason(self, filtered: Mapping[str, Any]) -> str | None:
        """Why a person is left out, in the words of the summary; None for those who stay."""
        if int((filtered["keypoints_2d"][:, 2] > 0).sum()) < self.min_points:
            return f"people with fewer than {self.min_points} points left out"
        loss = _loss(filtered)
        if loss is not None and not loss < self.max_loss:
            return f"people whose reprojection loss is {self.max_loss:g} or more left out"
        return None


def _loss(record: Mapping[str, Any]) -> float | None:
    """Reprojection loss of a record, None where none is stated."""
    stated = record.get("extra_info")
    stated = stated.get("fitting_loss") if isinstance(stated, dict) else None
    stated = stated.item() if isinstance(stated, np.ndarray) and stated.shape == () else stated
    if not isinstance(stated, dict) or stated.get("reprojection_loss") is None:
        return None
    return float(numbers(stated, "reprojection_loss", (), (1,)).max())
