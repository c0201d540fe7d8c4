"""The renderer of Gaussians in figures: agreement with every Gaussian in every pixel, time, memory, animation.

    python -m benchmarks.render                                 the tables of docs/benchmarks/pixels.md: a minute
    python -m benchmarks.render --sizes 256 --counts 20000      some rows of the second table
    python -m benchmarks.render --quick                         a check of the program

Agreement is that of a random scene, in the conventions of three renderers. Time is that of a body whose upper half
fills the picture, covered with flat Gaussians of opacity 0.9: processor time of one thread unless `--threads` says
otherwise, elapsed time on CUDA; the least of some calls. Memory is the growth of the process, or what CUDA allocated,
over one call there and back. Animation is a frame of the largest case: EHM-s is posed, takes its Gaussians along, and
is drawn. A rasteriser that this machine does not have is left out, with the reason.
"""

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import fields

import torch

from benchmarks.measure import peak_growth_bytes, timed
from benchmarks.splat_scene import UpperBody, random_gaussians
from benchmarks.table import Column, Row, markdown, number, pair
from model.batches import map_tensors
from model.imaging.camera import Camera
from model.renderer.splat.conventions import EXACT, GSPLAT, KERBL, Conventions
from model.renderer.splat.draw import Drawing, Rasteriser, draw
from model.renderer.splat.gaussians import Gaussians
from model.renderer.splat.pairs import pairs_of
from model.renderer.splat.projection import project

MEASURED: tuple[Rasteriser, ...] = ("tiles", "native", "gsplat")
PUBLISHED = {"exact": EXACT, "Kerbl et al.": KERBL, "gsplat": GSPLAT}
DTYPES = {"float64": torch.float64, "float32": torch.float32}
FIELDS = tuple(field.name for field in fields(Gaussians))
RASTERISER = Column(title="rasteriser", text=lambda row: row["rasteriser"])
AGREEMENT = (
    RASTERISER,
    Column(title="conventions", text=lambda row: row["conventions"]),
    Column(title="numbers", text=lambda row: row["numbers"]),
    *(Column(title=name, text=number(name, "{:.1e}")) for name in ("colour", "alpha")),
    *(Column(title=f"d {name}", text=number(name, "{:.1e}")) for name in FIELDS),
)
SPEED = (
    RASTERISER,
    *(Column(title=name, text=number(name, "{:d}", 1)) for name in ("px", "Gaussians", "channels")),
    Column(title="pairs of 8 / 16 px", text=pair("pairs_8", "pairs_16", "{:d} / {:d}", 1)),
    Column(title="forward ms", text=number("forward", "{:.0f}", 1e3)),
    Column(title="backward ms", text=number("backward", "{:.0f}", 1e3)),
    Column(title="memory MiB", text=number("memory_bytes", "{:.0f}", 2**-20)),
)

ANIMATION = (
    RASTERISER,
    *(Column(title=name, text=number(name, "{:d}", 1)) for name in ("px", "Gaussians", "channels")),
    Column(title="posing ms", text=number("posing", "{:.1f}", 1e3)),
    Column(title="Gaussians ms", text=number("taking", "{:.1f}", 1e3)),
    Column(title="drawing ms", text=number("drawing", "{:.1f}", 1e3)),
    Column(title="total ms", text=number("total", "{:.1f}", 1e3)),
)
TABLES = {"agreement": AGREEMENT, "speed": SPEED, "animation": ANIMATION}


def leaves(gaussians: Gaussians, dtype: torch.dtype, device: torch.device) -> Gaussians:
    """The same numbers, to be differentiated by."""
    given = {name: getattr(gaussians, name).to(device, dtype, copy=True) for name in FIELDS}
    return Gaussians(**{name: tensor.requires_grad_() for name, tensor in given.items()})


def moved(camera: Camera, dtype: torch.dtype, device: torch.device, scale: float = 1.0) -> Camera:
    """A camera of another type, device and size of picture."""
    focal, principal = (scale * x.to(device, dtype) for x in (camera.focal_px, camera.principal_px))
    return Camera(focal_px=focal, principal_px=principal)


def agreement(rasterisers: Sequence[Rasteriser], device: torch.device) -> list[Row]:
    """Largest differences from the dense drawing in float64; of gradients: as shares of the largest gradient."""
    scene, camera, size_hw = random_gaussians(count=200, channels=5)
    rows = []
    for name, conventions in PUBLISHED.items():
        right = there_and_back(scene, camera, size_hw, conventions, "dense", torch.float64, torch.device("cpu"))
        for rasteriser, (numbers, dtype) in itertools.product(rasterisers, DTYPES.items()):
            if rasteriser == "gsplat" and (conventions.alpha_max, dtype) != (GSPLAT.alpha_max, torch.float32):
                continue
            got = there_and_back(scene, camera, size_hw, conventions, rasteriser, dtype, device)
            rows.append({"rasteriser": rasteriser, "conventions": name, "numbers": numbers})
            for part, value in right.items():
                scale = 1.0 if part in Drawing._fields else float(value.abs().max())
                rows[-1][part] = float((got[part].cpu() - value).abs().max()) / scale
    return rows


