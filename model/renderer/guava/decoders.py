"""Features of vertices and texels to the attributes of their Gaussians.

Legend: B pictures, V vertices, S side of the texture, K colour channels, C features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.renderer.guava.gaussians import Attributes

NUM_FREQUENCIES = 4
DIRECTION_CHANNELS = 3 * (2 * NUM_FREQUENCIES + 1)
LARGEST_VERTEX_SCALE_M = 0.05


def direction_features(rotation_cam_world: Tensor) -> Tensor:
    """What the decoders are told of the view, (B, 27): sines, cosines and values of one direction.

    The direction is the third column of the rotation (B, 3, 3): where the camera sees the world's z axis. That is not
    the camera's own axis in the world, which would be the third row; the published weights have learnt this one.
    """
    direction = rotation_cam_world[:, :, 2]
    angles = (direction[..., None] * 2.0 ** torch.arange(NUM_FREQUENCIES, device=direction.device)).flatten(1)
    return torch.cat([angles.sin(), angles.cos(), direction], 1)


class VertexDecoder(nn.Module):
    """Attributes of a Gaussian on each vertex."""

    def __init__(self, source: int, channels: int) -> None:
        super().__init__()
        inner, head = source // 2, source // 4
        self.feature_layers = nn.Sequential(
            *(nn.Linear(source, inner), nn.ReLU()),
            *(nn.Linear(inner, inner), nn.ReLU()),
            *(nn.Linear(inner, inner), nn.ReLU()),
            nn.Linear(inner, inner),
        )

        def read_out(target: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(inner + DIRECTION_CHANNELS, head), nn.ReLU(), nn.Linear(head, target))

        self.color_layers = read_out(channels)
        self.opacity_layers = read_out(1)
        self.scale_layers = read_out(3)
        self.rotation_layers = read_out(4)

    def forward(self, features: Tensor, direction: Tensor) -> Attributes:
        """(B, V, C), (B, 27) -> attributes, scales in metres."""
        features = self.feature_layers(features)
        features = torch.cat([features, direction[:, None].expand(-1, features.shape[1], -1)], -1)
        # The published code norms each component over the vertices of a picture, not the four of a vertex. Components
        # are scaled apart by that, so that the unit quaternion is another one; the weights have learnt with it.
        rotations = F.normalize(self.rotation_layers(features), dim=1)
        return Attributes(
            colours=self.color_layers(features),
            opacities=torch.sigmoid(self.opacity_layers(features)[..., 0]),
            scales=LARGEST_VERTEX_SCALE_M * torch.sigmoid(self.scale_layers(features)),
            rotations_wxyz=F.normalize(rotations, dim=-1),
        )


class TexelDecoder(nn.Module):
    """Attributes of a Gaussian on each texel, and how far it lies from the surface."""

    def __init__(self, source: int, channels: int) -> None:
        super().__init__()
        half = source // 2
        self.feature_conv = nn.Sequential(
            *(self._wide(source + DIRECTION_CHANNELS, source), nn.LeakyReLU()),
            *(self._wide(source, source), nn.LeakyReLU()),
            self._wide(source, source),
        )
        self.rot_head = nn.Sequential(self._wide(source, half), nn.LeakyReLU(), nn.Conv2d(half, 4, 1))
        self.scale_head = nn.Sequential(self._wide(source, half), nn.LeakyReLU(), nn.Conv2d(half, 3, 1))
        self.opacity_head = nn.Sequential(self._wide(source, half), nn.LeakyReLU(), nn.Conv2d(half, 1, 1))
        self.color_head = nn.Sequential(self._wide(source, source), nn.LeakyReLU(), nn.Conv2d(source, channels, 1))
        self.local_pos_head = nn.Sequential(
            *(self._wide(source, source), nn.LeakyReLU()),
            *(self._wide(source, half), nn.LeakyReLU()),
            nn.Conv2d(half, 3, 1),
        )

    @staticmethod
    def _wide(source: int, target: int) -> nn.Conv2d:
        return nn.Conv2d(source, target, 3, padding=1)

    def forward(self, features: Tensor, direction: Tensor, used: Tensor) -> tuple[Attributes, Tensor]:
        """Reads out the texels that lie on the mesh.

        Args:
            features: (B, C, S, S).
            direction: (B, 27).
            used: (S, S) bool, which texels.

        Returns:
            Attributes of the T used texels row by row, scales in sizes of their faces, and offsets (B, T, 3) in the
            same unit, in the axes of the face.
        """
        shape = (-1, -1, *features.shape[2:])
        features = self.feature_conv(torch.cat([features, direction[:, :, None, None].expand(shape)], 1))

        def of(head: nn.Sequential) -> Tensor:
            return head(features)[:, :, used].transpose(1, 2)

        attributes = Attributes(
            colours=of(self.color_head),
            opacities=torch.sigmoid(of(self.opacity_head)[..., 0]),
            scales=of(self.scale_head).exp(),
            rotations_wxyz=F.normalize(of(self.rot_head), dim=-1),
        )
        return attributes, of(self.local_pos_head)
