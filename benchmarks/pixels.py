"""Keypoints and pixels against keypoints alone, on the same rendered people: what pixels gain, part by part.

    python -m benchmarks.pixels                  128 people a row, some twenty minutes on two cores

Each row is a set of people fitted to their keypoints, and then refined by pixels; differences are paired, person by
person, with their standard error. The settings were chosen on people of another seed.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from benchmarks.pixel_errors import errors_of
from benchmarks.pixel_people import EXACT, FRAMINGS, OFF, Trial, at_truth, close_ups, make_trial, open_ehm, open_sparse
from benchmarks.pixel_renderers import in_true_colours, learn_renderer, without_shape
from benchmarks.pixel_shift import before_a_photo, mask_overlap, with_estimated_masks
from benchmarks.table import Column, Row, markdown, number
from fitting.part_pictures import part_boxes, part_pictures
from fitting.picture_parts import PicturePart, picture_parts
from fitting.picture_term import PictureTerm
from fitting.pixel_settings import PixelConfig
from fitting.refine_pixels import PixelResult, PixelStatus, explained_best, refine_pixels
from model.batches import cat_rows
from model.renderer.people import Appearance
from model.renderer.splat.draw import fastest
from model.renderer.texture.renderer import TextureRenderer

SEED = 71
"""Of the people that are reported; the settings were chosen on those of seed 3."""
LEARNT = 300
"""People that the renderer is learnt from."""
DRIFTING = 32
"""Faces that start where they truly are."""
DRIFT = "true faces, true colours, pixels alone"
"""Name of the rows of `drift`."""
_FAIR = 130.0
"""Mean of a skin's colour, 0..255, that parts people in two."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One row of people."""

    name: str
    """What is special about them."""
    framing: str
    """What their photos show."""
    count: int
    """How many."""
    change: Callable[[Trial], Trial] = lambda trial: trial
    """What is done to them before pixels are looked at."""
    bias: float = 0.0
    """Offset of each keypoint in everybody, as a share of the box."""
    hinge_deg: float | None = None
    """How far their fingers are off along hinges, in place of all axes."""
    size_px: int = 256
    """Sides of their photos."""
    masks: Literal["exact", "none", "estimated"] = "exact"
    """What is known of which pixels are the person; estimated: as annotation does."""
    is_shifted: bool = False
    """Whether they are lit from elsewhere, before a photo."""
    has_true_colours: bool = False
    """Whether each is drawn in colours of their own: what no texture could do better."""
    keep: Callable[[Appearance], bool] | None = None
    """Looks of the people."""
    learnt_from: Callable[[Appearance], bool] | None = None
    """Looks of those that the renderer is learnt from."""


def _is_fair(look: Appearance) -> bool:
    return float(look.skin.mean()) > _FAIR


def _is_dark(look: Appearance) -> bool:
    return not _is_fair(look)


def _of_somebody_else(trial: Trial) -> Trial:
    return replace(trial, photos=[*trial.photos[1:], trial.photos[0]], masks=[*trial.masks[1:], trial.masks[0]])


def _hardly_keypoints(trial: Trial) -> Trial:
    """Keypoints that count for next to nothing from here on."""
    people = trial.problem.people
    return replace(trial, problem=replace(trial.problem, people=replace(people, precision=people.precision * 0.05)))


