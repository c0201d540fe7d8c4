"""What a motion's person is at rest: shaped, with the head of its size, every rotation the identity.

Legend: V vertices, M morphs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.body.ehms import EHMs
from model.body.parameters import EhmParameters

EYELIDS = ("left_eyelid", "right_eyelid")


class Rest(NamedTuple):
    """A body at rest, in the model's frame: x to its left, y up, z forward, metres."""

    vertices: np.ndarray
    """(V, 3)."""
    joints: np.ndarray
    """(55, 3)."""


class Morphs(NamedTuple):
    """What the face does to the mesh at rest."""

    names: tuple[str, ...]
    """M."""
    offsets_m: np.ndarray
    """(M, V, 3) of a weight of 1."""
    weights: np.ndarray
    """(T, M)."""


def rest_of(body: EHMs, people: EhmParameters) -> Rest:
    """The first of the people, with a still face."""
    posed = _rest(body, people, torch.zeros(1, people.size.num_expression), torch.zeros(1, 2))
    return Rest(posed[0][0].double().numpy(), posed[1][0].double().numpy())


def morphs_of(body: EHMs, people: EhmParameters) -> Morphs:
    """Of people (T) of one shape and head, what moves their faces; directions that nobody uses are left out."""
    weights = torch.cat([people.flame_expression, people.eyelids], -1)
    names = [*(f"expression_{k}" for k in range(people.size.num_expression)), *EYELIDS]
    used = torch.nonzero(weights.abs().amax(0) > 0)[:, 0]
    if not len(used):
        return Morphs((), np.zeros((0, len(body.head_weight), 3)), np.zeros((len(people), 0)))
    unit = torch.eye(weights.shape[1])[used]
    moved, _ = _rest(body, people, unit[:, :-2], unit[:, -2:])
    offsets = moved.double().numpy() - rest_of(body, people).vertices
    return Morphs(tuple(names[k] for k in used), offsets, weights[:, used].double().numpy())


@torch.inference_mode()
def _rest(body: EHMs, people: EhmParameters, expression: Tensor, eyelids: Tensor) -> tuple[Tensor, Tensor]:
    """Vertices (N, V, 3) and joints (N, 55, 3) of the first person with N faces."""
    one = {name: getattr(people, name)[:1].expand(len(eyelids), -1) for name in ("betas", "flame_shape", "head_scale")}
    known = {**one, "flame_expression": expression, "eyelids": eyelids}
    posed = body(EhmParameters.neutral(len(eyelids), size=people.size, **known))
    return posed.vertices, posed.joints
