"""Groups of pictures of one world: people who move, filmed by one camera, or by calibrated ones on a ring about them.

Shape, looks, light and, for each camera, background and sensor are the same in all frames; the noise is new in each.
World: as in ``tasks.synthetic.motion``.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from model.body.ehms import EHMs
from model.body.skeleton import LEFT_HAND
from model.renderer.people import Appearance, RestShape, sample_appearance
from model.renderer.raster import Raster, project
from tasks.posing import pose_bodies
from tasks.synthetic.motion import Motion, Walk, draw_motion
from tasks.synthetic.paths import RATE_HZ
from tasks.synthetic.person import SUFFIXES, ImageFormat, Light, check_pictures, draw_layer, sample_light
from tasks.synthetic.scene import Sensor, develop, draw_thing, paint_background, place_person, sample_sensor
from tasks.synthetic.visibility import keypoint_visibility, mask_box

PASSING_FRAMES = 14
"""How long something passes in front of the left hand of somebody who is alone, half of shorter clips; for two thirds
of that time it hides the hand."""
_FOCAL_SIDES = (1.0, 1.6)
"""Least and largest focal length in sides of the image."""
_HEIGHT_SHARE = (0.8, 0.92)
"""Share of the image's height that all the places of all people take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupConfig:
    """What is rendered of people who move."""

    count: int = 1
    """Number of groups: each is a clip, or the pictures of several cameras."""
    frames: int = 24
    """Moments of a group, 30 a second."""
    cameras: int = 1
    """Cameras of a group; several stand on a ring about the people."""
    people: int = 1
    """Most people in a group: group k has 1 + k modulo this. Where there are two, they cross."""
    seed: int = 0
    """Two seeds share no person."""
    image_width: int = 512
    """Pixels."""
    image_height: int = 512
    """Pixels."""
    image_format: ImageFormat = "jpeg"
    """Of the files."""
    supersample: int = 2
    """Rays per pixel and axis for the people."""

    def __post_init__(self) -> None:
        for name in ("count", "frames", "cameras", "people"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of rendered groups: expected at least 1, got {getattr(self, name)}")
        check_pictures(self.image_width, self.image_height, self.image_format, self.supersample)

    @property
    def num_images(self) -> int:
        """Pictures of all groups."""
        return self.count * self.frames * self.cameras

    @property
    def size_hw(self) -> tuple[int, int]:
        """Of a picture, px."""
        return self.image_height, self.image_width

    def image_name(self, index: int) -> str:
        """File of picture ``index``."""
        group, frame, camera = self.place(index)
        folder = f"{group_name(group)}/{camera_name(camera)}" if self.cameras > 1 else group_name(group)
        return f"images/{folder}/{frame:06d}{SUFFIXES[self.image_format]}"

    def place(self, index: int) -> tuple[int, int, int]:
        """Group, frame and camera of picture ``index``; the views of a moment follow each other."""
        moment, camera = divmod(index, self.cameras)
        return *divmod(moment, self.frames), camera


def group_name(group: int) -> str:
    """What truth calls a group."""
    return f"group_{group:03d}"


def camera_name(camera: int) -> str:
    """What truth calls a camera of several."""
    return f"camera_{camera}"


class Actor(NamedTuple):
    """Who moves."""

    motion: Motion
    look: Appearance


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldCamera:
    """A camera that stands still."""

    focal_px: float
    principal_px: np.ndarray
    """(2,)."""
    world_to_camera: np.ndarray
    """(3, 4) float32, rotation and translation in metres."""
    background: np.ndarray
    """(H, W, 3) RGB 0..255."""
    sensor: Sensor

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) from the world's axes to the camera's."""
        return self.world_to_camera[:, :3].astype(np.float64)

    def seen(self, parameters: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Parameters of a person of the world in the camera's frame."""
        turned = Rotation.from_matrix(self.rotation) * Rotation.from_rotvec(parameters["global_orient"])
        moved = self.rotation @ parameters["transl_m"] + self.world_to_camera[:, 3]
        frame = {"global_orient": turned.as_rotvec(), "transl_m": moved}
        return parameters | {name: value.astype(np.float32) for name, value in frame.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """All that a group's pictures show."""

    actors: tuple[Actor, ...]
    light: Light
    """In the frame of the world."""
    cameras: tuple[WorldCamera, ...]


class View(NamedTuple):
    """One picture of a world with its truth."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    people: list[dict]
    """Label columns of what is known of each person but ``image``."""
    scene: dict
    """What is no label, see ``tasks.synthetic.render.SCENE_FILE``."""


def make_world(group: int, config: GroupConfig, ehm: EHMs, rest: RestShape) -> World:
    """The world of a group: everything random comes from (seed, group)."""
    rng = np.random.default_rng([config.seed, group])
    walks = _walks(1 + group % config.people, config.frames)
    actors = [Actor(draw_motion(rng, config.frames, walk, ehm, rest), sample_appearance(rng)) for walk in walks]
    points = [pose_bodies(ehm, actor.motion.parameters).vertices[:, ::8].reshape(-1, 3).numpy() for actor in actors]
    light = sample_light(rng)
    around = np.concatenate(points).astype(np.float64)
    cameras = [_camera(rng, number, around, config) for number in range(config.cameras)]
    return World(actors=tuple(actors), light=light, cameras=tuple(cameras))


def _walks(people: int, frames: int) -> list[Walk]:
    """Ways of people: one goes and turns a little, several pass each other, the first nearest to the first camera."""
    reach, turn = (0.75, 0.9) if people > 1 else (0.15, 0.3)
    reach *= frames / 30  # as fast in a short clip
    walks = []
    for number in range(people):
        side, lane = (-1.0) ** number, 0.6 * (number - 0.5 * (people - 1))
        walks.append(Walk(start_xz_m=(-side * reach, lane), end_xz_m=(side * reach, lane), yaw_rad=side * turn))
    return walks


def _camera(rng: np.random.Generator, number: int, around_m: np.ndarray, config: GroupConfig) -> WorldCamera:
    """Camera ``number`` of a ring, a little above, which has points (N, 3) of the world in its picture."""
    turn = 2 * np.pi * number / config.cameras + rng.normal(0.0, 0.08) * bool(number)
    rotation = Rotation.from_euler("yx", [turn, rng.uniform(0.0, 0.25)]).as_matrix()
    height, width = config.size_hw
    focal = float(np.float32(max(height, width) * rng.uniform(*_FOCAL_SIDES)))
    principal = np.array([width, height]) * (0.5 + rng.uniform(-0.02, 0.02, 2))
    share = rng.uniform(*_HEIGHT_SHARE)
    shift = place_person(around_m @ rotation.T, focal, principal, config.size_hw, share, np.zeros(2))
    return WorldCamera(
        focal_px=focal,
        principal_px=principal,
        world_to_camera=np.concatenate([rotation, shift[:, None]], 1).astype(np.float32),
        background=paint_background(rng, config.size_hw),
        sensor=sample_sensor(rng),
    )


def render_view(index: int, world: World, config: GroupConfig, ehm: EHMs, rest: RestShape) -> View:
    """Draws picture ``index`` of a data set, of the world of its group."""
    group, frame, number = config.place(index)
    camera, size_hw = world.cameras[number], config.size_hw
    people = [camera.seen(actor.motion.at(frame)) for actor in world.actors]
    light = Light(tuple(camera.rotation @ world.light.towards), world.light.ambient)
    drawn, image = {}, camera.background
    for who in np.argsort([-person["transl_m"][2] for person in people]).tolist():
        body = pose_bodies(ehm, {name: value[None] for name, value in people[who].items()})
        raster, layer = draw_layer(
            body, world.actors[who].look, light, camera.focal_px, camera.principal_px, size_hw, config.supersample,
            ehm, rest,
        )  # fmt: skip
        image = image * (1 - layer[..., 3:]) + layer[..., :3]
        drawn[who] = body.keypoints[0].numpy().astype(np.float64), raster, layer[..., 3] > 0
    passing = np.zeros(size_hw, bool)
    if len(people) == 1 and number == 0 and (along := _passing(frame, config.frames)) is not None:
        points, _, mask = drawn[0]
        hand = project(points[LEFT_HAND], camera.focal_px, camera.principal_px).mean(0)
        side = float(np.ptp(mask_box(mask).reshape(2, 2), axis=0).max())
        passing = _draw_passing(image, hand, side, along, [config.seed, group, 1 + config.cameras])
    place = {
        "group": group_name(group),
        "camera": camera_name(number) if config.cameras > 1 else None,
        "frame": frame,
        "time_s": frame / RATE_HZ,
        "world_to_camera": camera.world_to_camera,
    }
    truth, covered = {}, passing
    for who in reversed(drawn):  # the nearest first, who covers the others
        points, raster, mask = drawn[who]
        keypoints = _keypoints(points, camera, raster, covered, config)
        own = {**people[who], "keypoints_2d": keypoints, "bbox_xyxy": mask_box(mask)}
        truth[who] = {"person": who, "track": who, **_picture(camera, config), **own, **place}
        covered = covered | mask
    rng = np.random.default_rng([config.seed, group, 1 + number, 1 + frame])
    return View(
        rgb=develop(rng, image, camera.sensor),
        people=[truth[who] for who in sorted(truth)],
        scene={"people": len(people), "has_occluder": bool(passing.any())},
    )


def _keypoints(
    points_m: np.ndarray, camera: WorldCamera, raster: Raster, covered: np.ndarray, config: GroupConfig
) -> np.ndarray:
    """(133, 3) projections and whether they are seen."""
    pixels = project(points_m, camera.focal_px, camera.principal_px)
    seen = keypoint_visibility(points_m, pixels, raster, config.supersample, covered)
    return np.concatenate([pixels, seen[:, None]], 1)


def _picture(camera: WorldCamera, config: GroupConfig) -> dict:
    return {
        "image_width": config.image_width,
        "image_height": config.image_height,
        "focal_px": camera.focal_px,
        "principal_px": camera.principal_px,
    }


def _passing(frame: int, frames: int) -> float | None:
    """Where what passes is at a frame, from -1, where it comes, to 1, where it goes; None where it is not there."""
    length = min(PASSING_FRAMES, frames // 2)
    step = frame - (frames - length) // 2
    return (2 * step + 1) / length - 1 if 0 <= step < length else None


def _draw_passing(image: np.ndarray, hand_px: np.ndarray, side_px: float, along: float, seed: list[int]) -> np.ndarray:
    """Draws what passes in front of a hand, where it stays for a while; returns the mask (H, W) of what it covers."""
    rng = np.random.default_rng(seed)  # anew for each frame: the same thing
    return draw_thing(rng, image, hand_px + np.array([side_px * along**5, 0.0]), 1.5 * side_px)
