"""One person of the synthetic data set: an image and the truth about it.

Everything random comes from the seed of the set and the person's number.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import cv2
import numpy as np

from datasets_manifest.sources.masks import NOBODY, PERSON, UNKNOWN
from model.body.ehms import EhmOutput, EHMs
from model.renderer.people import Appearance, RestShape, dress, light_person, sample_appearance
from model.renderer.raster import Raster, project, rasterise
from tasks.posing import pose_bodies
from tasks.synthetic.pose import CHILD_SHARE, CROP_SHARES, CROPS, SampledPerson, sample_person
from tasks.synthetic.scene import develop, draw_occluder, paint_background, place_person, sample_sensor
from tasks.synthetic.visibility import keypoint_visibility, mask_box

SMALLEST_SIDE_PX = 64


ImageFormat = Literal["jpeg", "png"]
SUFFIXES: dict[ImageFormat, str] = {"jpeg": ".jpg", "png": ".png"}
"""Of the files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticConfig:
    """What is rendered."""

    count: int = 64
    """Number of images, one person each."""
    seed: int = 0
    """Two seeds share no person."""
    image_width: int = 512
    """Pixels."""
    image_height: int = 640
    """Pixels."""
    image_format: ImageFormat = "jpeg"
    """Of the files."""
    occluder_share: float = 0.25
    """Share of people with something in front of them."""
    supersample: int = 2
    """Rays per pixel and axis for the person."""
    crop_shares: tuple[float, ...] = CROP_SHARES
    """Share of people with each of CROPS: of whom the camera shows all, the upper body, the head and what is around it,
    the left hand, the right hand, and a face that fills the picture."""
    child_share: float = CHILD_SHARE
    """Share of people who are children: small bodies with large heads."""
    masks: bool = False
    """Whether exact masks are kept beside the photos (``datasets_manifest.sources.masks``)."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"synthetic.count: expected at least 1, got {self.count}")
        if self.seed < 0:
            raise ValueError(f"synthetic.seed: expected 0 or more, got {self.seed}")
        check_pictures(self.image_width, self.image_height, self.image_format, self.supersample)
        if not 0.0 <= self.occluder_share <= 1.0:
            raise ValueError(f"synthetic.occluder_share: expected a share from 0 to 1, got {self.occluder_share}")
        if not 0.0 <= self.child_share <= 1.0:
            raise ValueError(f"synthetic.child_share: expected a share from 0 to 1, got {self.child_share}")
        shares = self.crop_shares
        if len(shares) != len(CROPS) or min(shares) < 0 or not abs(sum(shares) - 1) <= 1e-6:
            raise ValueError(
                f"synthetic.crop_shares: expected {len(CROPS)} shares ({', '.join(CROPS)}) that add up to 1, "
                f"got {list(shares)}"
            )

    @property
    def num_images(self) -> int:
        """Pictures of the set."""
        return self.count

    def image_name(self, index: int) -> str:
        """File of picture ``index``."""
        return f"images/{index:06d}{SUFFIXES[self.image_format]}"


def check_pictures(width: int, height: int, image_format: str, supersample: int) -> None:
    """Refuses pictures that cannot be made.

    Raises:
        ValueError: Too small, an unknown format, or too few or many rays a pixel.
    """
    if min(width, height) < SMALLEST_SIDE_PX:
        raise ValueError(
            f"synthetic image size: expected at least {SMALLEST_SIDE_PX} x {SMALLEST_SIDE_PX} px, "
            f"got {width} x {height}"
        )
    if image_format not in get_args(ImageFormat):
        known = ", ".join(get_args(ImageFormat))
        raise ValueError(f"synthetic.image_format: expected one of {known}, got {image_format!r}")
    if supersample not in (1, 2, 3, 4):
        raise ValueError(f"synthetic.supersample: expected 1 to 4, got {supersample}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Framing:
    """How a part of a person is brought into the image."""

    share: tuple[float, float]
    """Least and largest share of the image's side that the part takes."""
    focal_sides: tuple[float, float]
    """Least and largest focal length in sides of the image."""


_HAND = Framing(share=(0.35, 0.65), focal_sides=(8.0, 12.0))
"""From two metres, most of the time: nearer, other parts of the person could be beside the lens or behind it."""
FRAMINGS = {
    "full": Framing(share=(0.6, 0.94), focal_sides=(1.0, 1.6)),
    "upper": Framing(share=(0.75, 0.95), focal_sides=(1.0, 1.6)),
    "head": Framing(share=(0.4, 0.7), focal_sides=(1.3, 2.0)),
    "left_hand": _HAND,
    "right_hand": _HAND,
    "face": Framing(share=(0.75, 0.95), focal_sides=(2.0, 3.0)),
}
"""Of each of CROPS."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedPerson:
    """One image with its truth."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    mask: np.ndarray
    """(H, W) bool, the person's pixels, also those behind an occluder."""
    covered: np.ndarray
    """(H, W) bool, the occluder's pixels."""
    truth: dict
    """Label columns of what is known but ``image``."""
    scene: dict
    """What is random and no label, see ``tasks.synthetic.render.SCENE_FILE``."""

    @property
    def shown_mask(self) -> np.ndarray:
        """(H, W) uint8 as ``datasets_manifest.sources.masks`` has it: what the occluder covers is not known."""
        return np.where(self.covered, UNKNOWN, np.where(self.mask, PERSON, NOBODY)).astype(np.uint8)


class Light(NamedTuple):
    """What falls on a person."""

    towards: tuple[float, float, float]
    """Where the lamp is, camera frame."""
    ambient: float
    """Share of the light that comes from everywhere."""


