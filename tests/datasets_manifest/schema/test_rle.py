"""Masks as COCO writes them: against pixels by hand, pycocotools where it is there, and laws."""

import numpy as np
import pyarrow as pa
import pytest

from datasets_manifest.schema.columns import Columns, table_from_columns
from datasets_manifest.schema.rle import Rle, mask_column

SIZE = (6, 8)
SQUARE = np.array([[1.0, 1.0], [5.0, 1.0], [5.0, 4.0], [1.0, 4.0]])
RIGHT, DOWN = np.array([1.0, 0.0]), np.array([0.0, 1.0])


def pixels(*rows: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in row] for row in rows])


def inside(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """By the crossings of a ray from the middle of every pixel."""
    y, x = np.indices(size) + 0.5
    found = np.zeros(size, bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        if x0 != x1:
            found ^= ((x0 > x) != (x1 > x)) & (y < y0 + (x - x0) / (x1 - x0) * (y1 - y0))
    return found


def test_a_mask_comes_back():
    rng = np.random.default_rng(0)
    for _ in range(100):
        mask = rng.random(rng.integers(1, 40, 2)) < rng.choice([0.0, 0.1, 0.5, 0.9, 1.0])
        rle = Rle.of_mask(mask)
        np.testing.assert_array_equal(rle.mask(), mask)
        assert rle.area == mask.sum()
        assert Rle.of_runs(rle.runs, rle.size) == rle


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        (["..", ".."], b"4"),  # Letters as pycocotools writes them.
        (["##", "##"], b"04"),
        ([".#", "##"], b"13"),
        (["#.", ".."], b"013"),
        ([".#.#"] * 9, b"9990"),
        (["." * 40, "#" * 40], b"111" + b"0" * 77),
    ],
)
def test_masks_are_packed_as_coco_packs_them(rows, counts):
    mask = pixels(*rows)
    assert Rle.of_mask(mask).counts == counts
    np.testing.assert_array_equal(Rle(mask.shape, counts).mask(), mask)


def test_long_runs_have_several_letters():
    rle = Rle.of_runs([1000, 15, 16, 5, 100000 - 1036], (1000, 100))
    assert rle.runs.tolist() == [1000, 15, 16, 5, 98964]
    assert rle.counts == b"Xo0?`0FTdP3"


@pytest.mark.parametrize(
    ("polygons", "rows"),
    [
        ([SQUARE], ["........", ".####...", ".####...", ".####...", "........", "........"]),
        ([SQUARE[::-1]], ["........", ".####...", ".####...", ".####...", "........", "........"]),
        ([SQUARE + 0.5], ["........", ".####...", ".####...", ".####...", "........", "........"]),
        ([SQUARE + 0.51], ["........", "........", "..####..", "..####..", "..####..", "........"]),
        ([SQUARE - 3], ["##......"] + ["........"] * 5),
        ([SQUARE + 4 * DOWN], ["........"] * 5 + [".####..."]),
        ([SQUARE * 1e8 - 1e8], ["########"] * 6),
        ([SQUARE + 100, SQUARE - 100], ["........"] * 6),
        ([SQUARE, SQUARE + 2 * RIGHT + DOWN], ["........", ".####...", ".######.", ".######.", "...####.", "........"]),
        ([SQUARE, SQUARE[:2] + 4 * RIGHT, SQUARE[:1], SQUARE[:0]], ["........"] + [".####..."] * 3 + ["........"] * 2),
        ([], ["........"] * 6),
    ],
    ids=["square", "backwards", "half", "more", "corner", "below", "huge", "out", "two", "degenerate", "none"],
)
def test_polygons_are_the_pixels_whose_middles_they_hold(polygons, rows):
    np.testing.assert_array_equal(Rle.of_polygons(polygons, SIZE).mask(), pixels(*rows))


def test_what_a_polygon_goes_around_twice_is_a_hole():
    outer, inner = (
        np.array([[0, 0], [8, 0], [8, 6], [0, 6], [0, 0]]),
        np.array([[2, 2], [6, 2], [6, 4], [2, 4], [2, 2]]),
    )
    found = Rle.of_polygons([np.concatenate([outer, inner])], SIZE).mask()
    np.testing.assert_array_equal(found, pixels("#" * 8, "#" * 8, "##....##", "##....##", "#" * 8, "#" * 8))


BESIDE = np.array([0.013, 0.029])
"""Moves outlines off the middles of pixels, where either side is right."""


