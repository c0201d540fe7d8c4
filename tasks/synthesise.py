"""Renders the synthetic data set: coloured people of the body model whose true pose is known.

A folder holds ``images/000000.jpg`` ... and, written last, ``truth.parquet`` with one row a person. Person k depends on
the seed and on k alone, so a larger set begins with the people of a smaller one, and the same settings give the same
bytes.

The third number of a true keypoint is its visibility, as ``tasks/synthetic_visibility.py`` describes it.
"""

import dataclasses
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from datasets_manifest.canonical import config_hash
from datasets_manifest.fields import FLOATS, column, table_from_rows
from datasets_manifest.store import Footer, is_complete, write_shard
from model.body.ehms import EhmOutput, EHMs
from model.renderer.overlay import encode_jpeg, encode_png
from model.renderer.people import RestShape, dress, light_person, sample_appearance
from model.renderer.raster import project, rasterise
from tasks.files import alone_in, write_bytes
from tasks.posing import pose_bodies
from tasks.processes import call_in_processes
from tasks.provenance import code_version
from tasks.synthetic_pose import CROP_SHARES, CROPS, SampledPerson, sample_person
from tasks.synthetic_scene import develop, draw_occluder, paint_background, place_person
from tasks.synthetic_visibility import keypoint_visibility, mask_box

log = logging.getLogger(__name__)

REVISION = 2
"""Raised by hand when a change of this program changes the images or the truth."""

TRUTH_FILE = "truth.parquet"
SMALLEST_SIDE_PX = 64
PEOPLE_A_PROCESS = 32
"""Fewer people are not worth the seconds that a process takes to start."""


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
    image_format: str = "jpeg"
    """``jpeg`` or ``png``."""
    occluder_share: float = 0.25
    """Share of people with something in front of them."""
    supersample: int = 2
    """Rays per pixel and axis for the person."""
    crop_shares: tuple[float, ...] = CROP_SHARES
    """Share of people of whom the camera shows all, the upper body, the head, the left hand and the right hand."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"synthetic.count: expected at least 1, got {self.count}")
        if self.seed < 0:
            raise ValueError(f"synthetic.seed: expected 0 or more, got {self.seed}")
        if min(self.image_width, self.image_height) < SMALLEST_SIDE_PX:
            raise ValueError(
                f"synthetic image size: expected at least {SMALLEST_SIDE_PX} x {SMALLEST_SIDE_PX} px, "
                f"got {self.image_width} x {self.image_height}"
            )
        if self.image_format not in ("jpeg", "png"):
            raise ValueError(f"synthetic.image_format: expected jpeg or png, got {self.image_format!r}")
        if not 0.0 <= self.occluder_share <= 1.0:
            raise ValueError(f"synthetic.occluder_share: expected a share from 0 to 1, got {self.occluder_share}")
        if self.supersample not in (1, 2, 3, 4):
            raise ValueError(f"synthetic.supersample: expected 1 to 4, got {self.supersample}")
        shares = self.crop_shares
        if len(shares) != len(CROPS) or min(shares) < 0 or not abs(sum(shares) - 1) <= 1e-6:
            raise ValueError(
                f"synthetic.crop_shares: expected {len(CROPS)} shares ({', '.join(CROPS)}) that add up to 1, "
                f"got {list(shares)}"
            )


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
}
"""Of each of CROPS."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedPerson:
    """One image with its truth."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    mask: np.ndarray
    """(H, W) bool, the person's pixels, also those behind an occluder."""
    truth: dict
    """Columns of TRUTH_SCHEMA but ``image``."""


