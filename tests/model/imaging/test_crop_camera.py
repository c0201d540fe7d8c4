"""The crop's camera and the photo's agree about where a person is and how they are turned."""

import math

import pytest
import torch
from regressor_batches import random_camera, random_parameters
from torch import Tensor

from model.body.assets import load_open_body
from model.body.keypoint_body import KeypointBody
from model.imaging import crop_camera
from model.imaging.camera import NEAR_M
from model.rotations import rotation_about_z, rotvec_to_rotmat

FOCAL_SIDES = 5000 / 256
PRINCIPAL = torch.tensor([640.0, 360.0], dtype=torch.float64)


def people(num: int, seed: int = 0) -> Tensor:
    """Keypoints (B, 133, 3) relative to the pelvis, in a camera's frame."""
    posed = KeypointBody(load_open_body())(random_parameters(num, seed))
    return (posed.keypoints - posed.joints[:, :1]).double()


def crops(num: int, seed: int = 0) -> dict[str, Tensor]:
    """Crops all over a photo of 1280 x 720 with an angle of view of 60 degrees, rolled up to 30 degrees."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(num, *shape, generator=generator, dtype=torch.float64)

    return {
        "centre_px": uniform(2) * torch.tensor([1280.0, 720.0]),
        "focal_px": torch.full((num,), 640 / math.tan(math.radians(30)), dtype=torch.float64),
        "principal_px": PRINCIPAL.expand(num, 2),
        "roll_rad": (uniform() - 0.5) * math.radians(60),
    }


def in_photo(points_m: Tensor, place: dict[str, Tensor]) -> Tensor:
    """Pixels (B, N, 2) of points (B, N, 3) in the photo's camera."""
    return place["focal_px"][:, None, None] * points_m[..., :2] / points_m[..., 2:] + place["principal_px"][:, None]


def of_crop(shown: Tensor, place: dict[str, Tensor], side_px: Tensor) -> Tensor:
    """Pixels (B, N, 2) of the photo for places in the crop (B, N, 2), sides from its centre."""
    turned = shown @ rotation_about_z(place["roll_rad"])[:, :2, :2].transpose(1, 2)
    return place["centre_px"][:, None] + side_px[:, None, None] * turned


def best_camera(points_m: Tensor, shown: Tensor) -> Tensor:
    """Cameras (B, 3) that project points (B, N, 3) next to places in the crop (B, N, 2), by linear least squares."""
    num, count = shown.shape[:2]
    rows = torch.zeros(num, count, 2, 3, dtype=torch.float64)
    rows[..., 0, 0] = rows[..., 1, 1] = FOCAL_SIDES
    rows[..., 2] = -shown
    right = shown * points_m[..., 2:] - FOCAL_SIDES * points_m[..., :2]
    shift = torch.linalg.lstsq(rows.flatten(1, 2), right.reshape(num, -1, 1)).solution[..., 0]
    return torch.cat([2 * FOCAL_SIDES / shift[:, 2:], shift[:, :2]], 1)


def test_orientation_goes_to_the_crop_and_back() -> None:
    orient = rotvec_to_rotmat(torch.randn(9, 3, dtype=torch.float64))
    place = crops(9)
    seen = crop_camera.crop_orient(orient, **place)
    torch.testing.assert_close(crop_camera.photo_orient(seen, **place), orient, rtol=0, atol=1e-12)
    assert (seen - orient).abs().amax((1, 2)).min() > 1e-3


def test_the_crop_looks_along_the_ray_through_its_centre() -> None:
    place = crops(9)
    axis = crop_camera.photo_rotation(**place)[..., 2]
    pixel = in_photo(axis[:, None], place)[:, 0]
    torch.testing.assert_close(pixel, place["centre_px"], rtol=0, atol=1e-9)


def test_a_person_in_a_rolled_crop_is_turned_against_the_roll() -> None:
    """A crop turned clockwise by 90 degrees shows the photo's right at its top."""
    place = {name: value[:1] for name, value in crops(1).items()}
    place |= {"centre_px": PRINCIPAL[None], "roll_rad": torch.full((1,), math.pi / 2, dtype=torch.float64)}
    seen = crop_camera.crop_orient(torch.eye(3, dtype=torch.float64)[None], **place)
    torch.testing.assert_close(seen[0, :, 0], torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64))


