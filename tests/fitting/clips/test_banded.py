"""Banded systems against the dense matrix."""

import pytest
import torch

from fitting.clips.banded import Band, factorise

UNKNOWNS = 5


def system(frames: int) -> tuple[torch.Tensor, torch.Tensor, Band, torch.Tensor, torch.Tensor]:
    """Blocks, lift, band, weights, and the whole matrix (F, P, F, P)."""
    generator = torch.Generator().manual_seed(frames)
    roots = torch.randn(frames, UNKNOWNS, UNKNOWNS, generator=generator, dtype=torch.float64)
    blocks, weight = roots @ roots.mT, 10 * torch.rand(UNKNOWNS, generator=generator, dtype=torch.float64)
    lift = torch.rand(frames, UNKNOWNS, generator=generator, dtype=torch.float64)
    rows = torch.zeros(max(frames - 2, 0), frames, dtype=torch.float64)
    for row in range(len(rows)):
        rows[row, row : row + 3] = torch.randn(3, generator=generator, dtype=torch.float64)
    dense = torch.einsum("st,pq->sptq", rows.T @ rows, torch.diag(weight))
    for frame in range(frames):
        dense[frame, :, frame] += blocks[frame] + torch.diag(lift[frame])
    return blocks, lift, Band.of(rows), weight, dense


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 9])
def test_a_band_is_solved_like_the_dense_matrix(frames: int) -> None:
    blocks, lift, band, weight, dense = system(frames)
    right = torch.randn(frames, UNKNOWNS, 3, dtype=torch.float64)
    factor = factorise(blocks, lift, band, weight)
    size = frames * UNKNOWNS
    expected = torch.linalg.solve(dense.reshape(size, size), right.reshape(size, 3))
    assert factor.solvable
    assert torch.allclose(factor.solve(right), expected.reshape(right.shape))
    inverse = torch.linalg.inv(dense.reshape(size, size)).reshape(dense.shape)
    expected = torch.stack([inverse[frame, :, frame] for frame in range(frames)])
    assert torch.allclose(factor.covariances(), expected)


def test_labels_types_are_exact_enough_where_nothing_is_seen_for_long() -> None:
    """A third of the frames without data, motion a million times as sure as they are."""
    frames, unknowns = 60, 20
    roots = torch.randn(frames, unknowns, unknowns, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    blocks = roots @ roots.mT * 100
    blocks[20:40] = 0
    lift = torch.full((frames, unknowns), 1e-3, dtype=torch.float64)
    rows = torch.zeros(frames - 2, frames, dtype=torch.float64)
    for at, value in enumerate((1.0, -2.0, 1.0)):
        rows.diagonal(at)[:] = value
    weight = torch.full((unknowns,), 1e3, dtype=torch.float64)
    right = torch.randn(frames, unknowns, 1, dtype=torch.float64)
    exact = factorise(blocks, lift, Band.of(rows), weight).solve(right)
    single = factorise(blocks.float(), lift.float(), Band.of(rows.float()), weight.float())
    assert single.solvable
    assert (single.solve(right.float()) - exact).norm() < 2e-3 * exact.norm()


def test_a_matrix_that_is_not_positive_is_said_to_be() -> None:
    blocks, lift, band, weight, _ = system(4)
    assert not factorise(blocks - 1e3 * torch.eye(UNKNOWNS).double(), lift, band, weight).solvable
