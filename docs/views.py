"""Draws docs/views.jpg: a moment of `demo_rig` as one camera has it and as four have it, from the side, and the truth.

Prints how far off the labels are, at that moment and at all moments. After `make demo`:

    pear annotate demo_rig --set groups.together=false --set output.labels=alone/labels \
        --set output.report=alone/report --set output.metrics=alone/metrics.json
    python docs/views.py
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.labels import label_schema
from datasets_manifest.shards.shard import read_shard
from model.body.ehms import EhmOutput, EHMs
from model.body.skeleton import NUM_MAIN_JOINTS
from model.metrics.joints import mean_distance_mm, mpjpe_mm, pa_mpjpe_mm
from model.renderer.overlay import BACKDROP_RGB, draw_mesh, person_photo, side_colours
from tasks.annotate.photos import PhotoReader
from tasks.annotate.settings import load_config
from tasks.annotate.workspace import ShardRef, Workspace
from tasks.body_model import full_body
from tasks.posing import pose_bodies
from tasks.report.page import refused_vertices
from tasks.synthetic.render import TRUTH_FILE

SHARD = ShardRef(dataset="demo_rig", split="all", index=0)
FRAME, CAMERAS = 4, 4
TILE_PX, LINE_PX, HEIGHT_M, DISTANCE_M = 320, 20, 2.1, 12.0
TRUTH_RGB, QUIET_RGB = (74, 80, 92), (96, 102, 112)
OUT = Path(__file__).with_name("views.jpg")

Row = Mapping[str, Any]


def main() -> None:
    """Draws and writes the picture, prints the errors."""
    config = load_config("params.yaml")
    body, workspace = full_body(config.body_model), Workspace.of(config.output)
    photos = PhotoReader.of_dataset(workspace, SHARD.group, config.run.photo_cache_mb)
    truth = rows_of(workspace.rendered_path(SHARD.dataset) / TRUTH_FILE)
    alone = rows_of(Path("alone/labels") / SHARD.relative_path)
    together = rows_of(workspace.step_path("refine", SHARD))

    views = [f"images/group_000/camera_{camera}/{FRAME:06d}.jpg" for camera in range(CAMERAS)]
    small = [photo_of(together[view], photos) for view in views]
    known = posed(truth[views[0]], body)
    tiles = [("one moment, four cameras", "", np.vstack([np.hstack(small[:2]), np.hstack(small[2:])]))]
    for name, labels in (("camera 0 alone", alone), ("the four cameras together", together)):
        for where, images in (("this moment", views[:1]), ("median of all views", list(truth))):
            off = np.median([errors_mm(labels[image], truth[image], body) for image in images if image in labels], 0)
            print(f"{name}, {where}: joints {off[0]:.0f} mm off, pelvis on pelvis {off[1]:.0f}, aligned {off[2]:.0f}")
        off = errors_mm(labels[views[0]], truth[views[0]], body)
        caption = f"{off[0]:.0f} mm off, {off[1]:.0f} mm pelvis on pelvis"
        tiles.append((name, caption, from_the_side(labels[views[0]], known, body)))
    tiles.append(("the truth", "", from_the_side(None, known, body)))

    picture = Image.new("RGB", (len(tiles) * TILE_PX, TILE_PX + 2 * LINE_PX + 8), BACKDROP_RGB)
    pen, font, small_font = ImageDraw.Draw(picture), ImageFont.load_default(15), ImageFont.load_default(14)
    for column, (title, caption, tile) in enumerate(tiles):
        left = column * TILE_PX
        picture.paste(Image.fromarray(tile), (left, LINE_PX + 4))
        pen.text((left + TILE_PX // 2, 3), title, 0, font, anchor="ma")
        pen.text((left + TILE_PX // 2, LINE_PX + TILE_PX + 5), caption, QUIET_RGB, small_font, anchor="ma")
    picture.save(OUT, quality=88)


def rows_of(path: Path) -> dict[str, Row]:
    """Rows of a file of labels by the name of their photo, each with one person; those without a body are left out."""
    rows = read_shard(path, label_schema(in_groups=True)).to_pylist()
    return {row["image"]: row for row in rows if row["body_pose"] is not None}


def posed(row: Row, body: EHMs) -> EhmOutput:
    """The body of a label, in the frame of its camera."""
    return pose_bodies(body, {name: np.asarray(row[name])[None] for name in LABEL_PARAMETERS if row[name] is not None})


def errors_mm(row: Row, truth: Row, body: EHMs) -> list[float]:
    """Mean distance of the joints where they stand, pelvis on pelvis, and after alignment: three numbers."""
    found, known = (posed(each, body).joints[:, :NUM_MAIN_JOINTS] for each in (row, truth))
    return [float(error(found, known)) for error in (mean_distance_mm, mpjpe_mm, pa_mpjpe_mm)]


def photo_of(row: Row, photos: PhotoReader) -> np.ndarray:
    """A person's photo with keypoints, half a tile wide and high."""
    keypoints = np.asarray(row["keypoints_2d"]).reshape(-1, 3)
    return person_photo(photos.read(row["image"]), np.asarray(row["bbox_xyxy"]), keypoints, TILE_PX // 2)


def from_the_side(row: Row | None, known: EhmOutput, body: EHMs) -> np.ndarray:
    """A label over the truth in grey, or the truth alone, seen from the photo's left: (tile, tile, 3).

    Both stand where they are said to stand; the camera is to the right.
    """
    middle = 0.5 * (known.vertices[0].amax(0) + known.vertices[0].amin(0))
    tile = np.full((TILE_PX, TILE_PX, 3), BACKDROP_RGB, np.uint8)

    def draw(tile: np.ndarray, people: EhmOutput, **how: Any) -> np.ndarray:
        centred = (people.vertices[0] - middle).numpy().astype(np.float64)
        turned = np.stack([-centred[:, 2], centred[:, 1], centred[:, 0] + DISTANCE_M], 1)
        focal, principal = TILE_PX * DISTANCE_M / HEIGHT_M, np.full(2, TILE_PX / 2)
        return draw_mesh(tile, turned, body.assets.smplx.faces, focal, principal, **how)

    tile = draw(tile, known, colours=np.full((known.vertices.shape[1], 3), TRUTH_RGB, np.float64), alpha=1.0)
    if row is None:
        return tile
    refused = refused_vertices(row, body)
    return draw(tile, posed(row, body), colours=side_colours(body.assets), refused=refused, alpha=0.85)


if __name__ == "__main__":
    main()