def test_in_the_middle_of_the_photo_it_is_the_translation_of_hmr2() -> None:
    place = crops(5) | {"centre_px": PRINCIPAL.expand(5, 2)}
    camera = random_camera(5, dtype=torch.float64) * torch.tensor([1.0, 0.0, 0.0])
    side = torch.linspace(100, 400, 5, dtype=torch.float64)
    found = crop_camera.photo_translation(camera, side_px=side, focal_sides=FOCAL_SIDES, **place)
    # cam_crop_to_full: tz = 2 f / (b s); the crop is in the middle and tx = ty = 0.
    depth = 2 * place["focal_px"] / (side * camera[:, 0])
    expected = torch.nn.functional.pad(depth[:, None], (2, 0))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_the_pelvis_is_seen_in_the_photo_where_the_crop_shows_it() -> None:
    place, camera = crops(12), random_camera(12, dtype=torch.float64)
    side = torch.linspace(50, 700, 12, dtype=torch.float64)
    found = crop_camera.photo_translation(camera, side_px=side, focal_sides=FOCAL_SIDES, **place)
    shown = crop_camera.project_into_crop(torch.zeros(12, 1, 3, dtype=torch.float64), camera, FOCAL_SIDES)
    torch.testing.assert_close(in_photo(found[:, None], place), of_crop(shown, place, side), rtol=0, atol=1e-8)


def test_something_flat_across_the_ray_has_the_area_in_the_photo_that_it_has_in_the_crop() -> None:
    """Wherever the crop is: the stretch along the radius and the one across it are shared out."""
    place = crops(12)
    camera = torch.tensor([[0.9, 0.0, 0.0]], dtype=torch.float64).expand(12, 3)
    side = torch.full((12,), 200.0, dtype=torch.float64)
    edges = 1e-4 * torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    points = edges.double().expand(12, 4, 3)
    found = crop_camera.photo_translation(camera, side_px=side, focal_sides=FOCAL_SIDES, **place)
    placed = points @ crop_camera.photo_rotation(**place).transpose(1, 2) + found[:, None]

    def area(corners: Tensor) -> Tensor:
        diagonals = corners[:, :2] - corners[:, 2:]
        return torch.linalg.det(diagonals)

    shown = side[:, None, None] * crop_camera.project_into_crop(points, camera, FOCAL_SIDES)
    torch.testing.assert_close(area(in_photo(placed, place)), area(shown), rtol=1e-5, atol=0)


@pytest.mark.parametrize("fitted", [False, True])
def test_a_far_body_is_seen_in_the_photo_where_the_crop_shows_it(fitted: bool) -> None:
    """A small crop is a far person: what is left is the photo's stretch towards its edges, 1 / cos of the angle."""
    place, camera, points = crops(12), random_camera(12, dtype=torch.float64), people(12)
    side = torch.full((12,), 60.0, dtype=torch.float64)
    given = {"camera": camera, "side_px": side, "focal_sides": FOCAL_SIDES, **place}
    found = crop_camera.fitted_photo_translation(points, **given) if fitted else crop_camera.photo_translation(**given)
    placed = points @ crop_camera.photo_rotation(**place).transpose(1, 2) + found[:, None]
    shown = of_crop(crop_camera.project_into_crop(points, camera, FOCAL_SIDES), place, side)
    apart_sides = (in_photo(placed, place) - shown).norm(dim=-1) / 60
    offset = (place["centre_px"] - PRINCIPAL).norm(dim=-1) / place["focal_px"]
    # Half of the stretch on either side of the mean, of half a crop, and 3 % for the depth of the body.
    allowed = 0.03 + 0.25 * ((1 + offset**2).sqrt() - 1)
    assert (apart_sides.mean(1) < allowed).all(), (apart_sides.mean(1), allowed)