def polygons(number):
    """Random ones that cross themselves, some corners of which lie outside, on each other or on the lines of pixels."""
    rng = np.random.default_rng(1)
    for _ in range(number):
        yield np.round(rng.uniform(-10, 25, (rng.integers(3, 9), 2)), rng.integers(0, 3)) + BESIDE


@pytest.mark.parametrize("polygon", polygons(40))
def test_any_polygon_is_what_rays_say(polygon):
    np.testing.assert_array_equal(Rle.of_polygons([polygon], (14, 17)).mask(), inside(polygon, (14, 17)))


@pytest.mark.parametrize("polygon", polygons(20))
def test_a_turned_flipped_or_cut_photo_has_the_mask_turned_flipped_or_cut(polygon):
    height, width = 14, 17
    mask = Rle.of_polygons([polygon], (height, width)).mask()
    x, y = polygon.T
    turned = Rle.of_polygons([np.stack([height - y, x], 1)], (width, height)).mask()
    np.testing.assert_array_equal(turned, np.rot90(mask, -1))
    np.testing.assert_array_equal(Rle.of_polygons([np.stack([width - x, y], 1)], (height, width)).mask(), mask[:, ::-1])
    np.testing.assert_array_equal(Rle.of_polygons([polygon - [3, 2]], (6, 7)).mask(), mask[2:8, 3:10])


@pytest.mark.parametrize("counts", [b"", b"\x00", b"z" * 20, b"T", b"5", b"\xff", b"PPPPPPPPPPPP0", b"o4"])
def test_what_is_no_mask_is_refused(counts):
    with pytest.raises(ValueError, match="the counts of"):
        Rle((2, 2), counts).mask()


@pytest.mark.parametrize(
    "runs", [[5], [2, -1, 3], [1.0, 3.0], [[4]], ["4"], [], [1 << 63, 1 << 63, 4], [*[1 << 62] * 4, 4]]
)
def test_runs_that_are_of_no_mask_are_refused(runs):
    with pytest.raises(ValueError, match="runs of a mask"):
        Rle.of_runs(runs, (2, 2))


@pytest.mark.parametrize("polygon", [np.array([[np.nan, 0], [1, 1], [2, 0]]), np.zeros(6), np.full((3, 2), np.inf)])
def test_a_polygon_that_is_none_is_refused(polygon):
    with pytest.raises(ValueError, match="finite numbers"):
        Rle.of_polygons([polygon], SIZE)


def test_a_polygon_that_would_fill_the_memory_is_refused():
    zigzag = np.tile([[0.0, 0.0], [10_000.0, 1.0]], (3000, 1))
    with pytest.raises(ValueError, match="too often"):
        Rle.of_polygons([zigzag], (10, 10_000))


@pytest.mark.parametrize("size", [(10**6, 10**6), (0, 4), (-2, -2)])
def test_a_size_that_no_photo_has_is_refused(size):
    with pytest.raises(ValueError, match="must have up to"):
        Rle(size, b"4").mask()
    with pytest.raises(ValueError, match="must have up to"):
        Rle.of_runs([size[0] * size[1]], size)


def test_a_column_of_masks_comes_back():
    rle = Rle.of_polygons([SQUARE], SIZE)
    table = table_from_columns({"mask": [rle.value, None]}, pa.schema([mask_column()]))
    assert [Rle.of_value(row["mask"]) for row in table.to_pylist()] == [rle, None]
    assert Columns(table).has("mask").tolist() == [True, False]


def test_pycocotools_reads_and_writes_the_same_masks():
    mask = pytest.importorskip("pycocotools.mask", reason="the oracle pycocotools is not installed")
    rng = np.random.default_rng(0)
    for _ in range(50):
        size = tuple(rng.integers(1, 60, 2).tolist())
        pixel = rng.random(size) < rng.random()
        theirs = mask.encode(np.asfortranarray(pixel.astype(np.uint8)))
        assert Rle.of_mask(pixel).value == {"size": list(theirs["size"]), "counts": theirs["counts"]}
        np.testing.assert_array_equal(mask.decode(Rle.of_mask(pixel).value), pixel)
    # Its polygons are drawn on five times as many pixels and thinned: the outline differs by some pixels.
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    polygon = 50 + 30 * np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(0, 2, (40, 2))
    theirs = mask.decode(mask.frPyObjects([polygon.ravel().tolist()], 100, 120))[..., 0].astype(bool)
    ours = Rle.of_polygons([polygon], (100, 120)).mask()
    assert (ours & theirs).sum() > 0.98 * (ours | theirs).sum()
