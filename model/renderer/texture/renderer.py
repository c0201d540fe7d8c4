"""Draws people by a texture, and finds the texture of people in pictures.

Letters: B pictures, V vertices, F faces, S sites, H, W. Pictures are (B, 3, H, W), masks (B, 1, H, W); what is drawn
has its channels last.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.body.normals import VertexNormals
from model.imaging.camera import Camera, project
from model.renderer.sampling import sample
from model.renderer.sites import Sites, looks_at_camera, pieces, topology
from model.renderer.splat.conventions import Conventions
from model.renderer.splat.draw import Drawing, Rasteriser, draw
from model.renderer.splat.gaussians import Gaussians
from model.renderer.texture.texture import Looks, Texture

OPACITY = 0.99
"""Of every site: where several meet, as they do everywhere inside the outline, nothing shines through."""
CONVENTIONS = Conventions(blur_px2=1.0 / 12.0)
"""The blur of a pixel that is a square, as those of photos are."""
INWARD_PX = 0.45
"""Gaussians that overlap cover more than the mesh under them: it is drawn so much smaller along its normals, so that
the outline of what is drawn is that of the mesh."""
INWARD_SPREADS = 0.1
"""And by so much of each Gaussian's own standard deviation, which matters in close-ups."""
SEEN_FACING = 0.15
"""A site whose normal is further off the way to the camera (cosine) is seen too flat for its colour to be read."""
SEEN_DEPTH_M = 0.003
"""A site this far behind what is drawn at its place is hidden, and by what the surface falls away within a pixel."""
SEEN_PIECE = 0.5
"""Share of what is drawn at a site's place that must be its own piece of the mesh: an eye lies closer behind its lids
than depth tells."""
SEEN_MASK = 0.99
"""Share of a site's place, among the pixels around it, that must be the person's."""


