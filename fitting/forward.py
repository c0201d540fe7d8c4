"""What a forward pass of the sparse body gives: the posed keypoints, and what their derivatives need.

Tensors have the shapes they state, people first; but in memory those of the forward pass lie with the people last, so
that arithmetic on small matrices runs over long contiguous vectors. Only the speed depends on that.

Legend: B people, N 133 keypoints, M sparse vertices, J 55 joints.
"""

from dataclasses import dataclass

from torch import Tensor


def people_last(value: Tensor) -> Tensor:
    """(B, ...) -> (..., B), contiguous: free for what the forward pass made."""
    return value.movedim(0, -1).contiguous()


def people_first(value: Tensor) -> Tensor:
    """(..., B) -> (B, ...) as a view."""
    return value.movedim(-1, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Forward:
    """A posed body at its keypoints, with what its derivatives need."""

    rotations: Tensor
    """(B, J, 3, 3) joint rotations in the camera frame."""
    offsets: Tensor
    """(B, J, 3): a rest point x that is rigid with joint j lands on rotations[j] x + offsets[j]."""
    joints: Tensor
    """(B, J, 3) joints in the camera frame, relative to the pelvis."""
    blended: Tensor
    """(B, M, 3, 3) skin-weighted rotation of each sparse vertex."""
    rest: Tensor
    """(B, M, 3) shaped and scaled rest vertices."""
    points: Tensor
    """(B, N, 3) keypoints relative to the pelvis."""
    hand_rotvec: Tensor
    """(B, 2, 15, 3) axis-angle of the finger joints."""
    from_head: Tensor
    """(B, M, 3) of the rest vertices what the head scale multiplies: their places relative to the head joint; in the
    fusion `paper` the posed head's part of them."""
    joints_from_head: Tensor
    """(B, J, 3) the same of the rest joints."""
    translation: Tensor
    """(B, 3) pelvis in the camera frame."""
    head_scale: Tensor
    """(B, 3)."""
    local: Tensor
    """(B, J, 3, 3) local rotations."""

    @property
    def points_cam(self) -> Tensor:
        """(B, N, 3) keypoints in the camera frame, metres."""
        return self.points + self.translation[:, None]