def test_the_fit_finds_the_translation_of_a_crop_that_is_the_photo() -> None:
    """The crop's camera is the photo's own: nothing is approximated."""
    camera, points = random_camera(6, dtype=torch.float64), people(6)
    side, focal_sides = torch.full((6,), 512.0, dtype=torch.float64), 1.5
    place = {
        "centre_px": PRINCIPAL.expand(6, 2),
        "focal_px": focal_sides * side,
        "principal_px": PRINCIPAL.expand(6, 2),
        "roll_rad": torch.zeros(6, dtype=torch.float64),
    }
    found = crop_camera.fitted_photo_translation(points, camera, side_px=side, focal_sides=focal_sides, **place)
    torch.testing.assert_close(found, crop_camera.crop_translation(camera, focal_sides), rtol=0, atol=1e-9)


def test_the_fit_shows_a_near_body_better_than_the_pelvis_alone() -> None:
    place, camera, points = crops(16), random_camera(16, dtype=torch.float64), people(16)
    side = torch.full((16,), 600.0, dtype=torch.float64)
    given = {"camera": camera, "side_px": side, "focal_sides": FOCAL_SIDES, **place}
    shown = of_crop(crop_camera.project_into_crop(points, camera, FOCAL_SIDES), place, side)
    rotated = points @ crop_camera.photo_rotation(**place).transpose(1, 2)

    def apart(translation: Tensor) -> Tensor:
        return (in_photo(rotated + translation[:, None], place) - shown).norm(dim=-1).mean()

    pelvis, fitted = crop_camera.photo_translation(**given), crop_camera.fitted_photo_translation(points, **given)
    assert apart(fitted) < 0.9 * apart(pelvis)


def test_a_person_is_found_again_in_the_photo() -> None:
    """From the photo to the crop that shows the person best, and back: a few percent of distance remain."""
    place, points, distance_m = crops(16), people(16), 4.0
    rotation = crop_camera.photo_rotation(**place)
    truth = distance_m * rotation[..., 2]
    seen = in_photo(points @ rotation.transpose(1, 2) + truth[:, None], place)
    side = 1.2 * (seen.amax(1) - seen.amin(1)).amax(1)
    in_crop = (seen - place["centre_px"][:, None]) @ rotation_about_z(place["roll_rad"])[:, :2, :2]
    camera = best_camera(points, in_crop / side[:, None, None])
    given = {"camera": camera, "side_px": side, "focal_sides": FOCAL_SIDES, **place}
    found, closed = crop_camera.fitted_photo_translation(points, **given), crop_camera.photo_translation(**given)
    assert (found - truth).norm(dim=-1).mean() < 0.03 * distance_m
    assert (closed - truth).norm(dim=-1).mean() < 0.08 * distance_m
    again = in_photo(points @ rotation.transpose(1, 2) + found[:, None], place)
    assert ((again - seen).norm(dim=-1).mean(1) < 0.01 * side).all()


def test_distance_is_positive_smooth_and_falls_with_the_scale() -> None:
    scale = torch.linspace(-3, 3, 6001, dtype=torch.float64, requires_grad=True)
    distance = crop_camera.distance_m(scale, FOCAL_SIDES)
    (slope,) = torch.autograd.grad(distance.sum(), scale)
    assert (distance > 0).all()
    assert (slope < 0).all()
    assert slope.diff().abs().max() < 0.05 * slope.abs().max()
    plain = scale > crop_camera.MIN_SCALE
    torch.testing.assert_close(distance[plain], 2 * FOCAL_SIDES / scale[plain])


def test_scale_is_crop_sides_per_two_metres_at_the_pelvis() -> None:
    camera = torch.tensor([[0.8, 0.3, -0.2]], dtype=torch.float64)
    points = torch.tensor([[[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]]], dtype=torch.float64)
    shown = crop_camera.project_into_crop(points, camera, 12.0)
    torch.testing.assert_close(shown[0, 0], camera[0, 1:] * 0.8 / 2)
    torch.testing.assert_close(shown[0, 1] - shown[0, 0], torch.tensor([0.5 * 0.8 / 2, 0.0], dtype=torch.float64))


def test_points_behind_the_camera_stay_finite() -> None:
    camera = torch.tensor([[1000.0, 0.0, 0.0]], requires_grad=True)
    shown = crop_camera.project_into_crop(torch.tensor([[[0.1, 0.2, -1.0]]]), camera, FOCAL_SIDES)
    shown.sum().backward()
    assert shown.isfinite().all()
    assert camera.grad is not None
    assert camera.grad.isfinite().all()


