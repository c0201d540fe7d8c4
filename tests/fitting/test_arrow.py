"""Arrow-shaped normal matrices against the dense solve."""

import pytest
import torch

from fitting.arrow import Arrow, factorise, solve_factored


@pytest.mark.parametrize("reach", [None, torch.tensor([[0, 1, 2, 4], [6, 1, 2, 3]])])
def test_an_arrow_is_solved_like_the_dense_matrix(reach: torch.Tensor | None) -> None:
    torch.manual_seed(0)
    arrow = Arrow(trunk=7, num_branches=2, branch=4, reach=reach)
    root = torch.randn(5, 15, 15, dtype=torch.float64)
    dense = torch.zeros(5, 15, 15, dtype=torch.float64)
    left, right = torch.arange(11), torch.cat([torch.arange(7), torch.arange(11, 15)])
    for columns in (left, right):
        block = root[:, :, columns]
        dense[:, columns[:, None], columns] += block.transpose(1, 2) @ block
    if reach is not None:
        dense *= 0.1
        for branch, met in zip(arrow.branch_slices(), reach, strict=True):
            apart = torch.ones(7, dtype=torch.bool)
            apart[met] = False
            dense[:, branch, :7] *= ~apart
            dense[:, :7, branch] *= (~apart)[:, None]
        dense += 20 * torch.eye(15, dtype=torch.float64)
    lift = torch.rand(5, 15, dtype=torch.float64)
    vector = torch.randn(5, 15, dtype=torch.float64)
    expected = torch.linalg.solve(dense + torch.diag_embed(lift), vector)
    assert torch.allclose(solve_factored(factorise(dense, arrow, lift), vector), expected)


def test_a_row_that_is_not_positive_definite_is_told_apart() -> None:
    arrow = Arrow(trunk=3, num_branches=2, branch=2)
    matrices = torch.eye(7).repeat(3, 1, 1)
    matrices[1, 0, 0] = matrices[2, 5, 5] = -1
    assert factorise(matrices, arrow).solvable.tolist() == [True, False, False]


@pytest.mark.parametrize("branch", [0, 45])
def test_a_row_is_solved_alike_wherever_it_stands(branch: int) -> None:
    """To the last bit, in float32: LAPACK's kernels round by where a matrix begins in memory."""
    torch.manual_seed(0)
    arrow = Arrow(trunk=111, num_branches=2 if branch else 0, branch=branch, reach=torch.randint(0, 111, (2, 53)))
    size = 111 + 2 * branch
    root = torch.randn(48, size, size)
    dense = torch.zeros(48, size, size)
    dense += torch.diag_embed(200 + root.square().sum(2))
    dense[:, :111, :111] += root[:, :111, :111] @ root[:, :111, :111].mT
    vector, order = torch.randn(48, size), torch.randperm(48)
    expected = solve_factored(factorise(dense, arrow), vector)
    assert torch.equal(solve_factored(factorise(dense[order], arrow), vector[order]), expected[order])
