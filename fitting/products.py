"""Products and sums that give a person the same bits in a batch of any size, wherever the person stands in it.

That holds in float32, in which labels are fitted. A step of the fit that is just accepted or just not is decided by the
last bit, and whole paths hang on it.
"""

import torch
from torch import Tensor

_FEWEST_COLUMNS = 16
"""A BLAS has other ways for matrices of few columns, which round otherwise; from 12 columns on none was seen to."""


def table_product(table: Tensor, columns: Tensor) -> Tensor:
    """A table (..., M, K) times columns (..., K, n), of which each person has some: (..., M, n)."""
    missing = _FEWEST_COLUMNS - columns.shape[-1]
    if missing <= 0:
        return table @ columns
    return (table @ torch.nn.functional.pad(columns, (0, missing)))[..., :-missing]


def product_sum(own: Tensor, weights: Tensor) -> Tensor:
    """Sum over the last dimension of own (B, ..., K), which is overwritten, times weights (B, ..., K)."""
    return own.mul_(weights).sum(-1)


def length(vectors: Tensor) -> Tensor:
    """Lengths (...) of vectors (..., n). `Tensor.norm` rounds otherwise for a single row."""
    return vectors.square().sum(-1).sqrt()
