"""Pictures for people who check labels: keypoints and mesh over the photo, a view from the side.

Images are (H, W, 3) uint8 RGB. Coordinates count from the image's corner: pixel (column i, row j) has its centre at
(i + 0.5, j + 0.5). Everything on the person's left is blue, on the right orange.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from model.body.assets import EhmAssets
from model.body.skeleton import (
    BODY_GROUPS,
    FACE,
    GROUP_OF_JOINT,
    KEYPOINT_NAMES,
    LEFT_HAND,
    NUM_MAIN_JOINTS,
    RIGHT_HAND,
    SKELETON_EDGES,
    SMPLX_JOINT_NAMES,
    SMPLX_LEFT_HAND,
    SMPLX_RIGHT_HAND,
)
from model.imaging.lenses import Lens
from model.renderer.raster import interpolate, rasterise, shade, vertex_normals

LEFT_RGB = (30, 110, 255)
RIGHT_RGB = (255, 128, 20)
MIDDLE_RGB = (120, 220, 90)
BACKDROP_RGB = (236, 238, 241)
REFUSED_RGB = (222, 44, 34)
"""Of the hatching in which refused parts are drawn."""
UNSEEN_RGB = (110, 114, 124)
"""Of the hatching of what was predicted and not seen."""
HEAD_JOINTS = ("head", "jaw", "left_eye", "right_eye")
FINGER_JOINTS = ("wrist", "index", "middle", "pinky", "ring", "thumb")
_SHIFT = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A square cut-out of an image: pixel p of the image lies at ``scale * p + offset_px`` of the view."""

    scale: float
    """View pixels per image pixel."""
    offset_px: np.ndarray
    """(2,) view pixels."""
    size_px: int
    """Side of the view."""

    @classmethod
    def around(cls, bbox_xyxy: np.ndarray, size_px: int, margin: float = 1.2) -> "View":
        """The view that shows a box (4,) with some room around it; an empty box counts as 1 px wide."""
        low, high = np.asarray(bbox_xyxy[:2], np.float64), np.asarray(bbox_xyxy[2:], np.float64)
        scale = size_px / (margin * max(float((high - low).max()), 1.0))
        return cls(scale=scale, offset_px=size_px / 2 - scale * 0.5 * (low + high), size_px=size_px)

    def apply(self, points_px: np.ndarray) -> np.ndarray:
        """Image pixels (..., 2) -> view pixels (..., 2)."""
        return self.scale * np.asarray(points_px, np.float64) + self.offset_px

    def cut(self, rgb: np.ndarray) -> np.ndarray:
        """The part of an image that the view shows (size, size, 3); outside the image it is grey."""
        # cv2 puts pixel centres at whole numbers, we put them half a pixel further.
        shift = self.offset_px + 0.5 * self.scale - 0.5
        matrix = np.array([[self.scale, 0, shift[0]], [0, self.scale, shift[1]]])
        source = rgb
        if self.scale < 0.5:  # warpAffine does not average: shrink first
            factor = 2.0 * self.scale
            small = (max(1, round(rgb.shape[1] * factor)), max(1, round(rgb.shape[0] * factor)))
            source = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA)
            stretch = np.array([source.shape[1] / rgb.shape[1], source.shape[0] / rgb.shape[0]])
            rate = self.scale / stretch
            shift = self.offset_px + 0.5 * rate - 0.5
            matrix = np.array([[rate[0], 0, shift[0]], [0, rate[1], shift[1]]])
        size = (self.size_px, self.size_px)
        return cv2.warpAffine(source, matrix, size, flags=cv2.INTER_LINEAR, borderValue=BACKDROP_RGB)


def _side_colour(index: int) -> tuple[int, int, int]:
    name = KEYPOINT_NAMES[index]
    return LEFT_RGB if name.startswith("left") else RIGHT_RGB if name.startswith("right") else MIDDLE_RGB


def _edge_colour(start: int, end: int) -> tuple[int, int, int]:
    first, second = _side_colour(start), _side_colour(end)
    return first if first == second else MIDDLE_RGB


def _to_cv(point: np.ndarray) -> tuple[int, int]:
    x, y = np.round((np.clip(point, -1e5, 1e5) - 0.5) * (1 << _SHIFT)).astype(int)
    return int(x), int(y)


