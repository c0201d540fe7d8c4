"""Figures of a data set that are summed up batch by batch and process by process.

All of them are quotients of sums, so that parts of a data set can be measured anywhere and added: `add` takes another
part, `over_ranks` all processes of ``torch.distributed``. Nobody may be measured twice: a sampler that repeats people
to fill the last batch has to leave them out here.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor


class Accumulated:
    """Float64 sums by name, which add up; what they come to is for the classes below."""

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        self.sums = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}

    def add(self, other: Self) -> None:
        """Takes what another one has measured of other people.

        Raises:
            ValueError: It measures something else.
        """
        own, others = ({name: tuple(s.shape) for name, s in each.sums.items()} for each in (self, other))
        if type(other) is not type(self) or own != others:
            raise ValueError(f"expected sums {own} of a {type(self).__name__}, got {others} of {type(other).__name__}")
        for name, total in other.sums.items():
            self.sums[name] += total

    def over_ranks(self, device: torch.device | str = "cpu") -> Self:
        """The same over all processes, on each of them; itself where there is no process group.

        Args:
            device: Where the processes exchange tensors: a GPU for nccl.
        """
        if not dist.is_initialized():
            return self
        total = copy.deepcopy(self)
        flat = torch.cat([value.flatten() for value in self.sums.values()]).to(device)
        dist.all_reduce(flat)
        parts = flat.cpu().split([value.numel() for value in self.sums.values()])
        total.sums = {name: part.view_as(value) for (name, value), part in zip(self.sums.items(), parts, strict=True)}
        return total


class MeanErrors(Accumulated):
    """Means of errors over the people who have them.

    Args:
        names: Of the errors.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(total=(len(names),), count=(len(names),))
        self.names = tuple(names)

    def update(self, errors: Mapping[str, np.ndarray | Tensor]) -> None:
        """Takes people's errors, of any shape; who has NaN does not count.

        Raises:
            ValueError: A name is missing, or an error is infinite.
        """
        if missing := [name for name in self.names if name not in errors]:
            raise ValueError(f"expected the errors {', '.join(self.names)}, got none of {', '.join(missing)}")
        for row, name in enumerate(self.names):
            values = torch.as_tensor(errors[name]).double().flatten().cpu()
            if bool(values.isinf().any()):
                raise ValueError(f"{name}: person {int(values.isinf().nonzero()[0])} has an infinite error")
            known = values[~values.isnan()]
            self.sums["total"][row] += known.sum()
            self.sums["count"][row] += len(known)

    def compute(self) -> dict[str, float]:
        """Name -> mean; NaN where nobody has that error."""
        means = (self.sums["total"] / self.sums["count"]).tolist()
        return dict(zip(self.names, means, strict=True))

    @property
    def counts(self) -> dict[str, int]:
        """Name -> how many errors went into the mean."""
        return {name: round(count) for name, count in zip(self.names, self.sums["count"].tolist(), strict=True)}
