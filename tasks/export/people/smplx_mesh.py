"""Meshes of SMPL-X's vertices, for evaluations that compare these."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from model.body.ehms import EHMs
from tasks.export.people.people import People
from tasks.posing import pose_bodies

NUM_VERTICES = 10475
"""Of SMPL-X."""
_AT_ONCE = 32
"""People whose meshes are posed together."""


def check_smplx(form: str, body: EHMs) -> None:
    """Refuses another body.

    Raises:
        ValueError: It has other vertices.
    """
    own = body.assets.smplx
    if own.num_vertices != NUM_VERTICES:
        raise ValueError(
            f"{form}: its evaluation compares the {NUM_VERTICES} vertices of SMPL-X, {own.name} has "
            f"{own.num_vertices}; label or predict with the licensed body (docs/licensed_files.md)"
        )


def meshes(people: People) -> Iterator[np.ndarray]:
    """The mesh (V, 3) of each person, float32, in the camera."""
    for start in range(0, len(people), _AT_ONCE):
        some = {name: values[start : start + _AT_ONCE] for name, values in people.values.items()}
        yield from pose_bodies(people.body.ehm, some).vertices.float().numpy()