def draw_keypoints(
    rgb: np.ndarray, keypoints: np.ndarray, *, min_score: float = 0.05, thickness: int | None = None
) -> np.ndarray:
    """Draws the 133 keypoints and the skeleton on a copy of an image.

    Args:
        rgb: (H, W, 3) uint8.
        keypoints: (133, 3) x px, y px, score; points that are not finite or score less than ``min_score`` are left out.
        min_score: see above.
        thickness: line width, px; by default from the image's size.
    """
    image = np.ascontiguousarray(rgb).copy()
    keypoints = np.asarray(keypoints, np.float64)
    seen = np.isfinite(keypoints).all(1) & (keypoints[:, 2] >= max(min_score, 1e-9))
    line = thickness or max(1, round(max(image.shape[:2]) / 256))
    for start, end in SKELETON_EDGES:
        if seen[start] and seen[end]:
            fine = start >= FACE.start
            ends = _to_cv(keypoints[start, :2]), _to_cv(keypoints[end, :2])
            cv2.line(image, *ends, _edge_colour(start, end), max(1, line - fine), cv2.LINE_AA, _SHIFT)
    small = {*range(FACE.start, FACE.stop), *range(LEFT_HAND.start, RIGHT_HAND.stop)}
    for index in np.flatnonzero(seen):
        radius = (0.8 if index in small else 1.8) * line * (1 << _SHIFT)
        centre = _to_cv(keypoints[index, :2])
        cv2.circle(image, centre, round(radius), _side_colour(int(index)), -1, cv2.LINE_AA, _SHIFT)
    return image


def side_colours(assets: EhmAssets) -> np.ndarray:
    """Colours (V, 3) of a mesh: left limbs blue, right limbs orange, head and trunk pale."""
    joint_colour = np.full((len(SMPLX_JOINT_NAMES), 3), (214.0, 210.0, 200.0))
    for k, name in enumerate(SMPLX_JOINT_NAMES):
        if name.startswith("left") and "eye" not in name:
            joint_colour[k] = (110.0, 160.0, 245.0)
        if name.startswith("right") and "eye" not in name:
            joint_colour[k] = (248.0, 166.0, 92.0)
    joint_colour[[SMPLX_JOINT_NAMES.index(n) for n in HEAD_JOINTS]] = (238.0, 214.0, 170.0)
    return np.asarray(assets.smplx.skin_weights, np.float64) @ joint_colour


def vertex_parts(assets: EhmAssets) -> np.ndarray:
    """Part (V,) of each vertex: 0 body, 1 left hand, 2 right hand, 3 face with the whole head."""
    names = SMPLX_JOINT_NAMES
    of_joint = np.zeros(len(names), np.int64)
    for k, name in enumerate(names):
        side, _, rest = name.partition("_")
        if rest.startswith(FINGER_JOINTS):
            of_joint[k] = 1 if side == "left" else 2
    of_joint[[names.index(name) for name in HEAD_JOINTS]] = 3
    weights = np.asarray(assets.smplx.skin_weights, np.float64)
    return np.stack([weights[:, of_joint == part].sum(1) for part in range(4)], 1).argmax(1)


def vertex_limbs(assets: EhmAssets) -> np.ndarray:
    """Limb (V,) of each vertex, by its number in `BODY_GROUPS`; a hand belongs to its arm, the face to the head."""
    names, limbs = SMPLX_JOINT_NAMES, list(BODY_GROUPS)
    of_joint = np.full(len(names), limbs.index("head"))
    of_joint[:NUM_MAIN_JOINTS] = GROUP_OF_JOINT
    of_joint[SMPLX_LEFT_HAND], of_joint[SMPLX_RIGHT_HAND] = limbs.index("left_arm"), limbs.index("right_arm")
    weights = np.asarray(assets.smplx.skin_weights, np.float64)
    return np.stack([weights[:, of_joint == limb].sum(1) for limb in range(len(limbs))], 1).argmax(1)


def draw_mesh(
    rgb: np.ndarray,
    vertices_cam: np.ndarray,
    faces: np.ndarray,
    focal_px: float,
    principal_px: np.ndarray,
    *,
    colours: np.ndarray | None = None,
    refused: np.ndarray | None = None,
    hatch_rgb: tuple[int, int, int] = REFUSED_RGB,
    alpha: float = 0.75,
    supersample: int = 2,
) -> np.ndarray:
    """Draws a mesh over a copy of an image; what is refused, or was not seen, is only hatched.

    Args:
        rgb: (H, W, 3) uint8.
        vertices_cam: (V, 3) camera frame, metres.
        faces: (F, 3).
        focal_px: focal length of the image.
        principal_px: (2,) principal point.
        colours: (V, 3) 0..255; pale grey by default.
        refused: (V,) bool, which vertices are only hatched: those that may not supervise; none by default.
        hatch_rgb: Colour of the hatching.
        alpha: how much of the mesh hides the photo, 0..1.
        supersample: rays per pixel and axis.
    """
    height, width = rgb.shape[:2]
    s = supersample
    size = (height * s, width * s)
    raster = rasterise(vertices_cam, faces, focal_px * s, np.asarray(principal_px, np.float64) * s, size)
    if colours is None:
        colours = np.full((len(vertices_cam), 3), 215.0)
    albedo = interpolate(raster, faces, colours)
    shaded = shade(raster, faces, vertex_normals(vertices_cam, faces), albedo, shine=0.08)
    opaque = np.ones(len(shaded))
    if refused is not None and refused.any():
        hatched = interpolate(raster, faces, np.asarray(refused, np.float64)[:, None])[:, 0] > 0.5
        rows, columns = np.nonzero(raster.mask)
        period = s * max(6, max(height, width) // 48)
        opaque[hatched] = ((rows + columns) % period < 0.35 * period)[hatched]
        shaded[hatched] = hatch_rgb
    layer = np.zeros((*size, 4), np.float32)
    layer[raster.mask] = np.column_stack([shaded * opaque[:, None], opaque])
    layer = cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA) * alpha
    drawn, covered = np.array(rgb, np.uint8), layer[..., 3] > 0
    layer, photo = layer[covered], drawn[covered]
    drawn[covered] = np.clip(np.round(photo * (1 - layer[:, 3:]) + layer[:, :3]), 0, 255).astype(np.uint8)
    return drawn


