"""One person in several photos, or frames of a video: rows that share body shape, face shape and head scale.

Every row is fitted on its own first. What its keypoints say about the shared unknowns is its normal matrix with all its
other unknowns eliminated (a Schur complement), without the priors about the shared ones, which may count only once a
person. The information of a person's rows adds up, the priors join, and one solve gives the shared values:

    (P + sum_i S_i) x = P m + sum_i (S_i x_i + P (x_i - m))

with prior precision P and mean m, row i's own fit x_i and information S_i: a row's fit balances its keypoints against
the prior, so its keypoints alone pull with P (x_i - m). For a linear problem this is the joint optimum. The rows are
then fitted again with the shared unknowns held there.

Every row brings unknowns of its own, pose and depth, that are maximised over and not averaged. That leaves an error in
the shared ones which does not shrink with the number of rows, while the prior counts once (incidental parameters). So
all rows of a person together count as `MOST_ROWS` at most.

Legend: B rows, P unknowns, C shared unknowns, N people.
"""

from dataclasses import replace

import torch
from torch import Tensor

from fitting.priors import Gaussian
from fitting.unknowns import Layout, State

MOST_ROWS = 16
"""Rows that the rows of a person count as at most: with more, the head scale of synthetic people gets worse again."""
_HELD_PRECISION = 1e8
"""One over the variance of a shared unknown that is held: a standard deviation of 1e-4."""


def shared_columns(layout: Layout, num_groups: tuple[int, int, int, int]) -> Tensor:
    """Places (C,) in a step of betas, FLAME shape and log head scale; expression and surface offsets differ by row."""
    betas, expression, shape, _ = num_groups
    start = layout.coefficients.start
    face = start + betas + expression
    scale = layout.log_head_scale
    return torch.cat(
        [torch.arange(start, start + betas), torch.arange(face, face + shape), torch.arange(scale.start, scale.stop)]
    )


def person_rows(person_index: Tensor) -> tuple[Tensor, int]:
    """Rows (B,) numbered by person from 0, and the number of people."""
    people, number = person_index.unique(return_inverse=True)
    return number, len(people)


def information(hessian: Tensor, columns: Tensor, precision: Tensor) -> Tensor:
    """What the keypoints of each row say about the shared unknowns: (B, C, C), positive semi-definite.

    Args:
        hessian: (B, P, P) normal matrices at the rows' own fits, with all priors.
        columns: (C,) places of the shared unknowns.
        precision: (B, C) of the priors about them, which are taken out again.
    """
    mask = torch.ones(hessian.shape[1], dtype=torch.bool, device=hessian.device)
    mask[columns] = False
    rest = torch.nonzero(mask).squeeze(1)
    own, cross, other = (
        hessian[:, columns[:, None], columns],
        hessian[:, rest[:, None], columns],
        hessian[:, rest[:, None], rest],
    )
    factor, info = torch.linalg.cholesky_ex(other)
    weighted = torch.linalg.solve_triangular(factor, cross, upper=False)
    known = own - weighted.transpose(1, 2) @ weighted - torch.diag_embed(precision)
    usable = (info == 0) & torch.isfinite(known).all((1, 2))
    values, vectors = torch.linalg.eigh(torch.where(usable[:, None, None], known, torch.zeros_like(known)))
    return vectors @ (values.clamp(min=0)[..., None] * vectors.transpose(1, 2))


def fuse(own: Tensor, known: Tensor, prior: Gaussian, person: Tensor, num_people: int, use: Tensor) -> Tensor:
    """Shared unknowns (B, C) of every row, equal for the rows of a person.

    Args:
        own: (B, C) values of the rows' own fits.
        known: (B, C, C) `information` of the rows.
        prior: about the shared unknowns; a person takes the mean over the rows.
        person: (B,) number of the person, 0..num_people - 1.
        num_people: N.
        use: (B,) rows that were fitted; the others take the person's values and add nothing.
    """

    def total(values: Tensor) -> Tensor:
        return values.new_zeros(num_people, *values.shape[1:]).index_add_(0, person, values)

    weight = use.to(own.dtype)[:, None]
    counted = torch.where(total(weight)[person] > 0, weight, torch.ones_like(weight))
    count = total(counted)
    mean, precision = total(prior.mean * counted) / count, total(prior.precision * counted) / count
    share = rows_share(person, num_people, use).to(own.dtype)
    pull = (known @ own[..., None]).squeeze(-1) + prior.precision * (own - prior.mean)
    left = total(torch.where(use[:, None, None], known, torch.zeros_like(known))) * share[:, None, None]
    right = total(torch.where(use[:, None], pull, torch.zeros_like(pull))) * share[:, None] + precision * mean
    left = left + torch.diag_embed(precision)
    values = torch.linalg.solve(left, right)
    return values[person]


def rows_share(person: Tensor, num_people: int, use: Tensor) -> Tensor:
    """What each of a person's rows counts, 0..1 (N,): all of them together as `MOST_ROWS` at most.

    Args:
        person: (B,) number of the person of each row.
        num_people: N.
        use: (B,) rows that were fitted.
    """
    rows = torch.zeros(num_people, device=person.device).index_add_(0, person, use.float())
    return (MOST_ROWS / rows.clamp(min=1)).clamp(max=1)


def information_of_others(known: Tensor, person: Tensor, num_people: int, use: Tensor) -> Tensor:
    """What the other rows of each row's person say about the shared unknowns: (B, C, C).

    Added to a row's own normal matrix it makes the marginal posterior of that row, as in the joint problem.
    """
    used = torch.where(use[:, None, None], known, torch.zeros_like(known))
    total = used.new_zeros(num_people, *used.shape[1:]).index_add_(0, person, used)
    share = rows_share(person, num_people, use).to(known.dtype)
    return share[person, None, None] * (total[person] - used)


def shared_values(state: State, layout: Layout, columns: Tensor) -> Tensor:
    """Shared unknowns (B, C) of a state."""
    flat = torch.cat([state.coefficients, state.log_head_scale], 1)
    return flat[:, columns - layout.coefficients.start]


def with_shared(state: State, layout: Layout, columns: Tensor, values: Tensor) -> State:
    """The state with the shared unknowns (B, C) put in."""
    flat = torch.cat([state.coefficients, state.log_head_scale], 1).clone()
    flat[:, columns - layout.coefficients.start] = values
    coefficients, scale = flat.split([layout.num_coefficients, 3], 1)
    return replace(state, coefficients=coefficients, log_head_scale=scale)


def hold(prior: Gaussian, columns: Tensor, values: Tensor) -> Gaussian:
    """A prior about all additive unknowns (B, P) with the shared ones held at values (B, C)."""
    mean, precision = prior.mean.clone(), prior.precision.clone()
    mean[:, columns], precision[:, columns] = values, _HELD_PRECISION
    return Gaussian(mean=mean, precision=precision)
