"""Shape spaces: principal components of sampled bodies and heads."""

from dataclasses import dataclass

import numpy as np

from model.body.open_body.builder.phenotype import PhenotypeMorphs, concatenate, sample_people
from model.body.open_body.builder.source import Target

HEAD_SECTIONS = ("head", "eyes", "eyebrows", "nose", "mouth", "chin", "cheek", "forehead", "ears")
"""Sections of local changes that vary the head."""
LOCAL_CHANGES_PER_HEAD = 18
CHILD_SHARE = 0.15
"""Share of children among the sampled heads."""
_BATCH = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeSpace:
    """A linear shape space whose coefficients have unit variance over the samples."""

    mean: np.ndarray
    """(V, 3) metres."""
    directions: np.ndarray
    """(V, 3, S) metres per standard deviation."""
    residual_mm: dict[int, float]
    """Number of components -> mean vertex distance of the samples to the space."""


def principal_shapes(samples: np.ndarray, num_components: int, report: tuple[int, ...]) -> ShapeSpace:
    """Principal components of samples (N, V, 3), by the N x N Gram matrix; signs fixed by `canonical_signs`."""
    num_samples = len(samples)
    mean = samples.mean(0, dtype=np.float64)
    centred = (samples - mean).reshape(num_samples, -1)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    values, vectors = values[::-1][:num_components], vectors[:, ::-1][:, :num_components]
    basis = centred.T @ vectors / np.sqrt(values)
    residual = {}
    for count in report:
        left = centred - (centred @ basis[:, :count]) @ basis[:, :count].T
        residual[count] = float(np.linalg.norm(left.reshape(num_samples, -1, 3), axis=2).mean() * 1000)
    directions = canonical_signs((basis * np.sqrt(values / num_samples)).reshape(-1, 3, num_components), mean)
    return ShapeSpace(mean=mean, directions=directions, residual_mm=residual)


def canonical_signs(directions: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Flip components (V, 3, S) so that + is taller; where height hardly changes, so that a fixed ramp is positive.

    The ramp weighs the coordinates unevenly, so a component that mirrors left and right has a sign too.
    """
    height = (mean[:, 1] - mean[:, 1].mean()) @ directions[:, 1]
    size = np.linalg.norm(directions.reshape(-1, directions.shape[-1]), axis=0)
    ramp = np.cos(np.arange(directions[..., 0].size)) @ directions.reshape(-1, directions.shape[-1])
    spread = np.linalg.norm(mean[:, 1] - mean[:, 1].mean())
    sign = np.where(np.abs(height) > 1e-2 * size * spread, np.sign(height), np.sign(ramp))
    return directions * sign


def paired_changes(changes: dict[str, tuple[Target, Target]]) -> list[list[str]]:
    """Local changes grouped so that left and right vary together; in order of first mention."""
    groups: dict[str, list[str]] = {}
    for name in changes:
        groups.setdefault(name[2:] if name[:2] in ("l-", "r-") else name, []).append(name)
    return list(groups.values())


def sample_heads(
    rng: np.random.Generator,
    morphs: PhenotypeMorphs,
    changes: dict[str, tuple[Target, Target]],
    base_head_ids: np.ndarray,
    base_ids: np.ndarray,
    head_joint_weights: np.ndarray,
    num_heads: int,
) -> np.ndarray:
    """Sample heads (N, Vf, 3) float64, each with its head joint at the origin.

    Args:
        rng: Source of randomness.
        morphs: Phenotype targets.
        changes: Local changes, positive and negative end.
        base_head_ids: (Vf,) base vertices of the head model.
        base_ids: (V,) base vertices of the body.
        head_joint_weights: (V,) regressor row of the head joint.
        num_heads: N.
    """
    num_children = int(num_heads * CHILD_SHARE)
    adults = sample_people(rng, num_heads - num_children)
    people = concatenate(adults, sample_people(rng, num_children, children=True))
    groups = paired_changes(changes)
    local = []
    for _ in range(num_heads):
        amounts: list[tuple[Target, float]] = []
        for k in rng.choice(len(groups), LOCAL_CHANGES_PER_HEAD, replace=False):
            amount = float(np.clip(rng.normal(0, 0.45), -1, 1))
            amounts += [(changes[name][0 if amount >= 0 else 1], abs(amount)) for name in groups[k]]
        local.append(amounts)
    heads = []
    for start in range(0, num_heads, _BATCH):
        rows = slice(start, start + _BATCH)
        vertices = morphs.vertices(people[rows], local[rows]).astype(np.float64)
        centre = np.einsum("v,nvc->nc", head_joint_weights, vertices[:, base_ids])
        heads.append(vertices[:, base_head_ids] - centre[:, None])
    return np.concatenate(heads)
