"""Small data sets in COCO's form: a manifest, annotations and grey photos."""

import json

from PIL import Image

WIDTH, HEIGHT = 80, 120

MANIFEST = """
id: group
version: "1"
licence: CC0
access: here
adapter: coco
root: {root}
split: val
layout: {{annotations: a.json}}
boxes: {boxes}
keypoints: {keypoints}
purpose: test
"""


def coco_image(number, file_name=None, **changes):
    """Row of an image; ``...`` takes a key away."""
    row = {"id": number, "file_name": file_name or f"{number}.jpg", "width": WIDTH, "height": HEIGHT} | changes
    return {key: value for key, value in row.items() if value is not ...}


def coco_person(number, image=1, **changes):
    """Row of a person whose 17 points are spread over the box; ``...`` takes a key away."""
    points = [v for k in range(17) for v in (20 + 2 * k, 10 + 6 * k, 2)]
    row = {"id": number, "image_id": image, "category_id": 1, "iscrowd": 0}
    row |= {"bbox": [10, 5, 60, 110], "keypoints": points} | changes
    return {key: value for key, value in row.items() if value is not ...}


def write_coco(folder, images, annotations, *, boxes="manifest", keypoints="coco", orientation=1, film_mm=None, **more):
    """Writes a data set; the photos are stored as WIDTH x HEIGHT with an EXIF orientation, and with a focal length for
    film where one is given. Returns the manifest."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    if film_mm is not None:
        exif[0x8769] = {0xA405: film_mm}
    for name in {row["file_name"] for row in images if isinstance(row, dict) and isinstance(row.get("file_name"), str)}:
        Image.new("RGB", (WIDTH, HEIGHT), "grey").save(folder / name, exif=exif)
    (folder / "a.json").write_text(json.dumps({"images": images, "annotations": annotations} | more))
    path = folder / "group.yaml"
    path.write_text(MANIFEST.format(root=folder, boxes=boxes, keypoints=keypoints))
    return path