def test_gradient_of_the_projection() -> None:
    camera = random_camera(2, dtype=torch.float64).requires_grad_()
    points = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p, c: crop_camera.project_into_crop(p, c, FOCAL_SIDES), (points, camera))


def test_only_the_points_that_decide_place_somebody() -> None:
    place, camera, points = crops(8), random_camera(8, dtype=torch.float64), people(8)
    given = {"camera": camera, "side_px": torch.full((8,), 600.0, dtype=torch.float64), **place}
    given["focal_sides"] = FOCAL_SIDES
    deciding = torch.arange(points.shape[1]).expand(8, -1) < 9
    found = crop_camera.fitted_photo_translation(points, **given, deciding=deciding)
    torch.testing.assert_close(found, crop_camera.fitted_photo_translation(points[:, :9], **given))
    moved = torch.where(deciding[..., None], points, points + 0.5)
    torch.testing.assert_close(crop_camera.fitted_photo_translation(moved, **given, deciding=deciding), found)
    everybody = crop_camera.fitted_photo_translation(points, **given)
    assert not torch.allclose(found, everybody)
    too_few = torch.arange(points.shape[1]).expand(8, -1) < 3
    torch.testing.assert_close(crop_camera.fitted_photo_translation(points, **given, deciding=too_few), everybody)


def test_somebody_whom_no_fit_puts_before_the_camera_is_placed_by_the_pelvis() -> None:
    """A crop that shows a body far larger than the photo could: the best fit would be behind the camera."""
    place, points = crops(200), people(200)
    camera = random_camera(200, dtype=torch.float64)
    camera[:, 0] = 6.0
    given = {"camera": camera, "side_px": torch.full((200,), 1300.0, dtype=torch.float64), **place}
    given["focal_sides"] = FOCAL_SIDES
    found = crop_camera.fitted_photo_translation(points, **given)
    assert (found[:, 2] > NEAR_M).all()
    assert (found == crop_camera.photo_translation(**given)).all(-1).any()


def test_the_view_ray_rotation_is_the_smallest_that_points_at_the_crop() -> None:
    drawn = torch.randn(50, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    centre, focal, principal = drawn[:, :2] * 600, drawn[:, 2].abs() * 800 + 300, drawn[:, 3:] * 50
    rotation = crop_camera.view_ray_rotation(centre, focal, principal)
    ray = torch.cat([(centre - principal) / focal[:, None], torch.ones(50, 1).double()], 1)
    ray = ray / ray.norm(dim=1, keepdim=True)
    assert torch.allclose(rotation[..., 2], ray)
    assert torch.allclose(rotation @ rotation.transpose(1, 2), torch.eye(3).double().expand(50, 3, 3), atol=1e-12)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(50).double())
    cosine = (rotation.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    assert torch.allclose(cosine, ray[:, 2])
    assert torch.equal(crop_camera.view_ray_rotation(principal, focal, principal)[0], torch.eye(3).double())


def test_a_crop_at_the_edge_of_a_photo_looks_as_turned_by_the_view_ray() -> None:
    """A weak camera explains the perspective picture of a body best with the orientation relative to the ray."""
    points, focal = 0.1 * torch.randn(400, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64), 1536.0
    principal = torch.tensor([640.0, 480.0]).double()

    def photo_pixels(points_m: torch.Tensor) -> torch.Tensor:
        return focal * points_m[:, :2] / points_m[:, 2:] + principal

    orient = rotvec_to_rotmat(torch.randn(3, generator=torch.Generator().manual_seed(5), dtype=torch.float64))
    place = torch.tensor([0.9, 0.5, 2.4]).double()
    shown = photo_pixels(points @ orient.T + place)
    centre = photo_pixels(place[None])[0]
    ray = crop_camera.view_ray_rotation(centre, torch.tensor(focal).double(), principal)

    def misfit(rotation: torch.Tensor) -> float:
        """Mean error, px, of the best scale and shift."""
        flat = (points @ rotation.T)[:, :2]
        flat, seen = flat - flat.mean(0), shown - shown.mean(0)
        scale = (flat * seen).sum() / flat.square().sum()
        return float((scale * flat - seen).norm(dim=1).mean())

    assert misfit(ray.T @ orient) < 0.3 * misfit(orient)
