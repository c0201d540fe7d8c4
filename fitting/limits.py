"""What a figure of a fit is held to, with a sentence for where it is not kept."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from datasets_manifest.schema.error_codes import ErrorCode


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """A figure of B people that is held to a limit before a part may supervise a model."""

    text: str
    """What is said where the limit is not kept; holds ``{figure}`` and ``{limit}``."""
    figure: Tensor
    """(B,)."""
    limit: Tensor
    """(B,), in the same unit."""
    is_least: bool
    """Whether the figure must reach the limit; else it must not exceed it."""
    scale: float = 1.0
    """Factor on both before they are said."""
    code: ErrorCode = ErrorCode.REPROJECTION_TOO_LARGE
    """Reason of a part that does not keep it."""

    @property
    def kept(self) -> Tensor:
        """(B,) bool."""
        return self.figure >= self.limit if self.is_least else self.figure <= self.limit

    def sentence(self, row: int) -> str:
        """The text with the figures of one person."""
        return self.text.format(figure=self.scale * float(self.figure[row]), limit=self.scale * float(self.limit[row]))


def limited(
    text: str,
    figure: Tensor,
    limit: Tensor | float,
    scale: float = 1.0,
    code: ErrorCode = ErrorCode.REPROJECTION_TOO_LARGE,
    *,
    is_least: bool,
) -> Limit:
    """A limit of a figure (B,) that is one number or (B,) of them."""
    kind = figure.dtype if figure.is_floating_point() else None
    bound = torch.as_tensor(limit, device=figure.device, dtype=kind).expand_as(figure)
    return Limit(text=text, figure=figure, limit=bound, is_least=is_least, scale=scale, code=code)


least = partial(limited, is_least=True)
"""A limit that the figure must reach."""
most = partial(limited, is_least=False)
"""A limit that the figure must not exceed."""


def kept_by_part(part_limits: tuple[tuple[Limit, ...], ...]) -> Tensor:
    """(B, parts) bool: which parts keep all of their limits."""
    return torch.stack([torch.stack([limit.kept for limit in own]).all(0) for own in part_limits], 1)