def side_view(
    vertices_cam: np.ndarray,
    faces: np.ndarray,
    size_px: int,
    *,
    colours: np.ndarray | None = None,
    refused: np.ndarray | None = None,
) -> np.ndarray:
    """The mesh alone, seen from the photo's left; the photo's camera stands to the right: (size, size, 3)."""
    centred = vertices_cam - 0.5 * (vertices_cam.max(0) + vertices_cam.min(0))
    turned = np.stack([-centred[:, 2], centred[:, 1], centred[:, 0]], axis=1)  # a proper rotation about the y axis
    extent = max(np.ptp(turned[:, 0]), np.ptp(turned[:, 1]), 1e-6)
    distance = 8.0 * extent
    turned[:, 2] += distance
    focal = size_px * distance / (1.2 * extent)
    blank = np.full((size_px, size_px, 3), BACKDROP_RGB, np.uint8)
    return draw_mesh(blank, turned, faces, focal, np.full(2, size_px / 2), colours=colours, refused=refused, alpha=1.0)


def person_photo(rgb: np.ndarray, bbox_xyxy: np.ndarray, keypoints: np.ndarray | None, tile_px: int) -> np.ndarray:
    """The part of a photo around a person's box (4,) with the keypoints (133, 3), if any: (tile, tile, 3)."""
    view = View.around(bbox_xyxy, tile_px)
    photo = view.cut(rgb)
    if keypoints is None:
        return photo
    moved = np.array(keypoints, np.float64)
    moved[:, :2] = view.apply(moved[:, :2])
    return draw_keypoints(photo, moved)


def as_seen(vertices_cam: np.ndarray, lens: Lens | None) -> np.ndarray:
    """A mesh (V, 3) that `draw_mesh` puts where a lens shows it; without a lens as it is."""
    return vertices_cam if lens is None else lens.bent(torch.from_numpy(vertices_cam)).numpy()


def person_sheet(
    rgb: np.ndarray,
    bbox_xyxy: np.ndarray,
    keypoints: np.ndarray | None,
    vertices_cam: np.ndarray,
    faces: np.ndarray,
    focal_px: float,
    principal_px: np.ndarray,
    *,
    lens: Lens | None = None,
    colours: np.ndarray | None = None,
    refused: np.ndarray | None = None,
    tile_px: int = 256,
) -> np.ndarray:
    """Photo with keypoints | mesh over the photo | view from the side: (tile, 3 tile, 3).

    Args:
        rgb: (H, W, 3) the whole photo.
        bbox_xyxy: (4,) the person's box.
        keypoints: (133, 3) or None.
        vertices_cam: (V, 3) posed body, camera frame.
        faces: (F, 3).
        focal_px: focal length of the photo.
        principal_px: (2,) principal point.
        lens: what took the photo; None for a pinhole.
        colours: (V, 3) of the mesh.
        refused: (V,) bool, which vertices are only hatched.
        tile_px: side of one tile.
    """
    marked = person_photo(rgb, bbox_xyxy, keypoints, tile_px)
    view = View.around(bbox_xyxy, tile_px)
    photo = view.cut(rgb)
    principal = view.apply(np.asarray(principal_px))
    seen = as_seen(vertices_cam, lens)
    fitted = draw_mesh(photo, seen, faces, focal_px * view.scale, principal, colours=colours, refused=refused)
    side = side_view(vertices_cam, faces, tile_px, colours=colours, refused=refused)
    return np.concatenate([marked, fitted, side], axis=1)


def encode_jpeg(rgb: np.ndarray, quality: int = 92) -> bytes:
    """(H, W, 3) uint8 RGB -> JPEG file."""
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


def encode_png(rgb: np.ndarray) -> bytes:
    """(H, W, 3) uint8 RGB -> PNG file."""
    _, data = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_PNG_COMPRESSION, 6])
    return data.tobytes()