class TextureRenderer(nn.Module):
    """Gaussians on the mesh of one body, with colours that are known from people.

    Args:
        faces: (F, 3) of the body.
        sites: On its faces.
        texture: Of these sites and the body's vertices.

    Raises:
        ValueError: Sites, texture and faces do not fit each other.
    """

    pieces: Tensor
    """(V,) of which connected piece of the mesh each vertex is: skin, an eye."""

    def __init__(self, faces: Tensor, sites: Sites, texture: Texture) -> None:
        super().__init__()
        num_vertices = len(texture.offset_m)
        if len(sites) != len(texture.mean):
            raise ValueError(f"expected a texture of {len(sites)} sites, got one of {len(texture.mean)}")
        if int(faces.max()) >= num_vertices:
            raise ValueError(
                f"faces name vertex {int(faces.max())}, the texture has offsets of {num_vertices} vertices"
            )
        self.topology = topology(faces, num_vertices)
        self.sites = sites
        self.texture = texture
        self.normals = VertexNormals(faces, num_vertices)
        self.register_buffer("pieces", pieces(faces, num_vertices), persistent=False)

    @property
    def num_vertices(self) -> int:
        """V."""
        return len(self.texture.offset_m)

    def surface(self, vertices_m: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
        """Centres (B, S, 3) and factors (B, S, 3, 2) that show bodies (B, V, 3), clothes and hair included.

        Raises:
            ValueError: The mesh has another number of vertices.
        """
        if vertices_m.dim() != 3 or vertices_m.shape[1:] != (self.num_vertices, 3):
            raise ValueError(
                f"the renderer draws meshes of {self.num_vertices} vertices (B, V, 3), got {tuple(vertices_m.shape)}: "
                "pose the body that it was learnt for"
            )
        pixel_m = vertices_m[..., 2].detach().clamp(min=CONVENTIONS.near_m) / camera.focal_px[:, None]
        outward_m = self.texture.offset_m - INWARD_PX * pixel_m
        centres, factors = self.sites.surface(vertices_m + outward_m[..., None] * self.normals(vertices_m))
        normals = torch.linalg.cross(factors[..., 0], factors[..., 1])  # as long as the square of the spread
        length = normals.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        return centres - INWARD_SPREADS * normals / length.sqrt(), factors

    def draw(
        self,
        vertices_m: Tensor,
        colours: Tensor,
        camera: Camera,
        size_hw: tuple[int, int],
        *,
        background: Tensor | None = None,
        rasteriser: Rasteriser = "tiles",
    ) -> Drawing:
        """Pictures with derivatives by vertices, colours and cameras.

        Args:
            vertices_m: (B, V, 3), camera frame.
            colours: (B, S, C) of the sites, any number of channels.
            camera: (B,).
            size_hw: Height and width, pixels.
            background: (C,); None: 0.
            rasteriser: See ``model.renderer.splat.draw``.

        Raises:
            ValueError: The mesh is another body's, or see there.
        """
        centres, factors = self.surface(vertices_m, camera)
        # The body is closed: what faces away is behind what faces the camera.
        opacities = OPACITY * (looks_at_camera(centres.detach(), factors.detach()) > 0).to(centres)
        gaussians = Gaussians(centres_m=centres, factors_m=factors, colours=colours, opacities=opacities)
        return draw(gaussians, camera, size_hw, background=background, conventions=CONVENTIONS, rasteriser=rasteriser)

    @torch.no_grad()
    def seen(
        self, vertices_m: Tensor, camera: Camera, size_hw: tuple[int, int], *, rasteriser: Rasteriser = "tiles"
    ) -> Tensor:
        """How squarely each site is seen (B, S): the cosine to the way to the camera, 0 where it is hidden."""
        centres, factors = self.surface(vertices_m, camera)
        own = F.one_hot(self.pieces[self.sites.corners[0]]).to(centres).expand(len(centres), -1, -1)
        drawn = self.draw(vertices_m, torch.cat([centres[..., 2:], own], -1), camera, size_hw, rasteriser=rasteriser)
        place = project(centres, camera)
        there = sample((drawn.colour / drawn.alpha.clamp(min=1e-3)[..., None]).movedim(-1, 1), place)
        facing = looks_at_camera(centres, factors)
        height, width = size_hw
        inside = ((place >= 0) & (place < place.new_tensor([width, height]))).all(-1)
        pixel_m = centres[..., 2] / camera.focal_px[:, None]
        behind = centres[..., 2] - there[..., 0]
        in_front = behind < SEEN_DEPTH_M + pixel_m / facing.clamp(min=SEEN_FACING)
        in_front &= (there[..., 1:] * own).sum(-1) > SEEN_PIECE
        return torch.where(inside & in_front & (facing > SEEN_FACING), facing, 0.0)

    @torch.no_grad()
    def read(
        self,
        picture: Tensor,
        mask: Tensor | None,
        vertices_m: Tensor,
        camera: Camera,
        *,
        rasteriser: Rasteriser = "tiles",
    ) -> tuple[Tensor, Tensor]:
        """Colours (B, S, 3) of the pixels where the sites are, and how squarely each is seen (B, S), 0: not at all.

        Args:
            picture: (B, 3, H, W), 0..1.
            mask: (B, 1, H, W), where the person is; None: not known.
            vertices_m: (B, V, 3), camera frame.
            camera: (B,).
            rasteriser: See ``model.renderer.splat.draw``.

        Raises:
            ValueError: Picture, mask and mesh do not fit each other.
        """
        batch, _, height, width = _checked(picture, mask).shape
        if len(vertices_m) != batch:
            raise ValueError(f"expected a mesh for each of {batch} pictures, got {len(vertices_m)}")
        weight = self.seen(vertices_m, camera, (height, width), rasteriser=rasteriser)
        place = project(self.surface(vertices_m, camera)[0], camera)
        if mask is not None:
            weight = weight * (sample(mask.to(picture), place)[..., 0] > SEEN_MASK)
        return sample(picture, place), weight

    def looks(
        self,
        picture: Tensor,
        mask: Tensor | None,
        vertices_m: Tensor,
        camera: Camera,
        *,
        rasteriser: Rasteriser = "tiles",
    ) -> Looks:
        """Looks of the people in pictures; arguments and errors as of ``read``.

        They lie in the texture's space, which cannot follow the pixels that a wrong pose puts sites on, and carry no
        derivatives.
        """
        colours, weight = self.read(picture, mask, vertices_m, camera, rasteriser=rasteriser)
        return self.texture.fit(colours, weight, self.site_normals(vertices_m))

    def colours(self, looks: Looks, vertices_m: Tensor) -> Tensor:
        """Colours (B, S, 3) of all sites of people in any pose (B, V, 3), also those that no picture shows.

        Their derivatives by the vertices are those of the light on turned surfaces.
        """
        return self.texture.colours(looks, self.site_normals(vertices_m))

    def site_normals(self, vertices_m: Tensor) -> Tensor:
        """Unit normals (B, S, 3) of the smooth mesh (B, V, 3) at the sites."""
        return F.normalize(self.sites.at(self.normals(vertices_m)), dim=-1)

    def part(self, sites: Tensor) -> tuple["TextureRenderer", Tensor]:
        """A smaller renderer of some sites (N,), and the ids (M,) of the vertices of the whole mesh it is drawn from.

        Its meshes are ``vertices_m[:, ids]``, its colours ``colours[:, sites]``.
        """
        faces = self.normals.corners.T
        needed = torch.zeros(self.num_vertices, dtype=torch.bool, device=faces.device)
        needed[self.sites.corners[:, sites]] = True
        faces = faces[needed[faces].any(1)]  # also those around, for the same normals
        ids, local = torch.unique(faces, return_inverse=True)
        chosen = self.sites.take(sites)
        chosen.corners = torch.searchsorted(ids, chosen.corners)
        part = TextureRenderer(local, chosen, self.texture.take(sites, ids))
        part.topology, part.pieces = self.topology, self.pieces[ids]
        return part, ids


def _checked(picture: Tensor, mask: Tensor | None) -> Tensor:
    """The picture, if its shape is one and the mask fits it."""
    if picture.dim() != 4 or picture.shape[1] != 3:
        raise ValueError(f"expected pictures (B, 3, H, W), got {tuple(picture.shape)}")
    if mask is not None and mask.shape != (len(picture), 1, *picture.shape[2:]):
        raise ValueError(
            f"expected a mask {(len(picture), 1, *picture.shape[2:])} as the picture has, got {tuple(mask.shape)}"
        )
    return picture
