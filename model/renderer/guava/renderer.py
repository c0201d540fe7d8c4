"""The whole renderer: one picture of a person to Gaussians, and those in any pose to pictures.

Legend: B pictures, V vertices, F faces, H = W the side of what is drawn.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.imaging.camera import Camera, project
from model.renderer.guava.config import GuavaConfig
from model.renderer.guava.decoders import TexelDecoder, VertexDecoder, direction_features
from model.renderer.guava.encoder import Encoder, resized
from model.renderer.guava.gaussians import Appearance, posed
from model.renderer.guava.style_unet import StyleUNet, unit_deviation
from model.renderer.guava.texture_inversion import UvMap, inverted, visible_faces
from model.renderer.sampling import sample
from model.renderer.splat import draw as splat
from model.renderer.splat.conventions import KERBL
from model.renderer.splat.draw import Rasteriser


class Picture(NamedTuple):
    """What is drawn, on black."""

    refined: Tensor
    """(B, 3, H, W), 0..1."""
    raw: Tensor
    """(B, 3, H, W) colours of the Gaussians themselves, before the refiner."""
    alpha: Tensor
    """(B, H, W) how much of the background is covered."""


class GuavaRenderer(nn.Module):
    """The networks, under the names of the published checkpoint.

    Args:
        config: Sizes.
        faces: (F, 3) of the body with teeth, `guava_body`.
        uv: UV map of the checkpoint.

    Raises:
        ValueError: UV map, faces and sizes do not fit each other.
    """

    faces: Tensor
    uv_face_ids: Tensor
    uv_weights: Tensor

    def __init__(self, config: GuavaConfig, faces: Tensor, uv: UvMap) -> None:
        super().__init__()
        if uv.face_ids.shape[0] != config.uv_px:
            raise ValueError(f"expected a UV map of {config.uv_px} px, got {uv.face_ids.shape[0]}")
        if int(uv.face_ids.max()) >= len(faces) or int(faces.max()) >= config.num_vertices:
            raise ValueError(
                f"the UV map names face {int(uv.face_ids.max())} of a body of {config.num_vertices} vertices, the body "
                f"that is given has {len(faces)} faces and {int(faces.max()) + 1} vertices: take `guava_body` of the "
                "licensed body"
            )
        self.config = config
        for name, tensor in (("faces", faces), ("uv_face_ids", uv.face_ids), ("uv_weights", uv.weights)):
            self.register_buffer(name, tensor.clone(), persistent=False)
        width, style = config.dino.width, config.style_channels
        self.dino_encoder = Encoder(config)
        self.global_feature_mapping = _mapping(width, config.global_channels)
        self.vertex_base_feature = nn.Parameter(unit_deviation(config.num_vertices, config.vertex_channels))
        self.vertex_gs_decoder = VertexDecoder(
            config.sampled_channels + config.vertex_channels + config.global_channels, config.channels
        )
        self.uv_style_mapping = _mapping(width, style)
        self.uv_feature_decoder = StyleUNet(
            config.uv_px,
            config.texture_channels + 3,
            config.texel_channels,
            width=config.unet_width,
            style=style,
            takes_style=True,
        )
        self.uv_base_feature = nn.Parameter(unit_deviation(config.texel_base_channels, config.uv_px, config.uv_px))
        self.uv_point_decoder = TexelDecoder(config.texel_channels + config.texel_base_channels, config.channels)
        self.nerual_refiner = StyleUNet(
            config.image_px, config.channels, 3, width=config.unet_width, style=style, small=True
        )

    @property
    def uv(self) -> UvMap:
        """UV map, where the network is."""
        return UvMap(face_ids=self.uv_face_ids, weights=self.uv_weights)

    def appearance(
        self,
        picture: Tensor,
        vertices_m: Tensor,
        camera: Camera,
        *,
        rotation_cam_world: Tensor | None = None,
        seen: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Appearance:
        """What people look like, from one picture of each.

        Args:
            picture: (B, 3, side, side) RGB in [0, 1], black outside the person; the side of the backbone.
            vertices_m: (B, V, 3) the person as it is in that picture, in the frame of its camera.
            camera: Of the picture at the side of what is drawn (512 px). The published weights know the focal length
                `config.focal_px` and people some 22 m away.
            rotation_cam_world: (B, 3, 3) of that camera in a world in which people are posed; None: the camera's own
                frame.
            seen: (B, F) which faces the picture shows; None: found by drawing the mesh.
            generator: Where noise comes from; None: without, so that the same picture gives the same person.

        Raises:
            ValueError: The picture has another side, or the body another number of vertices.
        """
        config, batch = self.config, len(picture)
        if vertices_m.shape != (batch, config.num_vertices, 3):
            raise ValueError(
                f"expected {config.num_vertices} vertices for each of {batch} pictures, got {tuple(vertices_m.shape)}: "
                "pose `guava_body` of the licensed body"
            )
        if rotation_cam_world is None:
            rotation_cam_world = torch.eye(3, dtype=picture.dtype, device=picture.device).expand(batch, 3, 3)
        direction = direction_features(rotation_cam_world)
        found = self.dino_encoder(picture)
        vertices = self.vertex_gs_decoder(self._vertex_features(found, vertices_m, camera), direction)
        if seen is None:
            seen = visible_faces(vertices_m, self.faces, camera, config.image_px)
        shown = torch.cat([resized(picture, (config.image_px, config.image_px)), found.texture_map], 1)
        texture = inverted(shown, vertices_m, self.faces, self.uv, camera, seen)
        style = self.uv_style_mapping(found.whole)
        texture = self.uv_feature_decoder(texture, style, generator=generator)
        texture = torch.cat([texture, self.uv_base_feature.expand(batch, -1, -1, -1)], 1)
        texels, offsets = self.uv_point_decoder(texture, direction, self.uv.used)
        return Appearance(vertices=vertices, texels=texels, offsets=offsets)

    def _vertex_features(self, found, vertices_m: Tensor, camera: Camera) -> Tensor:
        """(B, V, C): what the picture shows at a vertex, what is learnt of it, what the whole picture shows."""
        batch, count = vertices_m.shape[:2]
        sampled = sample(found.vertex_map, project(vertices_m, camera), "border")
        base = self.vertex_base_feature.expand(batch, -1, -1)
        whole = self.global_feature_mapping(found.whole)[:, None].expand(-1, count, -1)
        return torch.cat([sampled, base, whole], -1)

    def draw(
        self,
        appearance: Appearance,
        vertices_m: Tensor,
        rotations: Tensor,
        camera: Camera,
        *,
        rasteriser: Rasteriser = "tiles",
        generator: torch.Generator | None = None,
    ) -> Picture:
        """Draws people in a pose.

        Args:
            appearance: Of B people.
            vertices_m: (B, V, 3) in the frame of the camera.
            rotations: (B, V, 3, 3) of the skin there, ``EHMs.posed_surface``.
            camera: In pixels of what is drawn.
            rasteriser: Of ``splat.draw``; not ``gsplat``, whose conventions are others.
            generator: Where noise comes from; None: without.

        Raises:
            ValueError: Shapes do not fit, or a value is not finite.
        """
        uv = self.uv
        gaussians = posed(appearance, vertices_m, rotations, self.faces, uv.face_ids[uv.used], uv.weights[uv.used])
        side = self.config.image_px
        colour, alpha = splat.draw(gaussians, camera, (side, side), conventions=KERBL, rasteriser=rasteriser)
        features = colour.movedim(-1, 1)
        refined = self.nerual_refiner(features, generator=generator).sigmoid()
        return Picture(refined=refined, raw=features[:, :3], alpha=alpha)


def _mapping(source: int, target: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Linear(source, target), nn.LeakyReLU()),
        *(nn.Linear(target, target), nn.LeakyReLU()),
        nn.Linear(target, target),
    )
