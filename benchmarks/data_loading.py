"""Training crops a second and core: this project's loader and a plain one, with the same augmentation.

    python -m benchmarks.data_loading                                  the table of docs/benchmarks/speed.md
    python -m benchmarks.data_loading --sizes 640x480 --people 1 --crops 40 --repeats 1      a check of the program

The plain loader is what one writes first: for every person the whole photo is opened and decoded by Pillow, cut by its
affine transform, scaled, normalised in float by torch, the label's rotations are turned one person at a time, and
torch's default collate stacks the rest. Both draw the same augmentation for the same position and go through the people
in the same random order; the loader of this project keeps up to four people of a photo together.

Photos are textures: noise whose amplitude falls with its frequency, as JPEG of quality 90. Both are timed in turns,
with one thread, by the processor time of this process; the median of the rounds counts. Both end with normalised float
crops: ours are handed over as uint8, to be normalised where the network is, and that is timed here too.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from benchmarks.measure import timed
from benchmarks.table import Column, Row, markdown, number
from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, LEARNT_FIELDS
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.selection import select_labels
from datasets_manifest.shards.store import shard_path, write_shard
from datasets_manifest.sources.opening import open_images
from model.body.assets import load_open_body
from model.body.skeleton import KEYPOINT_FLIP, NUM_MAIN_JOINTS
from model.imaging.crop import crop_transform, keypoints_in_crop
from model.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from model.imaging.squares import invert_affine
from model.regressor.augment import AugmentConfig
from model.regressor.config import RegressorConfig
from model.regressor.flip import CoefficientMirror, mirror_parameters
from model.regressor.network import normalise
from model.regressor.sample import in_crop_camera, label_parameters
from tasks.training.engine.loader import build_loader
from tasks.training.labelled_photos import LabelledPhotos
from tasks.training.regressor.dataset import RegressorDataset

SEED = 0
MEAN, STD = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
COLUMNS = (
    Column(title="photos", text=lambda row: str(row["size"])),
    Column(title="KB", text=number("kilobytes", "{:.0f}")),
    Column(title="people a photo", text=number("people", "{:d}", 1)),
    Column(title="plain ms a crop", text=number("plain", "{:.2f}", 1e3)),
    Column(title="ours ms a crop", text=number("ours", "{:.2f}", 1e3)),
    Column(title="plain crops/s", text=number("plain_rate", "{:.0f}")),
    Column(title="ours crops/s", text=number("ours_rate", "{:.0f}")),
    Column(title="ratio", text=number("ratio", "{:.2f}")),
)


class PlainDataset(Dataset[dict[str, Any]]):
    """One person at a time; positions and augmentation are those of another data set."""

    def __init__(self, like: RegressorDataset) -> None:
        self.like = like

    def __getitem__(self, position: int) -> dict[str, Any]:
        """A sample as a dictionary of tensors."""
        like = self.like
        index, number_ = like.sampler.locate(position)
        row = like.rows[index][number_]
        augmentation = like.augmentation(row, position)
        size = like.config.crop_px
        affine = crop_transform(augmentation.square, size, mirrored=augmentation.mirrored)
        photo = Image.open(like.sets[index].images.root / row.image).convert("RGB")
        inverse = tuple(invert_affine(affine).reshape(-1))
        crop = photo.transform((size, size), Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(crop)).permute(2, 0, 1).float() / 255
        pixels = (pixels * torch.tensor(augmentation.gains)[:, None, None]).clamp(0, 1)
        pixels = (pixels - MEAN[:, None, None]) / STD[:, None, None]
        keypoints = keypoints_in_crop(row.keypoints_2d, affine, size)
        parameters = in_crop_camera(label_parameters([row]), [row], [augmentation.square])
        if augmentation.mirrored:
            keypoints = keypoints[list(KEYPOINT_FLIP)]
            assert like.mirror is not None
            parameters = mirror_parameters(parameters, like.mirror)
        return {
            "crop": pixels,
            "keypoints": torch.from_numpy(keypoints),
            "valid": torch.from_numpy(np.array(row.part_valid)),
            "joint_seen": torch.from_numpy(np.array(row.joint_seen)),
            "sample_id": row.sample_id,
            **{name: value[0] for name, value in parameters.named().items()},
        }


def texture(width: int, height: int, seed: int) -> np.ndarray:
    """(H, W, 3) uint8 noise whose amplitude falls with its frequency."""
    rng = np.random.default_rng(seed)
    total = np.full((height, width, 3), 128.0, np.float32)
    for octave in range(1, 7):
        shape = (max(height >> octave, 2), max(width >> octave, 2), 3)
        layer = rng.normal(0, 6 * 1.6**octave, shape).astype(np.float32)
        total += cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC)
    return total.clip(0, 255).astype(np.uint8)


def write_people(folder: Path, width: int, height: int, photos: int, people: int) -> LabelledPhotos:
    """Photos with labels; the longer side of a person is between 0.35 and 0.95 of the photo's height."""
    rng = np.random.default_rng(SEED)
    rows: list[dict[str, Any]] = []
    (folder / "photos").mkdir(parents=True)
    for k in range(photos):
        Image.fromarray(texture(width, height, k)).save(folder / "photos" / f"{k:04d}.jpg", quality=90)
        rows += [_row(rng, k, person, width, height) for person in range(people)]
    footer = Footer(config={"step": "benchmark"}, code_version="0", manifest={"id": "texture"}, shard="00000")
    table = table_from_columns({name: [row[name] for row in rows] for name in rows[0]}, LABEL_SCHEMA)
    write_shard(shard_path(folder / "labels", "texture", "train", 0), table, footer)
    selection = select_labels(folder / "labels" / "texture", max_dropped_share=0.0)
    return LabelledPhotos(selection=selection, images=open_images(folder / "photos"))


