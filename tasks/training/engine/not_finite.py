"""A loss or a gradient that is not finite: of whom it comes, and the sentence that ends the training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from tasks.training.engine.experiment import Batch, some_of

NAMED_PEOPLE = 8
"""People whom a message names at most."""


class NotFinite(ValueError):
    """A loss or a gradient was not finite; the sentence says when, what, and of whom."""

    @classmethod
    def of(cls, step: int, values: Sequence[str], culprits: Sequence[str], everyone: Sequence[str]) -> NotFinite:
        """The error of a step.

        Args:
            step: Number of the step, counted from 1.
            values: Names of what is not finite.
            culprits: Ids of the people whose own loss is not finite.
            everyone: Ids of all people of the step, for when none of them alone is to blame.
        """
        whose = f"because of {_listed(culprits)}" if culprits else f"in a batch of {_listed(everyone)}"
        return cls(
            f"step {step}: {', '.join(values)} not finite, {whose}; training has stopped, no weight was changed; "
            "look at these labels, or lower optimiser.lr and go on from the last checkpoint"
        )


@torch.no_grad()
def find_culprits(objective: nn.Module, batch: Batch) -> list[str]:
    """Ids of the people whose own loss is not finite."""
    found = []
    for row, sample_id in enumerate(batch.sample_ids):
        loss, _ = objective(some_of(batch, [row]))
        if not bool(torch.isfinite(loss)):
            found.append(sample_id)
    return found


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMED_PEOPLE])
    return shown if len(names) <= NAMED_PEOPLE else f"{shown} and {len(names) - NAMED_PEOPLE} more"
