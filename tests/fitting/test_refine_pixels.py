"""Refinement by pixels: what it gains on people whose truth is known, what it leaves alone, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.pixel_errors import errors_of
from benchmarks.pixel_people import EXACT, Trial, at_truth, close_ups, make_trial, open_ehm, open_sparse
from benchmarks.pixel_renderers import learn_renderer, without_shape
from fitting.part_pictures import part_boxes, part_pictures
from fitting.picture_parts import KEYPOINTS, PicturePart, picture_parts
from fitting.picture_term import PictureTerm
from fitting.pixel_settings import PixelConfig
from fitting.refine_pixels import PixelResult, PixelStatus, explained_best, refine_pixels
from fitting.unknowns import JAW, POSITION, retract
from model.batches import tensors_of
from model.renderer.splat.draw import fastest
from model.renderer.texture.renderer import TextureRenderer

pytestmark = pytest.mark.long

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
def exact() -> Trial:
    """Somebody whose keypoints are where they are."""
    return make_trial(close_ups("face", 1, seed=SEED), "face", seed=1, off=EXACT)


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
    assert (costs[:, 1] <= costs[:, 0] + CONFIG.head.keypoint_slack).all()


def test_a_part_whose_keypoints_get_worse_than_allowed_stays(
    trial: Trial, head: PicturePart, found: PixelResult
) -> None:
    rise = found.keypoint_cost[0, HEAD, 1] - found.keypoint_cost[0, HEAD, 0]
    assert rise > 0
    strict = replace(head, settings=replace(head.settings, keypoint_slack=float(rise) / 2))
    result, start = refined(some(trial, 0), strict), some(trial, 0).solution.state
    assert result.status[0, HEAD] == PixelStatus.KEYPOINTS_WORSE
    for mine, before in zip(tensors_of(result.solution.state), tensors_of(start), strict=True):
        assert torch.equal(mine, before)


def test_keypoints_elsewhere_allow_a_part_no_more(trial: Trial, head: PicturePart, found: PixelResult) -> None:
    """The cost is for each keypoint of the part, however many others are seen."""
    one = some(trial, 0)
    terms = one.problem.keypoint_terms(one.problem.config.final_loss)
    forward = one.problem.model.forward(one.solution.state)
    total = sum(float(term.cost(one.solution.state, forward)) for term in terms)
    own = int((one.problem.people.precision[0, KEYPOINTS[HEAD]] > 0).sum())
    assert own < int((one.problem.people.precision[0] > 0).sum())
    assert float(found.keypoint_cost[0, HEAD, 0]) == pytest.approx(total / own, rel=1e-4)


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
    share: float, is_tried: bool, exact: Trial, head: PicturePart
) -> None:
    """Shares of the box of the head."""
    state = exact.solution.state
    # A head is some .24 m tall.
    moved = state.position + torch.tensor([share * 0.24, 0.0, 0.0]) / state.position[:, 2:].exp()
    far = replace(exact, solution=replace(exact.solution, state=replace(state, position=moved)))
    result = refined(far, head)
    assert result.start_share[0, HEAD] == pytest.approx(share, rel=0.25)
    assert (result.status[0, HEAD] != PixelStatus.FAR_START) == is_tried


def test_a_drawn_face_that_is_moved_comes_back_by_pixels_alone(head: PicturePart, exact: Trial) -> None:
    """Looks are the mean, and the camera is the drawing's: nothing but the way there can be wrong."""
    true = at_truth(exact)
    part, state, rasteriser = without_shape(head), true.solution.state, fastest(torch.device("cpu"))
    problem, body = replace(true.problem, model=part.body), part.body
    camera = problem.people.camera
    boxes = part_boxes(part, state, camera)
    pictures = part_pictures(part, boxes, camera, true.photos, true.masks)
    with torch.inference_mode():
        mean = pictures.known.new_zeros(1, part.num_looks)
        drawn = PictureTerm(part, pictures, mean, pictures.known, rasteriser).drawn(state)
        step = torch.zeros(1, body.layout.size)
        step[:, JAW.start], step[:, POSITION.start] = 0.06, 0.002
        rotations = body.forward(state).rotations
        moved = retract(state, step, rotations, body.layout)
        term, _ = PictureTerm.settled(part, replace(pictures, rgb=drawn), moved, rasteriser)
        back = explained_best(problem, term, moved, torch.ones(1, dtype=torch.bool), CONFIG)
    before, after = errors_of(true, moved), errors_of(true, back)
    for name in ("lips mm", "jaw rad", "in-plane mm"):
        assert after[name] < 0.1 * before[name], (name, before[name], after[name])


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
