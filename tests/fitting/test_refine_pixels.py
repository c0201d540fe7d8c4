"""Refinement by pixels: what it gains on people whose truth is known, what it leaves alone, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.pixel_errors import errors_of
from benchmarks.pixel_people import EXACT, Trial, at_truth, close_ups, make_trial, open_ehm, open_sparse
from benchmarks.pixel_renderers import learn_renderer, true_looks, without_shape
from fitting.picture_parts import PicturePart, picture_parts
from fitting.pixel_settings import PixelConfig
from fitting.refine_pixels import PixelResult, PixelStatus, refine_pixels
from model.batches import tensors_of
from model.renderer.splat.draw import fastest
from model.renderer.texture.renderer import TextureRenderer

SEED, PEOPLE = 40, 4
CONFIG = PixelConfig(iterations=4)
HEAD = 2


@pytest.fixture(scope="module")
def renderer() -> TextureRenderer:
    return learn_renderer(40, 12, spacing_m=0.015)


@pytest.fixture(scope="module")
def trial() -> Trial:
    return make_trial(close_ups("face", PEOPLE, seed=SEED), "face", seed=1)


@pytest.fixture(scope="module")
def head(renderer: TextureRenderer) -> PicturePart:
    return picture_parts(open_sparse(), open_ehm(), renderer, CONFIG)[HEAD]


def refined(trial: Trial, head: PicturePart, config: PixelConfig = CONFIG) -> PixelResult:
    return refine_pixels(
        trial.problem, trial.solution, trial.photos, trial.masks, [head], config, fastest(torch.device("cpu"))
    )


def some(trial: Trial, *rows: int) -> Trial:
    return trial.take_rows(torch.tensor(rows))


@pytest.fixture(scope="module")
def found(trial: Trial, head: PicturePart) -> PixelResult:
    return refined(trial, head)


def test_faces_come_nearer_to_the_truth_than_keypoints_alone_bring_them(trial: Trial, found: PixelResult) -> None:
    """Lips too, which colours taken from the picture at a wrong pose would make worse."""
    before, after = (errors_of(trial, state) for state in (trial.solution.state, found.solution.state))
    assert (found.status[:, HEAD] == PixelStatus.CHANGED).sum() >= PEOPLE - 1
    for name, gain in (("lips mm", 0.4), ("in-plane mm", 0.3), ("face mm", 0.15)):
        assert (before[name] - after[name]).mean() > gain, (name, before[name], after[name])


def test_a_part_that_changed_is_explained_better_at_nearly_the_same_keypoints(found: PixelResult) -> None:
    changed = found.status[:, HEAD] == PixelStatus.CHANGED
    before, after = found.picture_loss[changed, HEAD].T
    torch.testing.assert_close(found.photometric_gain[changed, HEAD], 1 - after / before)
    assert (found.photometric_gain[changed, HEAD] >= CONFIG.least_gain).all()
    costs = found.keypoint_cost[changed, HEAD]
    assert (costs[:, 1] <= costs[:, 0] + CONFIG.keypoint_slack).all()


def test_parts_that_were_not_given_say_so(found: PixelResult) -> None:
    assert (found.status[:, :HEAD] == PixelStatus.NOT_SEEN).all()
    assert found.photometric_gain[:, :HEAD].isnan().all()


def test_the_picture_of_somebody_else_changes_nobody(trial: Trial, head: PicturePart) -> None:
    start = some(trial, 0, 1)
    result = refined(replace(start, photos=trial.photos[2:4], masks=trial.masks[2:4]), head)
    assert (result.status[:, HEAD] >= PixelStatus.UNEXPLAINED).all()
    for mine, before in zip(tensors_of(result.solution.state), tensors_of(start.solution.state), strict=True):
        assert torch.equal(mine, before)


def test_rows_are_independent(trial: Trial, head: PicturePart, found: PixelResult) -> None:
    alone = refined(some(trial, 1), head)
    for mine, together in zip(tensors_of(alone), tensors_of(found), strict=True):
        assert torch.equal(mine.nan_to_num(), together[1:2].nan_to_num())


@pytest.mark.parametrize(("share", "is_tried"), [(0.02, True), (0.04, False), (0.08, False), (0.16, False)])
def test_a_start_that_is_far_off_is_refused_with_the_figure(
    share: float, is_tried: bool, trial: Trial, head: PicturePart
) -> None:
    """Shares of the box of the head."""
    exact = make_trial(close_ups("face", 1, seed=SEED), "face", seed=1, off=EXACT)
    state = exact.solution.state
    # A head is some .24 m tall.
    moved = state.position + torch.tensor([share * 0.24, 0.0, 0.0]) / state.position[:, 2:].exp()
    far = replace(exact, solution=replace(exact.solution, state=replace(state, position=moved)))
    result = refined(far, head)
    assert result.start_share[0, HEAD] == pytest.approx(share, rel=0.25)
    assert (result.status[0, HEAD] != PixelStatus.FAR_START) == is_tried


@pytest.mark.slow
def test_true_colours_hold_a_true_face() -> None:
    """How far pixels alone drift off when all that is wrong is the drawing."""
    people = close_ups("face", 4, seed=3)
    start = at_truth(make_trial(people, "face", seed=1, off=EXACT))
    config = PixelConfig(head=replace(CONFIG.head, size_px=192), least_gain=0.0, keypoint_slack=1e9)
    drifts = []
    for row, own in enumerate(true_looks(people, 3, learn_renderer(24, 2, spacing_m=0.007))):
        part = without_shape(picture_parts(open_sparse(), open_ehm(), own, config)[HEAD])
        one = some(start, row)
        drifts.append(errors_of(one, refined(one, part, config).solution.state))
    for name, most in (("lips mm", 1.2), ("jaw rad", 0.015), ("head scale %", 1.5), ("in-plane mm", 0.6)):
        assert sum(float(drift[name]) for drift in drifts) / len(drifts) < most, (name, drifts)


def test_a_part_beyond_the_photo_is_not_tried(trial: Trial, head: PicturePart) -> None:
    one = some(trial, 0)
    result = refined(replace(one, photos=[one.photos[0][:, :8]], masks=[None]), head)
    assert result.status[0, HEAD] == PixelStatus.NO_PICTURE
    assert result.photometric_gain[0, HEAD].isnan()


def test_a_mask_of_another_size_is_refused(trial: Trial, head: PicturePart) -> None:
    other = replace(trial, masks=[np.zeros((8, 8), np.uint8), *trial.masks[1:]])
    with pytest.raises(ValueError, match="mask of person 0 has 8 x 8 px, the photo 256 x 256"):
        refined(other, head)


def test_as_many_photos_as_people_are_needed(trial: Trial, head: PicturePart) -> None:
    with pytest.raises(ValueError, match=f"1 photos and {PEOPLE} masks of {PEOPLE} people"):
        refined(replace(trial, photos=trial.photos[:1]), head)
