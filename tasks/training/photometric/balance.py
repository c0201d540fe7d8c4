"""How much the pictures weigh against the labels, output by output: by the norms of their gradients.

One weight for all would be that of the output whose pixels change most: where a face is in the picture moves every
pixel, how far its mouth is open some. So each output that the pictures may change has a weight of its own, under which
the gradient of the pictures on it is as large as that of the labels, or a share of it.

Legend: B people, G groups of outputs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.body import skeleton
from model.body.parameters import EhmParameters
from model.regressor.network import Prediction
from model.renderer.part_windows import Part
from tasks.training.engine.distributed import mean_of_processes

CAMERA = "camera"
_MEMORY = 0.5
"""What a squared norm keeps of its last measurement."""
_SMALLEST = 1e-20
"""Squared norms below this are none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Outputs of one kind."""

    field: str
    """Of ``EhmParameters``, or ``CAMERA``."""
    entries: tuple[int, ...] | None = None
    """Which along its second dimension; None: all."""
    share: float = 1.0
    """How large the pictures' gradient is, by that of the labels, beside the setting for all outputs."""


_WHERE = 0.06
"""Share of outputs that say where a part lies. Keypoints say that better than pixels, whose gradient there is the same
for many people (outlines, hair): as large as that of the labels it moved heads from 3.0 to 7.9 % of their square off in
400 steps of params.photometric-face.yaml. At this share the 2D loss of faces after 120 steps is 2.36, by labels alone
2.30, at a full share 4.28."""


_HEAD = {
    "jaw": Group(field="jaw_pose"),
    "expression": Group(field="flame_expression"),
    "eyelids": Group(field="eyelids"),
    "head_scale": Group(field="head_scale"),
    "neck": Group(field="body_pose", entries=(skeleton.NECK - 1, skeleton.HEAD - 1), share=_WHERE),
}
_PLACE = {"place": Group(field=CAMERA, entries=(1, 2), share=_WHERE)}


def groups_of(parts: Sequence[Part]) -> dict[str, Group]:
    """What pictures of some parts may change.

    Neither the shape, by which clothes and hair would be explained, nor how far the camera is, which looks like the
    scale of the head, nor joints that a picture of a part does not show.
    """
    found = dict(_HEAD) if "head" in parts else {}
    for side, wrist in zip(("left", "right"), skeleton.WRISTS, strict=True):
        if f"{side}_hand" in parts:
            found[f"{side}_wrist"] = Group(field="body_pose", entries=(wrist - 1,), share=_WHERE)
            found[f"{side}_fingers"] = Group(field=f"{side}_hand_pose")
    return found | _PLACE


class Balance(nn.Module):
    """Weights of the pictures' gradients, measured now and then; they are part of a training's state.

    Args:
        groups: By name, see ``groups_of``.
        share: How large the pictures' gradient is to be, by that of the labels.
        every: Calls between two measurements.
    """

    squares: Tensor
    calls: Tensor

    def __init__(self, groups: Mapping[str, Group], share: float, every: int) -> None:
        super().__init__()
        self.groups, self.share, self.every = dict(groups), share, every
        self.register_buffer("squares", torch.zeros(2, len(self.groups)))
        self.register_buffer("calls", torch.zeros(1, dtype=torch.int64))

    @property
    def weights(self) -> Tensor:
        """(G,) of the groups; 0 of one that has not been measured."""
        labels, pictures = self.squares
        known = (labels > _SMALLEST) & (pictures > _SMALLEST)
        shares = labels.new_tensor([self.share * group.share for group in self.groups.values()])
        return torch.where(known, shares * (labels / pictures.clamp(min=_SMALLEST)).sqrt(), 0.0)

    def weighted(self, said: Prediction) -> tuple[EhmParameters, Tensor]:
        """The same people and cameras, whose derivatives reach what said them by the weights alone."""
        shares = {}
        for (_, group), weight in zip(self.groups.items(), self.weights, strict=True):
            output = _output(said, group.field)
            share = shares.setdefault(group.field, output.new_zeros(1, output.shape[1], *[1] * (output.dim() - 2)))
            share[:, slice(None) if group.entries is None else list(group.entries)] = weight
        outputs = {name: value.detach() for name, value in said.parameters.named().items()}
        outputs[CAMERA] = said.camera.detach()
        for name, share in shares.items():
            value = _output(said, name)
            # The value is that of the output to the last bit, its derivative the weight.
            outputs[name] = value.detach() + share * (value - value.detach())
        camera = outputs.pop(CAMERA)
        return dataclasses.replace(said.parameters, **outputs), camera

    def measure(self, labels: Tensor, said: Prediction, pictures: Tensor, drawn: Prediction) -> None:
        """Looks at both gradients if it is time.

        Args:
            labels: Loss of the labels.
            said: What it is of.
            pictures: Loss of the pictures.
            drawn: What that is of (``weighted``).
        """
        is_due = int(self.calls) % self.every == 0
        self.calls += 1
        if not is_due:
            return
        names = list(dict.fromkeys(group.field for group in self.groups.values()))
        found = []
        for loss, of in ((labels, said), (pictures, drawn)):
            if not loss.requires_grad:
                found.append(torch.zeros_like(self.squares[0]))
                continue
            outputs = [_output(of, name) for name in names]
            slopes = torch.autograd.grad(loss, outputs, retain_graph=True, allow_unused=True)
            by_name = dict(zip(names, slopes, strict=True))
            found.append(torch.stack([_square(by_name[group.field], group) for group in self.groups.values()]))
        now = mean_of_processes(torch.stack(found).to(self.squares))
        usable = torch.isfinite(now).all(0) & (now > _SMALLEST).all(0)
        first = self.squares[0] == 0
        mixed = torch.where(first, now, _MEMORY * self.squares + (1 - _MEMORY) * now)
        self.squares.copy_(torch.where(usable, mixed, self.squares))

    def figures(self) -> dict[str, Tensor]:
        """The weights by name, for the curve."""
        return {f"weight_{name}": weight for name, weight in zip(self.groups, self.weights, strict=True)}


def _output(said: Prediction, name: str) -> Tensor:
    return said.camera if name == CAMERA else getattr(said.parameters, name)


def _square(slope: Tensor | None, group: Group) -> Tensor:
    """Squared norm of the gradient on a group; 0 where the loss does not reach it."""
    if slope is None:
        return torch.zeros(())
    return (slope if group.entries is None else slope[:, list(group.entries)]).square().sum()
