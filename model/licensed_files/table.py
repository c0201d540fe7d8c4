"""Every file that the paper's recipes need: where it goes below one root folder, what it is for, who gives it out.

Nothing here fetches anything. The converted bodies (``smplx.npz`` and the like) lie in the root itself, so that the
root is what ``body_model.path`` names; the files they are made from lie in ``official/``, network weights in a folder
of each estimator.

A published hash says whether the file of that name is the publisher's; weights that are another are not loaded. Under
its other names, and where the settings name a file of another name, it may be another version.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from model.licensed_files.asset_file import AssetFile
from model.licensed_files.bodies import BODIES, OFFICIAL
from model.licensed_files.evaluation import EVALUATION
from model.licensed_files.networks import RENDERER, TRAINING, WEIGHTS

PAPER_BACKENDS: Mapping[str, str] = MappingProxyType(
    {"keypoints": "dwpose", "body": "prohmr", "hands": "hamer", "face": "teaser"}
)
"""Part to backend of the paper's recipe. HMR2 and SMIRK are drop-in replacements for ProHMR and TEASER."""

SMPL_BACKENDS = ("prohmr", "hmr2")
"""Body backends whose poses are SMPL's."""
SMPL_BODIES = ("smpl", "smpl_to_smplx")
"""Converted files that only they need."""

ASSETS: tuple[AssetFile, ...] = (*WEIGHTS, *BODIES, *OFFICIAL, *TRAINING, *RENDERER, *EVALUATION)
"""All files, in the order in which to get them."""
BY_ID: Mapping[str, AssetFile] = MappingProxyType({asset.id: asset for asset in ASSETS})


def needed_ids(backends: Mapping[str, str] = PAPER_BACKENDS, *, licensed_body: bool = True) -> frozenset[str]:
    """Returns the ids of the files that a recipe cannot do without, official files of converted bodies included.

    Args:
        backends: Backend of each part; one without files of its own (``mediapipe``) needs none.
        licensed_body: Whether labels are of SMPL-X and FLAME, not of the open body.
    """
    weights = {asset.id for asset in WEIGHTS if backends.get(asset.part) == asset.backend and not asset.optional}
    bodies = {asset.id for asset in (*BODIES, *OFFICIAL) if licensed_body and not asset.optional}
    if backends.get("body") not in SMPL_BACKENDS:
        bodies -= {name for body in BODIES if body.id in SMPL_BODIES for name in (body.id, *body.made_from)}
    return frozenset(weights | bodies)