def _row(rng: np.random.Generator, photo: int, person: int, width: int, height: int) -> dict[str, Any]:
    tall = height * rng.uniform(0.35, 0.95)
    wide = tall * rng.uniform(0.3, 0.7)
    left, top = rng.uniform(0, width - wide), rng.uniform(0, height - tall)
    keypoints = np.column_stack([rng.uniform(left, left + wide, 133), rng.uniform(top, top + tall, 133), np.ones(133)])
    return {
        "sample_id": f"texture/train/{photo:04d}#{person}",
        "dataset": "texture",
        "split": "train",
        "image": f"{photo:04d}.jpg",
        "image_width": width,
        "image_height": height,
        "person": person,
        "bbox_xyxy": [left, top, left + wide, top + tall],
        "bbox_source": "manifest",
        "status": "ok",
        "keypoints_2d": keypoints,
        "focal_px": float(max(width, height)),
        "principal_px": [width / 2, height / 2],
        **{f.name: rng.normal(0, 0.3, f.column_shape(DEFAULT_SIZE)) for f in LEARNT_FIELDS},
        "hand_scale": np.ones(3),
        "joint_seen": np.ones(NUM_MAIN_JOINTS, bool),
        **{f"{part}_valid": True for part in ("body", "left_hand", "right_hand", "face")},
    }


def measure(folder: Path, size: tuple[int, int], people: int, crops: int, batch: int, repeats: int) -> Row:
    """One row of the table."""
    photos = max(-(-crops // people), 8)
    data = write_people(folder, *size, photos, people)
    mirror = CoefficientMirror.of(load_open_body(), DEFAULT_SIZE)
    dataset = RegressorDataset([data], AugmentConfig(), RegressorConfig(), SEED, mirror=mirror)
    plain = PlainDataset(dataset)
    steps = -(-crops // batch)

    def ours(first: int) -> Tensor:
        loader = build_loader(dataset, first_step=first, num_steps=steps, batch_size=batch)
        return torch.stack([made.target.betas.sum() + normalise(made.crops).sum() for made in loader])

    def theirs(first: int) -> Tensor:
        starts = range(first * batch, (first + steps) * batch, batch)
        batches = (default_collate([plain[k] for k in range(start, start + batch)]) for start in starts)
        return torch.stack([made["betas"].sum() + made["crop"].sum() for made in batches])

    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    loaders: dict[str, Callable[[int], Tensor]] = {"plain": theirs, "ours": ours}
    for round_ in range(repeats + 1):
        for name, loader in loaders.items():
            _, spent = timed(lambda run=loader, first=round_ * steps: run(first), torch.device("cpu"))
            if round_ or repeats == 0:  # the first round warms up
                seconds[name].append(spent / (steps * batch))
    found = {name: statistics.median(values) for name, values in seconds.items()}
    size_bytes = [path.stat().st_size for path in (folder / "photos").iterdir()]
    return {
        "size": f"{size[0]} x {size[1]}",
        "kilobytes": statistics.mean(size_bytes) / 1024,
        "people": people,
        **found,
        "ours_rate": 1 / found["ours"],
        "plain_rate": 1 / found["plain"],
        "ratio": found["plain"] / found["ours"],
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["640x480", "1280x960", "2048x1536"], help="WIDTHxHEIGHT")
    parser.add_argument("--people", type=int, nargs="+", default=[1, 3], help="people on each photo")
    parser.add_argument("--crops", type=int, default=160, help="crops of a round")
    parser.add_argument("--batch", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3, help="rounds after the one that warms up")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    found = parser.parse_args(arguments)
    try:
        found.sizes = [(int(text.split("x")[0]), int(text.split("x")[1])) for text in found.sizes]
    except (ValueError, IndexError):
        parser.error(f"--sizes: expected WIDTHxHEIGHT, got {' '.join(map(str, found.sizes))}")
    return found


def main(arguments: list[str] | None = None) -> list[Row]:
    """Measures and prints the table; returns its rows."""
    options = parse(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    print(f"{platform.processor() or platform.machine()}, one thread, torch {torch.__version__}\n", flush=True)
    rows: list[Row] = []
    for size in options.sizes:
        for people in options.people:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measure(Path(folder), size, people, options.crops, options.batch, options.repeats))
            print(f"{rows[-1]['size']}, {people} a photo: {rows[-1]['ratio']:.2f}", file=sys.stderr, flush=True)
    print(markdown(rows, COLUMNS))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return rows


if __name__ == "__main__":
    main()
