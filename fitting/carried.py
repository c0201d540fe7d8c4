"""Coefficients beyond those that are refined: what an estimator said of them stays, and moves the body all the same.

They never change during a fit, so that what they do to the rest places is computed once, for every bin of the outline.

Legend: B people, M sparse vertices, J 55 joints, K outline bins, C corners a face landmark, E carried coefficients.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fitting.forward import people_first
from fitting.products import table_product
from fitting.sparse_tables import BodyTables, PointTables

_Groups = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Moves:
    """What carried coefficients do to some rest places, people first."""

    own: Tensor
    """(B, ..., 3) metres; of the body alone in the fusion `paper`."""
    head: Tensor | None
    """(B, ..., 4, 3) the same of the terms of a posed head; None in the fusion `blended`."""

    @property
    def of_head(self) -> Tensor:
        """`head`, in the fusion `paper`."""
        assert self.head is not None
        return self.head


@dataclass(frozen=True, kw_only=True, slots=True)
class Carried:
    """Carried coefficients of B people."""

    coefficients: Tensor
    """(B, E) betas, then FLAME expression, then FLAME shape."""
    points: Moves
    """Of the sparse vertices (M)."""
    outline: Moves
    """Of the outline in every bin (K, 17 C)."""
    joints: Moves
    """Of the joints (J)."""


class CarriedTables:
    """How the coefficients beyond the refined ones move sparse vertices and joints."""

    def __init__(self, tables: BodyTables, refined: _Groups, every: _Groups, tensor: Any):
        """Tables of all coefficients; numbers of betas, expression and shape coefficients that are refined, and all."""
        self.refined, self.every = refined, every
        starts = np.cumsum((0, *every))
        columns = [np.arange(s + r, s + n) for s, r, n in zip(starts, refined, every, strict=False)]
        self.groups = [len(part) for part in columns]
        places = np.concatenate(columns)
        face = places[places >= every[0]] - every[0] + 1

        def cut(points: PointTables) -> tuple[Tensor, Tensor | None]:
            head = None if points.posed_head is None else tensor(points.posed_head[..., face])
            return tensor(points.directions[..., places]), head

        self.points, self.outline, self.joints = cut(tables.points), cut(tables.contour), cut(tables.joints)

    def of(self, betas: Tensor, expression: Tensor, shape: Tensor) -> Carried:
        """Carried coefficients of people, from all that are known of each kind (B, any); missing ones are zero."""
        parts = []
        for value, first, last in zip((betas, expression, shape), self.refined, self.every, strict=True):
            known = value[:, first:last]
            parts.append(torch.nn.functional.pad(known, (0, last - first - known.shape[1])))
        coefficients = torch.cat(parts, 1)
        face = coefficients[:, self.groups[0] :]

        def moved(table: Tensor, values: Tensor) -> Tensor:
            return people_first(table_product(table.flatten(0, -2), values.T).unflatten(0, table.shape[:-1]))

        def moves(tables: tuple[Tensor, Tensor | None]) -> Moves:
            own, head = tables
            return Moves(own=moved(own, coefficients), head=None if head is None else moved(head, face))

        return Carried(
            coefficients=coefficients,
            points=moves(self.points),
            outline=moves(self.outline),
            joints=moves(self.joints),
        )

    def split(self, carried: Carried) -> tuple[Tensor, ...]:
        """Carried betas, expression and shape (B, any)."""
        return carried.coefficients.split(self.groups, 1)


def in_bins(values: Tensor, bins: Tensor) -> Tensor:
    """Of values (B, K, ...) those of each person's own bin (B, ...)."""
    return values[torch.arange(len(bins), device=bins.device), bins]