def arms(count: int) -> list[Arm]:
    """All rows, of so many people each at most."""
    fewer = max(2, count // 2)
    bias = OFF["face"].keypoints / 2
    return [
        Arm(name="faces", framing="face", count=count),
        Arm(name="hands", framing="left_hand", count=count),
        Arm(name="hands off by 13 degrees along hinges", framing="left_hand", count=count, hinge_deg=13.0),
        Arm(name="hands in their true colours", framing="left_hand", count=fewer, has_true_colours=True),
        Arm(name="faces, landmarks with a bias too", framing="face", count=count, bias=bias),
        Arm(name="faces in photos of 96 px", framing="face", count=count, size_px=96),
        Arm(name="faces without masks", framing="face", count=count, masks="none"),
        Arm(
            name="faces of dark skin without masks, learnt from fair skin",
            framing="face",
            count=fewer,
            masks="none",
            keep=_is_dark,
            learnt_from=_is_fair,
        ),
        Arm(
            name="faces of dark skin before photos, lit from elsewhere, masks estimated, learnt from fair skin",
            framing="face",
            count=fewer,
            masks="estimated",
            is_shifted=True,
            keep=_is_dark,
            learnt_from=_is_fair,
        ),
        Arm(name="faces, pixels alone from there", framing="face", count=fewer, change=_hardly_keypoints),
        Arm(name="faces, the photo of somebody else", framing="face", count=fewer, change=_of_somebody_else),
    ]


def part_of(trial: Trial, renderer: TextureRenderer, config: PixelConfig) -> PicturePart:
    """The part that the photos show."""
    return picture_parts(open_sparse(), open_ehm(), renderer, config)[FRAMINGS[trial.framing]]


def refined(trial: Trial, part: PicturePart, config: PixelConfig) -> PixelResult:
    """The people refined by the pixels of a part."""
    rasteriser = fastest(torch.device("cpu"))
    return refine_pixels(trial.problem, trial.solution, trial.photos, trial.masks, [part], config, rasteriser)


def measured(arm: Arm, renderer: TextureRenderer, config: PixelConfig, seed: int) -> list[Row]:
    """Rows of the table, one an error."""
    shift = before_a_photo if arm.is_shifted else None
    people = close_ups(arm.framing, arm.count, seed=seed, keep=arm.keep, shift=shift, size_px=arm.size_px)
    off = replace(OFF[arm.framing], bias=arm.bias, hinge_deg=arm.hinge_deg)
    trial = make_trial(people, arm.framing, seed=seed, off=off)
    if arm.masks == "none":
        trial = replace(trial, masks=[None] * arm.count)
    if arm.masks == "estimated":
        exact, trial = trial.masks, with_estimated_masks(trial, people)
        found = [mask_overlap(mine, its) for mine, its in zip(trial.masks, exact, strict=True) if mine is not None]
        print(f"{arm.name}: {len(found)} have a mask, overlap with the true ones {np.mean(found):.2f}")
    trial = arm.change(trial)
    before = errors_of(trial, trial.solution.state)
    start = time.process_time()
    if arm.has_true_colours:
        looks = enumerate(in_true_colours(people, seed, renderer))
        alone = ((trial.take_rows(torch.tensor([row])), part_of(trial, own, config)) for row, own in looks)
        result = cat_rows([refined(one, part, config) for one, part in alone])
    else:
        result = refined(trial, part_of(trial, renderer, config), config)
    seconds = (time.process_time() - start) / arm.count
    after = errors_of(trial, result.solution.state)
    changed = (result.status[:, FRAMINGS[arm.framing]] == PixelStatus.CHANGED).double().mean()
    print(f"{arm.name}: {arm.count} people, {changed:.0%} changed, {seconds:.2f} CPU seconds each", flush=True)
    return [paired_row(arm.name, name, before[name], after[name]) for name in before]


def paired_row(people: str, error: str, before: Tensor, after: Tensor) -> Row:
    """Errors of the same people (N,) by keypoints and by pixels too, and their difference with its standard error."""
    gain = (after - before).double()
    se = float(gain.std() / len(gain) ** 0.5)
    return {
        "people": people,
        "error": error,
        "count": len(gain),
        "before": float(before.mean()),
        "after": float(after.mean()),
        "difference": float(gain.mean()),
        "se": se,
        "in_se": float(gain.mean()) / se if se else 0.0,
        "better": float((gain < 0).double().mean()),
    }


def drift(count: int, renderer: TextureRenderer, config: PixelConfig, seed: int) -> list[Row]:
    """How far pixels alone, with the true colours, move faces that are where they truly are; none is kept back."""
    people = close_ups("face", count, seed=seed)
    trial = at_truth(make_trial(people, "face", seed=seed, off=EXACT))
    config = replace(config, head=replace(config.head, size_px=192))
    rasteriser = fastest(torch.device("cpu"))
    states = []
    with torch.inference_mode():
        for row, own in enumerate(in_true_colours(people, seed, renderer)):
            part, one = without_shape(part_of(trial, own, config)), trial.take_rows(torch.tensor([row]))
            problem, start = replace(one.problem, model=part.body), one.solution.state
            camera, everyone = problem.people.camera, torch.ones(1, dtype=torch.bool)
            pictures = part_pictures(part, part_boxes(part, start, camera), camera, one.photos, one.masks)
            term = PictureTerm.settled(part, pictures, start, rasteriser)[0]
            states.append(explained_best(problem, term, start, everyone, config))
    before, after = errors_of(trial, trial.solution.state), errors_of(trial, cat_rows(states))
    return [paired_row(DRIFT, name, before[name], after[name]) for name in before]


COLUMNS = (
    Column(title="people", text=lambda row: row["people"]),
    Column(title="number", text=number("count", "{:d}", 1)),
    Column(title="error", text=lambda row: row["error"]),
    Column(title="keypoints", text=number("before", "{:.3g}")),
    Column(title="and pixels", text=number("after", "{:.3g}")),
    Column(title="difference", text=number("difference", "{:+.3g}")),
    Column(title="standard error", text=number("se", "{:.2g}")),
    Column(title="in standard errors", text=number("in_se", "{:+.1f}")),
    Column(title="better %", text=number("better", "{:.0f}", 100)),
)


def main(arguments: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=128, help="people of a row")
    parser.add_argument("--learnt", type=int, default=LEARNT, help="people that the renderer is learnt from")
    parser.add_argument("--seed", type=int, default=SEED, help="of the people")
    parser.add_argument("--only", help="only the rows whose name begins like this")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    config = PixelConfig()
    directions = min(config.num_directions, options.learnt - 1)
    renderer, rows = learn_renderer(options.learnt, directions), []
    chosen = [arm for arm in arms(options.people) if arm.name.startswith(options.only or "")]
    for arm in chosen:
        own = renderer
        if arm.learnt_from is not None:
            own = learn_renderer(options.learnt, directions, arm.learnt_from)
        rows += measured(arm, own, config, options.seed)
    if DRIFT.startswith(options.only or ""):
        rows += drift(min(DRIFTING, options.people), renderer, config, options.seed)
    print(markdown(rows, COLUMNS))


if __name__ == "__main__":
    main()
