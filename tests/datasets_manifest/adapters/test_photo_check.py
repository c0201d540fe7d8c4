"""First photos that contradict what is said of them: another size, another turn, another camera, a lens."""

import io
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from datasets_manifest.adapters.base import CalibratedLens, ImageRecord, LeftOut, PersonRecord, Place
from datasets_manifest.adapters.photo_check import with_photos_checked
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.truth_3d import Truth3d
from datasets_manifest.sources.images import ImageError
from model.imaging.lenses import Lens

FOCAL, CENTRE, SIZE = 1000.0, (960.0, 540.0), (1920, 1080)


def photo(width, height, turn=1):
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = turn
    Image.new("RGB", (width, height)).save(file, "JPEG", exif=exif)
    return file.getvalue()


class Photos(dict):
    def read(self, path):
        if path not in self:
            raise ImageError(ErrorCode.IMAGE_MISSING, "it is not there")
        return self[path]


def checked(records, photos=None):
    entries = [LeftOut("crowds", 1), *records]
    assert list(with_photos_checked(entries, Photos(photos or {}), "data set x")) == entries


def annotated(number=0, points=((10.0, 10.0),), **said):
    keypoints = np.zeros((133, 3), np.float32)
    keypoints[: len(points)] = [[*point, 1] for point in points]
    return ImageRecord(
        image_id=str(number), path=f"{number}.jpg", people=(PersonRecord(index=0, keypoints=keypoints),), **said
    )


@pytest.mark.parametrize("turn", [5, 6, 7, 8])
def test_photos_that_lie_on_their_side_and_were_annotated_so_stop_the_run(turn):
    stored = {f"{k}.jpg": photo(40, 30, turn) for k in range(5)}
    with pytest.raises(ValueError, match=r"5 of the first 5 photos were annotated as they are stored.*drop the tag"):
        checked([annotated(k, width=40, height=30) for k in range(5)], stored)
    with pytest.raises(ValueError, match="were annotated as they are stored"):
        checked([annotated(k, points=[(38.0, 20.0)]) for k in range(5)], stored)
    checked([annotated(k, width=30, height=40) for k in range(5)], stored)
    checked([annotated(k, points=[(20.0, 38.0)]) for k in range(5)], stored)
    # One of many is a row that fails.
    checked([annotated(k, width=40 if not k else 30, height=30 if not k else 40) for k in range(5)], stored)
    # So is each of a few.
    checked([annotated(k, width=40, height=30) for k in range(3)], stored)


@pytest.mark.parametrize("turn", [2, 3, 4])
def test_a_turn_that_keeps_the_sides_cannot_be_told(turn):
    checked([annotated(0, width=40, height=30)], {"0.jpg": photo(40, 30, turn)})


def test_resized_photos_stop_the_run():
    stored = {f"{k}.jpg": photo(20, 15) for k in range(4)} | {"4.jpg": photo(40, 30)}
    with pytest.raises(ValueError, match=r"4 of the first 5 photos .* another size.*20 x 15 px, 40 x 30 are stated"):
        checked([annotated(k, width=40, height=30) for k in range(6)], stored)


@pytest.mark.parametrize(
    ("principal", "is_refused"),
    [((40.0, 30.0), True), ((10.0, 7.5), True), ((20.0, 15.0), False), ((20.0, 30.0), False), ((27.0, 19.0), False)],
)
def test_cameras_of_photos_of_another_size_stop_the_run(principal, is_refused):
    records = [annotated(k, focal_px=50.0, principal_px=principal) for k in range(4)]
    stored = {f"{k}.jpg": photo(40, 30) for k in range(4)}
    refusal = pytest.raises(ValueError, match="have a camera that is of photos of another size")
    with refusal if is_refused else nullcontext():
        checked(records, stored)


def test_photos_of_which_nothing_is_said_or_that_are_not_there_are_not_looked_at():
    checked(
        [ImageRecord(image_id="0", path="0.jpg", width=9, height=9), annotated(1, width=9, height=9)], {"0.jpg": b""}
    )
    checked([annotated(0, width=40, height=30)], {"0.jpg": b"broken"})
    checked([])


