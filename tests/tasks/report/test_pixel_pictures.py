"""Pictures of what pixels changed of a label."""

import numpy as np
import pytest

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.labels import PIXEL_PARTS
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.renderer.people import RestShape
from tasks.report.pixels import draw_changes
from tasks.synthetic.person import SyntheticConfig, render_person

TILE = 64


@pytest.fixture(scope="module")
def shown():
    """A body, a photo of it, and its label."""
    ehm = EHMs(load_open_body())
    config = SyntheticConfig(count=1, image_width=96, image_height=128, supersample=1)
    person = render_person(0, config, ehm, RestShape.from_assets(ehm.assets))
    label = {name: np.ravel(person.truth[name]).tolist() for name in LABEL_PARAMETERS}
    camera = {name: person.truth[name] for name in ("focal_px", "principal_px")}
    return ehm, person.rgb, label | camera | {"photometric_gain": [np.nan] * 3, "before_pixels": None}


def changed(label, part, **before):
    """A label of which one part gained, and the parameters that were others."""
    gain = [0.3 if own == part else np.nan for own in PIXEL_PARTS]
    return label | {"photometric_gain": gain, "before_pixels": [(name, list(old)) for name, old in before.items()]}


def test_a_changed_part_is_drawn_as_it_was_and_as_it_is(shown):
    ehm, photo, label = shown
    opened = changed(label, "head", jaw_pose=[0.5, 0, 0])
    (strip,) = draw_changes(photo, opened, ehm, TILE)
    before, after = strip[:, TILE : 2 * TILE], strip[:, 2 * TILE :]
    assert strip.shape == (TILE, 3 * TILE, 3)
    assert 0.02 < (before != after).any(-1).mean() < 0.5
    (same,) = draw_changes(photo, changed(label, "head", jaw_pose=label["jaw_pose"]), ehm, TILE)
    assert np.array_equal(same[:, TILE : 2 * TILE], after)
    assert np.array_equal(same[:, 2 * TILE :], after)


def test_only_changed_parts_are_drawn(shown):
    ehm, photo, label = shown
    assert draw_changes(photo, label, ehm, TILE) == []
    without = {name: value for name, value in label.items() if name not in ("photometric_gain", "before_pixels")}
    assert draw_changes(photo, without, ehm, TILE) == []
    hand, head = (
        draw_changes(photo, changed(label, part, head_scale=[1.2] * 3), ehm, TILE) for part in ("left_hand", "head")
    )
    assert len(hand) == len(head) == 1
    assert not np.array_equal(hand[0], head[0])
