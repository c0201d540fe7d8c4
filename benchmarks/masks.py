"""Masks of people in photos beside the true ones: the pose network's own and MediaPipe's selfie segmentation.

    python -m benchmarks.masks                                        the first table of docs/benchmarks/estimators.md
    python -m benchmarks.masks --coco ANNOTATIONS.json --photos DIR   and that of real people with drawn outlines

Rendered people of whom all or the upper half is seen: as they are rendered; cut out and put before a photo; and so with
somebody else behind or in front of them. Both get the box of what is seen of the person, the pose network also the seen
keypoints, by which it refuses a pose that is somebody else's. Overlap is intersection over union, mean and tenth
percentile, of the masks that are not refused, at a probability of one half; outlines are the mean distance of each of
two outlines to the other, in px of a person 500 px tall, and for the head in shares of its box: the median person.
`sure` are the pixels of the box that a mask calls known, and the wrong ones among them. Time is processor time of one
thread: of the search for the person's pose, which keypoints by MediaPipe have done, and of the mask itself.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.measure import timed
from benchmarks.table import Column, Row, markdown, number, pair
from datasets_manifest.sources.images import decode_image
from datasets_manifest.sources.masks import PERSON, UNKNOWN
from model.body.skeleton import FACE
from model.estimators.base import PersonBatch
from model.estimators.mediapipe.graphs.interpreter import Network
from model.estimators.mediapipe.graphs.regions import Region, crop, uncropped
from model.estimators.mediapipe.graphs.runner import network_folder
from model.estimators.mediapipe.masks import MediapipeMasks, to_mask
from model.imaging.boxes import longer_side
from model.renderer.people import RestShape
from tasks.body_model import full_body
from tasks.settings import BodyModelConfig
from tasks.synthetic.person import SyntheticConfig, render_person

CPU = torch.device("cpu")
SELFIE_FILE, SELFIE_SIDE_PX, SELFIE_REGION = "selfie_segmentation/selfie_segmentation.tflite", 256, 1.25
"""The network, its input, and the square that it sees in longer sides of the box."""
CROP_SHARES = (0.6, 0.4, 0.0, 0.0, 0.0, 0.0)
BACKGROUNDS = ("coffee.png", "chelsea.png", "grass.png")
"""Photos of scikit-image without people."""
SHIFT_SHARE = 0.3
"""How far beside the person the other one stands, in widths of the picture."""
HEAD_MARGIN = 0.25
"""What the square about a head has more than the box of the face, in sides of it, on each side."""
MIN_PIXELS = 2000
KINDS = ("as rendered", "before a photo", "somebody behind", "somebody in front")
Mask = NDArray[np.bool_]
Probability = NDArray[np.float32]
Masker = Callable[[PersonBatch], Probability | None]
COLUMNS = (
    Column(title="people", text=lambda row: str(row["people"])),
    Column(title="mask", text=lambda row: str(row["mask"])),
    Column(title="number", text=number("number", "{:d}", 1)),
    Column(title="refused %", text=number("refused", "{:.0f}", 100)),
    Column(title="overlap", text=pair("overlap", "overlap_low", "{:.3f} / {:.3f}")),
    Column(title="outline px", text=number("outline", "{:.2f}")),
    Column(title="head: overlap", text=number("head_overlap", "{:.3f}")),
    Column(title="outline, % of it", text=number("head_outline", "{:.2f}", 100)),
    Column(title="sure %", text=number("sure", "{:.1f}", 100)),
    Column(title="wrong of these %", text=number("wrong", "{:.2f}", 100)),
    Column(title="search ms", text=number("search_seconds", "{:.0f}", 1e3)),
    Column(title="mask ms", text=number("seconds", "{:.0f}", 1e3)),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A photo and which of its pixels are the person."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    mask: Mask
    """(H, W)."""
    keypoints: np.ndarray
    """(133, 3) x, y in px and whether it is seen."""

    def window(self) -> tuple[slice, slice]:
        """Rows and columns in which the person is seen."""
        rows, columns = np.nonzero(self.mask)
        return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)

    def batch(self) -> PersonBatch:
        """The person with the box of what is seen."""
        rows, columns = self.window()
        return PersonBatch(
            images=[self.rgb],
            boxes_xyxy=np.array([[columns.start, rows.start, columns.stop, rows.stop]], float),
            keypoints=self.keypoints[None],
            sigma_px=np.where(self.keypoints[None, :, 2] > 0, 1.0, np.inf),
            focal_px=np.array([1000.0]),
            principal_px=np.array([[self.rgb.shape[1] / 2, self.rgb.shape[0] / 2]]),
        )


def photos_without_people() -> list[np.ndarray]:
    """(H, W, 3) uint8 each, those that scikit-image has."""
    data = Path(__import__("skimage").__file__).parent / "data"
    return [decode_image((data / name).read_bytes(), name=name) for name in BACKGROUNDS]


def rendered(count: int, seed: int) -> Iterator[tuple[str, Picture]]:
    """People of every kind, a picture each of those of whom enough is seen."""
    backgrounds = photos_without_people()
    body = full_body(BodyModelConfig())
    config = SyntheticConfig(count=count, seed=seed, crop_shares=CROP_SHARES, occluder_share=0.0)
    rest = RestShape.from_assets(body.assets)
    people = [render_person(index, config, body, rest) for index in range(count)]
    for kind in KINDS:
        for index, person in enumerate(people):
            own, other = _cut(person.mask), people[(index + 1) % count]
            rgb, seen, points = person.rgb, person.mask, np.array(person.truth["keypoints_2d"])
            if kind != KINDS[0]:
                rgb, seen = cv2.resize(backgrounds[index % len(backgrounds)], own.shape[::-1]), own
                if kind != KINDS[1]:
                    shift = np.array([[1.0, 0.0, SHIFT_SHARE * own.shape[1] * (-1) ** index], [0.0, 1.0, 0.0]])
                    moved = cv2.warpAffine(_cut(other.mask).astype(np.uint8), shift, own.shape[::-1]) > 0
                    moved &= ~own if kind == KINDS[2] else True
                    rgb = _pasted(rgb, cv2.warpAffine(other.rgb, shift, own.shape[::-1]), moved)
                    seen = own & ~moved
                rgb = _pasted(rgb, person.rgb, seen)
            if seen.sum() >= MIN_PIXELS:
                x, y = np.clip(points[:, :2], 0, np.array(seen.shape[::-1]) - 1).astype(int).T
                points[:, 2] *= seen[y, x]
                yield kind, Picture(rgb=rgb, mask=seen, keypoints=points)


def annotated(annotations: Path, photos: Path) -> Iterator[tuple[str, Picture]]:
    """People of COCO's format that have keypoints and a polygon."""
    content = json.loads(annotations.read_text(encoding="utf-8"))
    names = {image["id"]: image["file_name"] for image in content["images"]}
    for person in content["annotations"]:
        if not person.get("num_keypoints") or not isinstance(person.get("segmentation"), list):
            continue
        file = photos / names[person["image_id"]]
        rgb = decode_image(file.read_bytes(), name=str(file))
        mask = np.zeros(rgb.shape[:2], np.uint8)
        for polygon in person["segmentation"]:
            cv2.fillPoly(mask, [np.round(np.reshape(polygon, (-1, 2))).astype(np.int32)], (1,))
        points = np.zeros((133, 3))
        points[:17] = np.reshape(person["keypoints"], (17, 3))
        yield "annotated photos", Picture(rgb=rgb, mask=mask > 0, keypoints=points)


