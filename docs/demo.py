"""Draws docs/demo.jpg, the picture of the README, from the labels of `make demo`: python docs/demo.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from datasets_manifest.schema.labels import PART_NAMES
from model.renderer.overlay import BACKDROP_RGB, REFUSED_RGB
from tasks.annotate.look.inspect import find_label
from tasks.annotate.settings import load_config
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.workspace import Workspace
from tasks.body_model import full_body
from tasks.report.page import draw_label

PEOPLE = (
    "demo_portrait/all/grace_hopper.jpg#0",
    "demo_people/all/images/000001#0",
    "demo_photos/all/astronaut.png#0",
    "demo_people/all/images/000007#0",
    "demo_photos/all/camera.png#0",
    "demo_people/all/images/000015#0",
)
"""The photos in the left column, rendered people in the right."""
COLUMNS, TILE_PX, LINE_PX, GAP_PX = 2, 224, 19, 14
ACCEPTED_RGB = (24, 120, 66)
OUT = Path(__file__).with_name("demo.jpg")


def caption(label: Mapping[str, Any]) -> list[tuple[str, tuple[int, int, int]]]:
    """Lines of what is accepted of a person, of each refused part with its reason, and of refused limbs of an accepted
    body; each with its colour."""
    accepted = ", ".join(part.replace("_", " ") for part in PART_NAMES if label[f"{part}_valid"])
    reasons = re.split(rf"; (?=(?:{'|'.join(PART_NAMES)}): )", label["error_detail"] or "")
    refused = [f"refused: {reason.partition(' (')[0].replace('_', ' ')}" for reason in reasons if reason]
    limbs = re.findall(r"(?:^|; )(\w+):", label["body_group_detail"] or "")
    refused += [f"refused of the body: {', '.join(limbs).replace('_', ' ')}"] if limbs else []
    return [(f"accepted: {accepted}", ACCEPTED_RGB), *((line, REFUSED_RGB) for line in refused)]


def main() -> None:
    """Draws and writes the picture."""
    config = load_config("params.yaml")
    workspace, body, font = Workspace.of(config.output), full_body(config.body_model), ImageFont.load_default(13)
    width, height = 3 * TILE_PX, TILE_PX + LINE_PX * len(PART_NAMES)
    rows = -(-len(PEOPLE) // COLUMNS)
    size = COLUMNS * width + (COLUMNS - 1) * GAP_PX, rows * height + (rows - 1) * GAP_PX
    picture = Image.new("RGB", size, BACKDROP_RGB)
    pen = ImageDraw.Draw(picture)
    for number, sample_id in enumerate(PEOPLE):
        label, shard = find_label(workspace, sample_id)
        photo = ShardJob(shard, workspace, config).photos().read(label["image"])
        left, top = number % COLUMNS * (width + GAP_PX), number // COLUMNS * (height + GAP_PX)
        picture.paste(Image.fromarray(draw_label(photo, label, body, TILE_PX)), (left, top))
        for line, (text, colour) in enumerate(caption(label)):
            pen.text((left + 6, top + TILE_PX + 2 + line * LINE_PX), text, colour, font)
    picture.save(OUT, quality=88)


if __name__ == "__main__":
    main()
