"""What a manifest of rendered people asks for."""

import pytest

from datasets_manifest.adapters.synthetic import SyntheticLayout
from tasks.synthetic.asked import pictures_of
from tasks.synthetic.groups import GroupConfig
from tasks.synthetic.person import SyntheticConfig


def test_a_manifest_says_what_is_rendered():
    assert pictures_of(SyntheticLayout(count=3, seed=1)) == SyntheticConfig(count=3, seed=1)
    layout = SyntheticLayout(count=2, frames=5, people=2, seed=4)
    assert pictures_of(layout) == GroupConfig(count=2, frames=5, people=2, seed=4)
    assert pictures_of(layout).num_images == layout.num_images == 10
    with pytest.raises(ValueError, match="people: is 2, but a photo that stands alone shows 1"):
        SyntheticLayout(count=2, people=2)
