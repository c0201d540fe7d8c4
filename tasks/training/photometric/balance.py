"""How much the pictures weigh against the labels, output by output: by the norms of their gradients.

One weight for all would be that of the output whose pixels change most: where a face is in the picture moves every
pixel, how far its mouth is open some. So each output that the pictures may change has a weight of its own, under which
the gradient of the pictures on it is as large as that of the labels, or a share of it.

Legend: B people, G groups of outputs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from model.body import skeleton
from model.regressor.network import Prediction
from model.renderer.part_windows import Part
from tasks.training.engine.distributed import mean_of_processes

CAMERA = "camera"
_MEMORY = 0.5
"""What a squared norm keeps of its last measurement."""
_SMALLEST = 1e-20
"""Squared norms below this are none."""


Entries = tuple[int, ...] | None
"""Which along the second dimension of an output; None: all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Outputs with one weight."""

    output: str
    """Of ``EhmParameters``, or ``CAMERA``: where both gradients are measured."""
    entries: Entries = None
    """Of it."""
    along: Mapping[str, Entries] = field(default_factory=dict)
    """Further outputs that have the weight of this one."""


_HEAD = {
    "jaw": Group(output="jaw_pose"),
    "expression": Group(output="flame_expression"),
    "eyelids": Group(output="eyelids"),
    "head_scale": Group(output="head_scale"),
}
_CARRIED_BY: dict[Part, int] = {
    "head": skeleton.HEAD,
    "left_hand": skeleton.WRISTS[0],
    "right_hand": skeleton.WRISTS[1],
}


def groups_of(parts: Sequence[Part]) -> dict[str, Group]:
    """What pictures of some parts may change.

    Neither the shape, by which clothes and hair would be explained, nor how far the camera is, which looks like the
    scale of the head, nor joints that carry no part.

    Where a part is in the picture is said by the camera and by the turns of pelvis and joints that carry it, together:
    all have one weight. If pictures moved the camera alone, labels would answer with the turn of the pelvis, which
    moves a head as well, and there would be no place where both come to rest.
    """
    found = dict(_HEAD) if "head" in parts else {}
    for side in ("left", "right"):
        if f"{side}_hand" in parts:
            found[f"{side}_fingers"] = Group(output=f"{side}_hand_pose")
    carriers = {joint for part in parts for joint in _chain(_CARRIED_BY[part])}
    turns = {"global_orient": None, "body_pose": tuple(sorted(joint - 1 for joint in carriers))}
    return found | {"place": Group(output=CAMERA, entries=(1, 2), along=turns)}


def _chain(joint: int) -> Iterator[int]:
    """The joint, its parent, and so on, without the pelvis."""
    while joint != skeleton.PELVIS:
        yield joint
        joint = skeleton.SMPLX_PARENTS[joint]


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
        return torch.where(known, self.share * (labels / pictures.clamp(min=_SMALLEST)).sqrt(), 0.0)

    def weighted(self, said: Prediction) -> Prediction:
        """The same people and cameras, whose derivatives reach what said them by the weights alone."""
        shares = {}
        for (_, group), weight in zip(self.groups.items(), self.weights, strict=True):
            for name, entries in {group.output: group.entries, **group.along}.items():
                output = _output(said, name)
                share = shares.setdefault(name, output.new_zeros(1, output.shape[1], *[1] * (output.dim() - 2)))
                share[:, slice(None) if entries is None else list(entries)] = weight
        outputs = {name: value.detach() for name, value in said.parameters.named().items()}
        outputs[CAMERA] = said.camera.detach()
        for name, share in shares.items():
            value = _output(said, name)
            # The value is that of the output to the last bit, its derivative the weight.
            outputs[name] = value.detach() + share * (value - value.detach())
        camera = outputs.pop(CAMERA)
        return Prediction(parameters=dataclasses.replace(said.parameters, **outputs), camera=camera)

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
        names = list(dict.fromkeys(group.output for group in self.groups.values()))
        found = []
        for loss, of in ((labels, said), (pictures, drawn)):
            if not loss.requires_grad:
                found.append(torch.zeros_like(self.squares[0]))
                continue
            outputs = [_output(of, name) for name in names]
            slopes = torch.autograd.grad(loss, outputs, retain_graph=True, allow_unused=True)
            by_name = dict(zip(names, slopes, strict=True))
            found.append(torch.stack([_square(by_name[group.output], group) for group in self.groups.values()]))
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