def _cut(mask: Mask) -> Mask:
    """The mask without its outermost pixels, which have the background's colour in them."""
    return cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def _pasted(below: np.ndarray, above: np.ndarray, mask: Mask) -> np.ndarray:
    """One picture over another where a mask is, with a soft edge."""
    share = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7)[..., None]
    return np.round(above * share + below * (1 - share)).astype(np.uint8)


def selfie_masks() -> Masker:
    """Selfie segmentation of the square around the box, of which the box is kept."""
    network = Network(network_folder() / SELFIE_FILE, low=0)

    def mask(batch: PersonBatch) -> Probability:
        rgb, box = batch.images[0], batch.boxes_xyxy[0]
        x, y = ((box[:2] + box[2:]) / 2).tolist()
        region = Region(x, y, SELFIE_REGION * float(longer_side(box)[0]))
        found = uncropped(network(crop(rgb, region, SELFIE_SIDE_PX))[0][..., 0], region, *rgb.shape[1::-1], outside=0.0)
        kept = np.zeros_like(found)
        left, top, right, bottom = np.round(box).astype(int).tolist()
        kept[top:bottom, left:right] = found[top:bottom, left:right]
        return kept

    return mask


def overlap_of(a: Mask, b: Mask) -> float:
    """Intersection over union."""
    return float((a & b).sum() / max((a | b).sum(), 1))


