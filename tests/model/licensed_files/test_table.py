"""The table of files is consistent with itself, with the converter and with the estimators."""

from pathlib import PurePosixPath

import pytest

from model.body import convert
from model.estimators import known_backends
from model.licensed_files.bodies import BODIES, OFFICIAL
from model.licensed_files.networks import WEIGHTS
from model.licensed_files.table import ASSETS, BY_ID, PAPER_BACKENDS, needed_ids
from model.renderer.perceptual.lpips import BACKBONES, DOWNLOADS


def test_ids_and_places_are_unique() -> None:
    assert len(BY_ID) == len(ASSETS)
    places = [
        str(PurePosixPath(a.place).with_name(name)) for a in ASSETS for name in (a.place.split("/")[-1], *a.other_names)
    ]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("asset", ASSETS, ids=lambda asset: asset.id)
def test_every_file_says_what_a_person_must_know(asset) -> None:
    assert asset.licence
    assert asset.source
    assert asset.holds
    assert not asset.place.startswith(("/", ".."))
    assert asset.sha256 is None or (len(asset.sha256) in range(8, 65) and int(asset.sha256, 16) >= 0)


def test_every_weight_file_belongs_to_a_backend_that_exists() -> None:
    for asset in WEIGHTS:
        assert asset.backend in known_backends(asset.part), asset.id
        assert asset.optional or asset.option.endswith("_path"), asset.id


def test_every_part_of_the_paper_has_its_files() -> None:
    for part, backend in PAPER_BACKENDS.items():
        assert [a for a in WEIGHTS if (a.part, a.backend) == (part, backend)]


def test_what_converted_files_are_made_from_is_official_and_known_to_the_converter() -> None:
    flags = {flag for action in convert._parser()._actions for flag in action.option_strings}
    sources = [source for body in BODIES for source in body.made_from]
    assert sorted(sources) == sorted(official.id for official in OFFICIAL)
    assert {BY_ID[source].flag for source in sources} <= flags


def test_a_recipe_needs_the_weights_of_its_backends_only() -> None:
    needed = needed_ids({**PAPER_BACKENDS, "body": "hmr2", "face": "mediapipe"})
    assert {"dwpose.pose", "dwpose.detector", "hmr2", "hamer", "smplx", "flame"} <= needed
    assert not needed & {"prohmr", "teaser", "smirk"}
    assert not {asset.id for asset in ASSETS if asset.part in ("training", "renderer")} & needed


def test_backbones_of_lpips_are_the_files_that_it_asks_for() -> None:
    for net, backbone in BACKBONES.items():
        asset = BY_ID[f"lpips.{net}"]
        assert asset.place == f"lpips/{backbone.FILE}"
        assert asset.source == f"{DOWNLOADS}/{backbone.FILE}"
        assert f"-{asset.sha256}." in backbone.FILE


def test_the_open_body_with_mediapipe_needs_nothing() -> None:
    assert needed_ids(dict.fromkeys(PAPER_BACKENDS, "mediapipe"), licensed_body=False) == frozenset()


def test_smpl_is_needed_for_the_backends_that_speak_it_only() -> None:
    smpl = {"smpl", "smpl_to_smplx", "official.smpl", "official.smpl-to-smplx"}
    assert smpl <= needed_ids({**PAPER_BACKENDS, "body": "hmr2"})
    needed = needed_ids({**PAPER_BACKENDS, "body": "mediapipe"})
    assert not smpl & needed
    assert {"smplx", "official.smplx", "flame"} <= needed