def truth_schema() -> pa.Schema:
    """Schema of ``truth.parquet``; lists are flat float32 in C order."""
    px, m, rad = "px", "m", "rad"
    return pa.schema(
        [
            column("image", pa.string(), "path of the image relative to this file", required=True),
            column("person", pa.int16(), "index within the image", required=True),
            column("image_width", pa.int32(), "width", unit=px, required=True),
            column("image_height", pa.int32(), "height", unit=px, required=True),
            column("bbox_xyxy", FLOATS, "box of the person's pixels inside the image", unit=px, shape=(4,)),
            column("focal_px", pa.float32(), "focal length", unit=px),
            column("principal_px", FLOATS, "principal point", unit=px, shape=(2,)),
            column("transl_m", FLOATS, "position of the pelvis joint, camera frame", unit=m, shape=(3,)),
            column("global_orient", FLOATS, "root rotation, camera frame, axis-angle", unit=rad, shape=(3,)),
            column("body_pose", FLOATS, "21 body joints, axis-angle", unit=rad, shape=(21, 3)),
            column("left_hand_pose", FLOATS, "15 joints, axis-angle, flat = 0", unit=rad, shape=(15, 3)),
            column("right_hand_pose", FLOATS, "15 joints, axis-angle, flat = 0", unit=rad, shape=(15, 3)),
            column("betas", FLOATS, "SMPL-X shape", unit="1", shape=(10,)),
            column("flame_shape", FLOATS, "FLAME shape", unit="1", shape=(10,)),
            column("flame_expression", FLOATS, "FLAME expression", unit="1", shape=(10,)),
            column("jaw_pose", FLOATS, "jaw, axis-angle", unit=rad, shape=(3,)),
            column("eye_pose", FLOATS, "left then right eye, axis-angle", unit=rad, shape=(2, 3)),
            column("eyelids", FLOATS, "left then right, 0 open .. 1 closed", unit="1", shape=(2,)),
            column("head_scale", FLOATS, "EHM-s scale of the head", unit="1", shape=(3,)),
            column("keypoints_2d", FLOATS, "x, y px and visibility 0 or 1, COCO-WholeBody order", shape=(133, 3)),
            column("joints_cam_m", FLOATS, "55 SMPL-X joints, camera frame", unit=m, shape=(55, 3)),
            column("crop", pa.string(), "what is framed: full, upper, head, left_hand or right_hand", required=True),
            column("is_child", pa.bool_(), "small body with a large head", required=True),
            column("has_occluder", pa.bool_(), "something covers a part of the person", required=True),
        ]
    )


TRUTH_SCHEMA = truth_schema()


def synthesise(out_dir: Path, config: SyntheticConfig, ehm: EHMs, *, jobs: int = 1) -> Path:
    """Renders the data set into a folder unless it is already there, complete and made with these settings.

    Of several processes that ask for one folder at once, one renders and the others wait for it.

    Args:
        out_dir: folder; images of an earlier, larger set in it are removed.
        config: what to render.
        ehm: the body model.
        jobs: processes that render, fewer for a small set; the files are the same byte for byte for any number. More
            than 1 need a program that new processes can import (``if __name__ == "__main__":`` around what starts it).

    Returns:
        Path of ``truth.parquet``, which exists only once every image does.

    Raises:
        ValueError: ``jobs`` is below 1.
    """
    if jobs < 1:
        raise ValueError(f"jobs: expected at least 1 process, got {jobs}")
    with alone_in(Path(out_dir)):
        return _synthesise(Path(out_dir), config, ehm, jobs)


def _synthesise(out_dir: Path, config: SyntheticConfig, ehm: EHMs, jobs: int) -> Path:
    truth_path = out_dir / TRUTH_FILE
    stated = _stated_config(config, ehm)
    names = [_image_name(k, config) for k in range(config.count)]
    if is_complete(truth_path, config_hash(stated)) and all((out_dir / name).is_file() for name in names):
        log.info("%s is complete (%d images); nothing to render.", out_dir, config.count)
        return truth_path
    truth_path.unlink(missing_ok=True)
    rows = _render_files(out_dir, config, ehm, jobs)
    for stale in sorted((out_dir / "images").glob("[0-9]" * 6 + ".*")):
        if f"images/{stale.name}" not in set(names):
            stale.unlink()
    footer = Footer(
        config=stated,
        code_version=code_version(),
        manifest={},
        shard=TRUTH_FILE.split(".")[0],
        body_model=stated["body_model"],
        created_utc="1970-01-01T00:00:00+00:00",  # no clock: the same settings give the same bytes
    )
    write_shard(truth_path, table_from_rows(rows, TRUTH_SCHEMA), footer)
    log.info("Rendered %d people into %s.", config.count, out_dir)
    return truth_path


@dataclass(frozen=True, kw_only=True, slots=True)
class _Renderer:
    """What a process needs in order to render any person of a set."""

    out_dir: Path
    config: SyntheticConfig
    ehm: EHMs
    rest: RestShape

    def write(self, index: int) -> dict:
        """Renders one person into its file and returns its row of the truth."""
        name = _image_name(index, self.config)
        person = render_person(index, self.config, self.ehm, self.rest)
        encode = encode_jpeg if self.config.image_format == "jpeg" else encode_png
        write_bytes(self.out_dir / name, encode(person.rgb))
        return {"image": name, **person.truth}