def outline_distance(a: Mask, b: Mask) -> float:
    """Mean distance, px, of the outlines of two masks from each other; NaN where one has none."""
    outlines = [
        mask & (cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) == 0) for mask in (a, b)
    ]
    if not all(outline.any() for outline in outlines):
        return float("nan")
    far = [cv2.distanceTransform((~outline).astype(np.uint8), cv2.DIST_L2, 5) for outline in outlines]
    return float(np.concatenate([far[1][outlines[0]], far[0][outlines[1]]]).mean())


def figures(picture: Picture, probability: Probability) -> Row:
    """What one mask is off by."""
    mask = to_mask(probability)
    true, said, known = picture.mask, probability > 0.5, mask != UNKNOWN
    box = picture.window()
    side = max(known[box].shape)
    row: Row = {
        "overlap": overlap_of(said, true),
        "outline": outline_distance(said, true) * 500 / side,
        "sure": known[box].mean(),
        "wrong": ((mask == PERSON) != true)[box][known[box]].mean(),
    }
    face = picture.keypoints[FACE]
    if (face[:, 2] > 0).mean() > 0.5:
        low, high = face[:, :2].min(0), face[:, :2].max(0)
        margin = HEAD_MARGIN * (high - low).max()
        left, top = np.maximum(low - [margin, 2 * margin], 0).astype(int)
        right, bottom = (high + margin).astype(int)
        window = np.s_[top:bottom, left:right]
        row["head_overlap"] = overlap_of(said[window], true[window])
        row["head_outline"] = outline_distance(said[window], true[window]) / max(bottom - top, right - left)
    return row


def table(pictures: list[tuple[str, Picture]]) -> list[Row]:
    """A row for every kind of people and way to make a mask."""
    masks, selfie = MediapipeMasks(), selfie_masks()
    rows = []
    for kind in dict.fromkeys(kind for kind, _ in pictures):
        own = [picture for of, picture in pictures if of == kind]
        batches, search_seconds = timed(lambda own=own: [masks.with_poses(each.batch()) for each in own], CPU)
        for name, masker in {"pose network": lambda batch: masks.probabilities(batch)[0], "selfie": selfie}.items():
            made, seconds = timed(lambda masker=masker, batches=batches: [masker(batch) for batch in batches], CPU)
            found = [figures(each, mask) for each, mask in zip(own, made, strict=True) if mask is not None]
            row: Row = {"people": kind, "mask": name, "number": len(own), "refused": 1 - len(found) / len(own)}
            for figure, mean in FIGURES.items():
                values = np.array([one[figure] for one in found if np.isfinite(one.get(figure, np.nan))])
                row[figure] = mean(values) if len(values) else None
            row["overlap_low"] = np.quantile([one["overlap"] for one in found], 0.1) if found else None
            row["search_seconds"] = None if masker is selfie else search_seconds / len(own)
            rows.append(row | {"seconds": seconds / len(own)})
    return rows


FIGURES: dict[str, Callable[[np.ndarray], float]] = {
    **dict.fromkeys(("overlap", "head_overlap", "sure", "wrong"), np.mean),
    **dict.fromkeys(("outline", "head_outline"), np.median),
}
"""How the figures of many people become one."""


def main(arguments: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--coco", type=Path)
    parser.add_argument("--photos", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    pictures = list(rendered(options.people, options.seed))
    if options.coco:
        pictures += annotated(options.coco, options.photos)
    print(markdown(table(pictures), COLUMNS))


if __name__ == "__main__":
    main()