class Surroundings(NamedTuple):
    """What is about a person."""

    light: Light
    background: np.ndarray | None
    """(H, W, 3) RGB 0..255; None: a painted one."""


def pose_person(ehm: EHMs, person: SampledPerson, transl_m: np.ndarray) -> EhmOutput:
    """Poses one person (batch of 1), pelvis at ``transl_m``, camera frame."""
    columns = {**person.parameters, "transl_m": transl_m}
    return pose_bodies(ehm, {name: value[None] for name, value in columns.items()})


def render_person(index: int, config: SyntheticConfig, ehm: EHMs, rest: RestShape) -> RenderedPerson:
    """Draws person ``index`` of the data set: everything random comes from (seed, index)."""
    rng = np.random.default_rng([config.seed, index])
    person = sample_person(rng, rest.joints_m, config.crop_shares, config.child_share)
    return draw_person(person, rng, config, ehm, rest)


def draw_person(
    person: SampledPerson,
    rng: np.random.Generator,
    config: SyntheticConfig,
    ehm: EHMs,
    rest: RestShape,
    surroundings: Surroundings | None = None,
) -> RenderedPerson:
    """Draws a person that was sampled; the looks, the framing and what is not given are random."""
    size_hw = (config.image_height, config.image_width)
    look = sample_appearance(rng)
    focal, principal, transl = frame_person(person, rng, size_hw, ehm, rest)
    body = pose_person(ehm, person, transl)
    s = config.supersample
    light, background = surroundings or (sample_light(rng), None)
    raster, layer = draw_layer(body, look, light, focal, principal, size_hw, s, ehm, rest)
    mask = layer[..., 3] > 0
    bbox = mask_box(mask)
    behind = paint_background(rng, size_hw) if background is None else background
    image = behind * (1 - layer[..., 3:]) + layer[..., :3]
    covered = np.zeros(size_hw, bool)
    if rng.random() < config.occluder_share:
        covered = draw_occluder(rng, image, bbox)
    points = body.keypoints[0].numpy().astype(np.float64)
    pixels = project(points, focal, principal)
    seen = keypoint_visibility(points, pixels, raster, s, covered)
    truth = {
        "person": 0,
        "image_width": config.image_width,
        "image_height": config.image_height,
        "bbox_xyxy": bbox,
        "focal_px": focal,
        "principal_px": principal,
        "transl_m": transl,
        **person.parameters,
        "keypoints_2d": np.concatenate([pixels, seen[:, None]], axis=1),
    }
    scene = {"crop": person.crop, "is_child": person.is_child, "has_occluder": bool((covered & mask).any())}
    return RenderedPerson(
        rgb=develop(rng, image, sample_sensor(rng)), mask=mask, covered=covered, truth=truth, scene=scene
    )


def frame_person(
    person: SampledPerson, rng: np.random.Generator, size_hw: tuple[int, int], ehm: EHMs, rest: RestShape
) -> tuple[float, np.ndarray, np.ndarray]:
    """Focal length, principal point (2,) and translation (3,) that bring a person into a picture as its crop asks."""
    framing = FRAMINGS[person.crop]
    focal = float(np.float32(max(size_hw) * rng.uniform(*framing.focal_sides)))
    principal = np.array([size_hw[1] / 2, size_hw[0] / 2])
    share = rng.uniform(*framing.share)
    shift = rng.uniform(-0.6, 0.6, 2) * (1.0, 0.5)
    unplaced = pose_person(ehm, person, np.zeros(3)).vertices[0].numpy().astype(np.float64)
    framed = unplaced[_framed_vertices(person.crop, rest, ehm)]
    return focal, principal, place_person(framed, focal, principal, size_hw, share, shift).astype(np.float32)


def sample_light(rng: np.random.Generator) -> Light:
    """A lamp above, a little to the left and behind the camera, more or less."""
    return Light(tuple(rng.normal([-0.3, -0.8, -0.8], [0.7, 0.3, 0.3])), float(rng.uniform(0.42, 0.65)))


def draw_layer(
    body: EhmOutput,
    look: Appearance,
    light: Light,
    focal_px: float,
    principal_px: np.ndarray,
    size_hw: tuple[int, int],
    supersample: int,
    ehm: EHMs,
    rest: RestShape,
) -> tuple[Raster, np.ndarray]:
    """A dressed person, alone: what the finer pixels see, and colours 0..255 times coverage 0..1 (H, W, 4), float32."""
    faces, s = np.asarray(ehm.assets.smplx.faces), supersample
    vertices = dress(body.vertices[0].numpy().astype(np.float64), faces, look, rest)
    raster = rasterise(vertices, faces, focal_px * s, principal_px * s, (size_hw[0] * s, size_hw[1] * s))
    layer = np.zeros((*raster.face_id.shape, 4), np.float32)
    layer[raster.mask, :3] = light_person(look, rest, vertices, faces, raster, light.towards, light.ambient)
    layer[raster.mask, 3] = 1.0
    return raster, cv2.resize(layer, size_hw[::-1], interpolation=cv2.INTER_AREA)


def _framed_vertices(crop: str, rest: RestShape, ehm: EHMs) -> np.ndarray:
    """(V,) mask of the vertices that must be inside the image."""
    height = rest.points_m[:, 1]
    if crop in ("head", "face"):
        return rest.on_head > 0.5
    if crop in ("left_hand", "right_hand"):
        return np.isin(np.arange(len(height)), ehm.assets.hand_vertex_ids[crop.removesuffix("_hand")])
    if crop == "upper":
        return height > rest.joints_m["pelvis"][1] + 0.05
    return np.ones(len(height), bool)