def _render_files(out_dir: Path, config: SyntheticConfig, ehm: EHMs, jobs: int) -> list[dict]:
    """Writes every image and returns the rows of the truth in their order."""
    renderer = _Renderer(out_dir=out_dir, config=config, ehm=ehm, rest=RestShape.from_assets(ehm.assets))
    processes = min(jobs, max(1, config.count // PEOPLE_A_PROCESS))
    return list(_logged(call_in_processes(renderer.write, config.count, processes), config.count))


def _logged(rows: Iterable[dict], count: int) -> Iterator[dict]:
    """The same rows; says how far it is at every tenth."""
    for done, row in enumerate(rows, 1):
        yield row
        if done % max(1, count // 10) == 0 and done < count:
            log.info("Rendered %d of %d people.", done, count)


def _stated_config(config: SyntheticConfig, ehm: EHMs) -> dict:
    assets = ehm.assets
    body = {"name": assets.smplx.name, "sha256": assets.sha256, "licence": assets.smplx.licence, "mode": ehm.mode}
    settings = dataclasses.asdict(config)
    if config.crop_shares == CROP_SHARES:
        del settings["crop_shares"]  # a set with the usual shares is the same whether or not they are stated
    return {"step": "synthesise", "revision": REVISION, "settings": settings, "body_model": body}


def _image_name(index: int, config: SyntheticConfig) -> str:
    return f"images/{index:06d}.{'jpg' if config.image_format == 'jpeg' else 'png'}"


def pose_person(ehm: EHMs, person: SampledPerson, transl_m: np.ndarray) -> EhmOutput:
    """Poses one person (batch of 1), pelvis at ``transl_m``, camera frame."""
    values = {f.name: getattr(person, f.name) for f in dataclasses.fields(person)}
    columns = {name: value[None] for name, value in values.items() if isinstance(value, np.ndarray)}
    return pose_bodies(ehm, {**columns, "transl_m": np.asarray(transl_m, np.float32)[None]})


def render_person(index: int, config: SyntheticConfig, ehm: EHMs, rest: RestShape) -> RenderedPerson:
    """Draws person ``index`` of the data set: everything random comes from (seed, index)."""
    rng = np.random.default_rng([config.seed, index])
    size_hw = (config.image_height, config.image_width)
    person = sample_person(rng, rest.joints_m, config.crop_shares)
    look = sample_appearance(rng)
    framing = FRAMINGS[person.crop]
    focal = float(np.float32(max(size_hw) * rng.uniform(*framing.focal_sides)))
    principal = np.array([size_hw[1] / 2, size_hw[0] / 2])
    share = rng.uniform(*framing.share)
    shift = rng.uniform(-0.6, 0.6, 2) * (1.0, 0.5)
    faces = np.asarray(ehm.assets.smplx.faces)

    unplaced = pose_person(ehm, person, np.zeros(3)).vertices[0].numpy().astype(np.float64)
    framed = unplaced[_framed_vertices(person.crop, rest, ehm)]
    transl = place_person(framed, focal, principal, size_hw, share, shift).astype(np.float32)
    body = pose_person(ehm, person, transl)
    vertices = dress(body.vertices[0].numpy().astype(np.float64), faces, look, rest)

    light = rng.normal([-0.3, -0.8, -0.8], [0.7, 0.3, 0.3])
    ambient = float(rng.uniform(0.42, 0.65))
    s = config.supersample
    raster = rasterise(vertices, faces, focal * s, principal * s, (size_hw[0] * s, size_hw[1] * s))
    layer = np.zeros((*raster.face_id.shape, 4), np.float32)
    layer[raster.mask, :3] = light_person(look, rest, vertices, faces, raster, tuple(light), ambient)
    layer[raster.mask, 3] = 1.0
    layer = cv2.resize(layer, size_hw[::-1], interpolation=cv2.INTER_AREA)
    mask = layer[..., 3] > 0
    bbox = mask_box(mask)
    image = paint_background(rng, size_hw) * (1 - layer[..., 3:]) + layer[..., :3]
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
        **{f.name: getattr(person, f.name) for f in dataclasses.fields(person)},
        "keypoints_2d": np.concatenate([pixels, seen[:, None]], axis=1),
        "joints_cam_m": body.joints[0].numpy(),
        "has_occluder": bool((covered & mask).any()),
    }
    return RenderedPerson(rgb=develop(rng, image), mask=mask, truth=truth)


def _framed_vertices(crop: str, rest: RestShape, ehm: EHMs) -> np.ndarray:
    """(V,) mask of the vertices that must be inside the image."""
    height = rest.points_m[:, 1]
    if crop == "head":
        return rest.on_head > 0.5
    if crop in ("left_hand", "right_hand"):
        return np.isin(np.arange(len(height)), ehm.assets.hand_vertex_ids[crop.removesuffix("_hand")])
    if crop == "upper":
        return height > rest.joints_m["pelvis"][1] + 0.05
    return np.ones(len(height), bool)