def there_and_back(
    gaussians: Gaussians,
    camera: Camera,
    size_hw: tuple[int, int],
    conventions: Conventions,
    rasteriser: Rasteriser,
    dtype: torch.dtype,
    device: torch.device,
) -> dict[str, torch.Tensor]:
    """Picture, alpha, and the gradients of a sum of both with random weights."""
    given = leaves(gaussians, dtype, device)
    drawing = draw(given, moved(camera, dtype, device), size_hw, conventions=conventions, rasteriser=rasteriser)
    random = torch.Generator().manual_seed(0)
    weights = [torch.randn(part.shape, generator=random, dtype=torch.float64).to(device, dtype) for part in drawing]
    torch.autograd.backward(list(drawing), weights)
    found = {**drawing._asdict(), **{name: getattr(given, name).grad for name in FIELDS}}
    return {name: value.detach() for name, value in found.items()}


def speed(rasteriser: Rasteriser, size_px: int, count: int, channels: int, repeats: int, device: torch.device) -> Row:
    """Time and memory of drawing a body, forward and backward."""
    body = UpperBody.sample()
    size_hw = (size_px, size_px)
    gaussians = leaves(body.cloud(count, channels).at(body.vertices()), torch.float32, device)
    camera = moved(body.camera, torch.float32, device, scale=size_px)
    conventions = GSPLAT if rasteriser == "gsplat" else EXACT

    def forward() -> Drawing:
        return draw(gaussians, camera, size_hw, conventions=conventions, rasteriser=rasteriser)

    forward().colour.sum().backward()  # builds what has to be built
    memory = peak_growth_bytes(lambda: forward().colour.square().sum().backward(), device)
    seconds = []
    for _ in range(repeats):
        for name in FIELDS:
            getattr(gaussians, name).grad = None
        drawing, there = timed(forward, device)
        loss = drawing.colour.square().sum()
        seconds.append((there, timed(loss.backward, device)[1]))
    projected = project(gaussians, camera, size_hw, conventions)
    return {
        **{"rasteriser": rasteriser, "px": size_px, "Gaussians": count, "channels": channels, "memory_bytes": memory},
        **{f"pairs_{tile}": len(pairs_of(projected, size_hw, tile).gaussian) for tile in (8, 16)},
        **{name: min(each[way] for each in seconds) for way, name in enumerate(("forward", "backward"))},
    }


@torch.no_grad()
def animation(
    rasteriser: Rasteriser, size_px: int, count: int, channels: int, repeats: int, device: torch.device
) -> Row:
    """Time of one frame of one person: posing EHM-s, taking the Gaussians along, drawing."""
    body = UpperBody.sample()
    cloud, ehms = body.cloud(count, channels).to(device), body.ehms.to(device)
    person = map_tensors(body.person, lambda tensor: tensor.to(device))
    camera = moved(body.camera, torch.float32, device, scale=size_px)
    conventions = GSPLAT if rasteriser == "gsplat" else EXACT
    frames = []
    for _ in range(repeats + 1):
        posed, posing = timed(lambda: ehms(person), device)
        gaussians, taking = timed(lambda vertices=posed.vertices: cloud.at(vertices), device)
        _, drawing = timed(
            lambda given=gaussians: draw(
                given, camera, (size_px, size_px), conventions=conventions, rasteriser=rasteriser
            ),
            device,
        )
        frames.append({"posing": posing, "taking": taking, "drawing": drawing, "total": posing + taking + drawing})
    fastest = min(frames[1:], key=lambda frame: frame["total"])
    return {"rasteriser": rasteriser, "px": size_px, "Gaussians": count, "channels": channels, **fastest}


def available(device: torch.device) -> tuple[list[Rasteriser], list[str]]:
    """Rasterisers that draw on a device, and why the others do not."""
    scene, camera, size_hw = random_gaussians(count=3, channels=3)
    given, place = leaves(scene, torch.float32, device), moved(camera, torch.float32, device)
    found: list[Rasteriser] = []
    reasons = []
    for rasteriser in MEASURED:
        try:
            draw(given, place, size_hw, conventions=GSPLAT, rasteriser=rasteriser)
            found.append(rasteriser)
        except (ValueError, ImportError) as error:
            reasons.append(str(error))
    return found, reasons


def main(arguments: Sequence[str] | None = None) -> dict[str, list[Row]]:
    """Measures and prints all tables; returns their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 512], metavar="PX")
    parser.add_argument("--counts", nargs="+", type=int, default=[20_000, 60_000], help="of Gaussians")
    parser.add_argument("--channels", nargs="+", type=int, default=[3, 32])
    parser.add_argument("--repeats", type=int, default=5, help="calls, of which the fastest counts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--quick", action="store_true", help="a check of the program: one small row of each")
    options = parser.parse_args(arguments)
    if options.quick:
        options.sizes, options.counts, options.channels, options.repeats = [32], [500], [3], 1
    torch.set_num_threads(options.threads)
    rasterisers, reasons = available(options.device)
    print(f"torch {torch.__version__}, {options.device}, {options.threads} thread(s)")
    for reason in reasons:
        print(f"left out: {reason}")
    largest = max(options.sizes), max(options.counts), max(options.channels)
    rows = {
        "agreement": agreement(rasterisers, options.device),
        "speed": [
            speed(rasteriser, size_px, count, channels, options.repeats, options.device)
            for size_px, count, channels in itertools.product(options.sizes, options.counts, options.channels)
            for rasteriser in rasterisers
        ],
        "animation": [animation(each, *largest, options.repeats, options.device) for each in rasterisers],
    }
    for name, columns in TABLES.items():
        print(f"\n{name}\n\n{markdown(rows[name], columns)}")
    return rows


if __name__ == "__main__":
    main()
