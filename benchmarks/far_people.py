"""The refinement by the size of people in the photo and by the focal length: small people are far ones.

    python -m benchmarks.far_people                  the table of docs/benchmarks/fitting.md, a minute on one core

People are synthetic, with valid coarse estimates that state no position. A photo's focal length is the one assumed for
photos that state none; the last rows are those of long lenses.
"""

import argparse

import torch

from benchmarks.synthetic_people import StudyConfig, make_people
from benchmarks.table import Column, Row, markdown, number
from fitting.refine import refine
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body
from model.estimators.base import default_camera

PHOTOS = ((640, 300), (1920, 100), (1920, 600), (4000, 100), (6000, 100), (6000, 200), (8000, 100), (8000, 200))
"""Longer side of a photo and height of its people, px."""
LENSES = ((500, 60), (500, 400), (35000, 60), (35000, 300), (35000, 800), (100000, 60), (100000, 600))
"""Focal length and height of the people, px; UBody's cameras have some 35000."""
COLUMNS = (
    Column(title="photo, px", text=number("side_px", "{:d}", 1)),
    Column(title="focal length, px", text=number("focal_px", "{:.0f}")),
    Column(title="people, px", text=number("height_px", "{:d}", 1)),
    Column(title="depth m", text=number("depth_m")),
    Column(title="body valid %", text=number("body", "{:.1f}", 100)),
    Column(title="hands valid %", text=number("hands", "{:.1f}", 100)),
    Column(title="face valid %", text=number("face", "{:.1f}", 100)),
    Column(title="body error, px at 512", text=number("error_px", "{:.2f}")),
)


def far_people(body: SparseBody, focal_px: float, height_px: float, count: int, seed: int) -> Row:
    """What becomes of people of one height in photos of one focal length."""
    people = make_people(
        body, count, seed, StudyConfig(noise_px=(2.0, 2.0), height_px=(height_px, height_px), focal_px=focal_px)
    )
    result = refine(body, people.observations, people.coarse, people.camera)
    valid = result.part_valid.double().mean(0)
    error = (result.keypoints_px - people.clean_px).norm(dim=-1)[:, :23] * (512 / height_px)
    return {
        "focal_px": focal_px,
        "height_px": int(height_px),
        "depth_m": people.truth.position[:, 2].exp().median().item(),
        "body": valid[0].item(),
        "hands": valid[1:3].mean().item(),
        "face": valid[3].item(),
        "error_px": error.median().item(),
    }


def main(arguments: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=256, help="people of each row")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    body = SparseBody.from_assets(load_open_body())
    rows = [
        {"side_px": side} | far_people(body, default_camera(side, side)[0], height, options.people, options.seed)
        for side, height in PHOTOS
    ]
    rows += [far_people(body, focal, height, options.people, options.seed) for focal, height in LENSES]
    print(markdown(rows, COLUMNS))


if __name__ == "__main__":
    main()