def known(bent_by=None, *, people=8, noise_px=0.0, scale=1.0, seed=0, world=False, **changed):
    """People who stand all over a photo of a camera, whose points a lens moves."""
    rng = np.random.default_rng(seed)
    bent_by = bent_by or Lens(focal_px=(FOCAL, FOCAL), principal_px=CENTRE)
    records = []
    for number in range(people):
        middle = rng.uniform([-2.4, -1.0, 3.0], [2.4, 1.0, 4.0])
        places = middle + rng.normal(0, [0.25, 0.5, 0.2], (17, 3))
        shown = bent_by.to_pixels(torch.from_numpy(places[:, :2] / places[:, 2:])).numpy() * scale
        points, truth = np.zeros((133, 3), np.float32), np.zeros((133, 4), np.float32)
        points[:17], truth[:17] = (
            np.c_[shown + rng.normal(0, noise_px, (17, 2)), np.ones(17)],
            np.c_[places, np.ones(17)],
        )
        place = None
        if world:
            turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
            move = np.concatenate([turn, [[1.0], [2.0], [3.0]]], 1)
            truth[:17, :3] = (places - move[:, 3]) @ turn
            place = Place(group="g", frame=number, time_s=0.0, world_to_camera=move)
        person = PersonRecord(
            index=0, keypoints=points, truth_3d=Truth3d(frame="world" if world else "camera", keypoints_m=truth)
        )
        said = {"focal_px": FOCAL, "principal_px": CENTRE, "place": place} | changed
        records.append(ImageRecord(image_id=str(number), path=f"{number}.jpg", people=(person,), **said))
    return records


LENSES = {
    "barrel": Lens(focal_px=(FOCAL, FOCAL), principal_px=CENTRE, coefficients=(-0.28, 0.09, 0, 0, 0)),
    "cushion": Lens(focal_px=(FOCAL, FOCAL), principal_px=CENTRE, coefficients=(0.1, 0, 0, 0, 0)),
    "fisheye": Lens(focal_px=(FOCAL, FOCAL), principal_px=CENTRE, coefficients=(0.0,) * 4, model="fisheye"),
}


@pytest.mark.parametrize("world", [False, True])
@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
def test_a_lens_that_distorts_and_is_taken_for_a_pinhole_stops_the_run(lens, world):
    with pytest.raises(ValueError, match=r"a lens that distorts.*stated as a pinhole"):
        checked(known(lens, noise_px=3.0, world=world))
    stated = CalibratedLens(model=lens.model, coefficients=lens.coefficients, focal_xy_px=lens.focal_px)
    checked(known(lens, noise_px=3.0, world=world, lens=stated))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise_px", [0.0, 5.0, 40.0])
def test_pinholes_are_told_from_noise(noise_px, seed):
    checked(known(noise_px=noise_px, seed=seed))
    checked(known(noise_px=noise_px, seed=seed, focal_px=1.1 * FOCAL))
    checked(known(Lens(focal_px=(FOCAL, FOCAL), principal_px=CENTRE, coefficients=(-0.003, 0, 0, 0)), seed=seed))


@pytest.mark.parametrize("scale", [0.5, 2.0, 1 / 3])
def test_a_camera_of_larger_photos_than_the_points_stops_the_run(scale):
    centre = (CENTRE[0] * scale, CENTRE[1] * scale)
    with pytest.raises(ValueError, match=rf"{1 / scale:.3g} times as large.*photos of another size"):
        checked(known(scale=scale, noise_px=2.0, principal_px=centre))


def test_few_people_or_such_without_a_place_say_nothing():
    checked(known(LENSES["fisheye"], people=3))
    checked(known(LENSES["fisheye"], focal_px=None))
    for record in known(LENSES["fisheye"]):
        truth = record.people[0].truth_3d
        other = SimpleNamespace(keypoints_m=truth.keypoints_m, root_relative=True, points_turned=True, frame="camera")
        object.__setattr__(record.people[0], "truth_3d", other)
    checked([record])
