"""What is rendered for a data set, as its manifest asks for it."""

from __future__ import annotations

from typing import Any

from datasets_manifest.adapters.synthetic import SyntheticLayout
from tasks.synthetic.groups import GroupConfig
from tasks.synthetic.person import SyntheticConfig
from tasks.synthetic.render import RenderConfig


def pictures_of(layout: SyntheticLayout) -> RenderConfig:
    """What a manifest asks for."""
    if not layout.in_groups:
        shares = {"crop_shares": layout.crop_shares, "child_share": layout.child_share}
        stated: dict[str, Any] = {name: share for name, share in shares.items() if share is not None}
        return SyntheticConfig(count=layout.count, seed=layout.seed, **stated)
    return GroupConfig(
        count=layout.count, frames=layout.frames, cameras=layout.cameras, people=layout.people, seed=layout.seed
    )
