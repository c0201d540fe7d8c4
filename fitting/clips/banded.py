"""Linear systems of frames that are coupled to the next two by diagonal matrices.

Second differences over time, weighted by unknown, give K (x) diag(w) with a pentadiagonal K. Frame t is eliminated
after those before it; what it leaves to the frames t + 1 and t + 2 is

    M_t = H_t + K_tt W - E_t N_t-1 E_t' - k_t-2^2 W N_t-2 W      N_t = M_t^-1, k_t = K_t,t+2
    E_t = K_t,t-1 W - k_t-2 W N_t-2 E_t-1'                       coupling of t with t - 1, the others gone

With inverses at hand the coupling with the frame after the next costs no product: two products and one inverse a frame.

Legend: F frames, P unknowns, n right sides.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """A symmetric pentadiagonal matrix K."""

    here: Tensor
    """(F,) its diagonal."""
    next: Tensor
    """(F - 1,) K_t,t+1."""
    second: Tensor
    """(F - 2,) K_t,t+2."""

    @classmethod
    def of(cls, rows: Tensor) -> "Band":
        """K = D' D of a matrix D (R, F) each row of which touches three frames, one behind the other."""
        square = rows.T @ rows
        return cls(here=square.diagonal(), next=square.diagonal(1), second=square.diagonal(2))


@dataclass(frozen=True, kw_only=True, slots=True)
class BandFactor:
    """What the elimination of all frames left, in their order."""

    inverse: list[Tensor]
    """N_t (P, P)."""
    ahead: list[Tensor]
    """N_t E_t+1' (P, P), for all frames but the last."""
    skip: list[Tensor]
    """(P,) k_t w, for all frames but the last two."""
    solvable: Tensor
    """() bool: positive definite."""

    def solve(self, right: Tensor) -> Tensor:
        """The matrix' inverse times right sides (F, P, n)."""
        count, pulls, own = len(self.inverse), [], []
        for t in range(count):
            pull = right[t]
            if t > 0:
                pull = pull - self.ahead[t - 1].mT @ pulls[t - 1]
            if t > 1:
                pull = pull - self.skip[t - 2][:, None] * own[t - 2]
            pulls.append(pull)
            own.append(self.inverse[t] @ pull)
        found = own
        for t in reversed(range(count - 1)):
            moved = own[t] - self.ahead[t] @ found[t + 1]
            if t < count - 2:
                moved = moved - self.inverse[t] @ (self.skip[t][:, None] * found[t + 2])
            found[t] = moved
        return torch.stack(found)

    def covariances(self) -> Tensor:
        """The diagonal blocks (F, P, P) of the inverse."""
        last = len(self.inverse) - 1
        # Blocks of the inverse: (t+1, t+1), (t+1, t+2) and (t+2, t+2).
        one = self.inverse[last]
        between, two = torch.zeros_like(one), torch.zeros_like(one)
        found = [one]
        for t in reversed(range(last)):
            ahead = self.ahead[t]
            skip = self.inverse[t] * (self.skip[t] if t < last - 1 else torch.zeros_like(one[0]))
            to_one = ahead @ one + skip @ between.mT
            to_two = ahead @ between + skip @ two
            here = self.inverse[t] + to_one @ ahead.mT + to_two @ skip.mT
            two, between, one = one, -to_one, (here + here.mT) / 2
            found.append(one)
        return torch.stack(found[::-1])


def factorise(blocks: Tensor, lift: Tensor, band: Band, weight: Tensor) -> BandFactor:
    """Factor of blockdiag(H_t + diag lift_t) + K (x) diag(w).

    Args:
        blocks: (F, P, P) H.
        lift: (F, P) added to the diagonals.
        band: K.
        weight: (P,) w.
    """
    inverse: list[Tensor] = []
    ahead: list[Tensor] = []
    flaws: list[Tensor] = []
    skip = [value * weight for value in band.second]
    for t in range(len(blocks)):
        matrix = blocks[t].clone()
        matrix.diagonal().add_(lift[t] + band.here[t] * weight)
        if t > 0:
            coupling = torch.diag(band.next[t - 1] * weight)
            if t > 1:
                coupling = coupling - skip[t - 2][:, None] * ahead[t - 2]
                matrix -= skip[t - 2][:, None] * inverse[t - 2] * skip[t - 2]
            ahead.append(inverse[t - 1] @ coupling.mT)
            matrix -= coupling @ ahead[t - 1]
        factor, info = torch.linalg.cholesky_ex(matrix)
        # An inverse of a factor that is none may raise.
        inverse.append(torch.cholesky_inverse(torch.where(info == 0, factor, torch.eye(len(factor)).to(factor))))
        flaws.append(info)
    return BandFactor(inverse=inverse, ahead=ahead, skip=skip, solvable=(torch.stack(flaws) == 0).all())
