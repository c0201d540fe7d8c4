"""What a training says before it starts."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from labelled_photos import labelled_photos
from training_rig import alone, noise_plan

from datasets_manifest.sources.masks import mask_path
from model.regressor import flip
from tasks.body_model import ehm_assets
from tasks.settings import BodyModelConfig
from tasks.training.engine.broken_rows import BrokenRows
from tasks.training.engine.config import from_plain
from tasks.training.engine.loader import each_row_once
from tasks.training.regressor import plan
from tasks.training.regressor.experiment import RegressorExperiment
from tasks.training.regressor.plan import TrainingPlan, open_plan
from tasks.training.regressor.settings import TrainConfig


def test_it_says_how_well_faces_are_mirrored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = [line for line in noise_plan(tmp_path, augment={"flip_share": 0.5}).lines() if "mirror" in line]
    assert line.startswith("50% of the crops are mirrored")
    assert re.search(r"in \d\.\d% of what betas do to it, \d\.\d% of what FLAME's shape and \d\.\d% of", line)
    monkeypatch.setattr(flip, "MAX_RESIDUAL", -1.0)
    (line,) = [line for line in noise_plan(tmp_path, augment={"flip_share": 0.5}).lines() if "mirror" in line]
    assert line.endswith("the faces of mirrored crops do not supervise")


def test_a_broken_validation_photo_gives_way_within_the_stated_share(tmp_path: Path) -> None:
    for share, said in ((0.25, None), (0.1, "cannot be used")):
        people = labelled_photos(tmp_path / str(share), 8)
        (tmp_path / str(share) / "photos" / "003.jpg").unlink()
        plan = noise_plan(tmp_path, max_broken_share=share, augment={"flip_share": 0.0})
        plan = dataclasses.replace(plan, training=(people,), validation=(people,))
        held_out = RegressorExperiment(plan).validation
        assert held_out is not None
        batches = each_row_once(held_out, alone(), 0, BrokenRows(len(held_out), share))
        if said is None:
            (batch,) = batches
            assert len(batch) == 8
            assert "small/train/003.jpg#0" not in batch.sample_ids
        else:
            with pytest.raises(ValueError, match=said):
                list(batches)


def test_it_says_nothing_of_mirrors_where_no_crop_is_mirrored(tmp_path: Path) -> None:
    assert not [line for line in noise_plan(tmp_path, augment={"flip_share": 0.0}).lines() if "mirror" in line]


def open_labels(folder: Path, share: float, masks: Path | None = None, **settings: object) -> TrainingPlan:
    """A plan of published labels alone, as the paper's recipe asks for it."""
    body = ehm_assets(BodyModelConfig())
    labelled_photos(folder, 12, body_sha256=body.sha256)
    entry = {"path": str(folder / "labels/small"), "images": str(folder / "photos"), "masks": masks and str(masks)}
    return open_plan(from_plain({"datasets": [entry], "validation_share": share, **settings}, TrainConfig))


def test_a_body_without_hands_is_refused_before_anything_is_trained(tmp_path: Path, monkeypatch) -> None:
    """As when converted without the file of the hands: the first evaluation, hours later, could not measure them."""
    assets = dataclasses.replace(ehm_assets(BodyModelConfig()), hand_vertex_ids={})
    monkeypatch.setattr(plan, "ehm_assets", lambda _: assets)
    with pytest.raises(ValueError, match=r"does not say which vertices are hands.*--hand-ids MANO_SMPLX\S+pkl"):
        open_labels(tmp_path, 0.4)
    assert open_labels(tmp_path / "again", 0.0).validation == ()


def test_a_body_without_lips_is_told(tmp_path: Path, monkeypatch) -> None:
    assets = dataclasses.replace(ehm_assets(BodyModelConfig()), regions={})
    monkeypatch.setattr(plan, "ehm_assets", lambda _: assets)
    (line,) = [line for line in open_labels(tmp_path, 0.4).lines() if "--flame-masks FLAME_masks.pkl" in line]
    assert line.startswith("errors of the lips are not told")


def test_labels_of_another_fusion_are_refused(tmp_path: Path) -> None:
    body = ehm_assets(BodyModelConfig())
    labelled_photos(tmp_path, 4, body_sha256=body.sha256)
    entry = {"path": str(tmp_path / "labels/small"), "images": str(tmp_path / "photos")}
    with pytest.raises(ValueError, match=r"fusion blended\), expected is .*fusion paper\)"):
        open_plan(from_plain({"datasets": [entry], "body_model": {"fusion": "paper"}}, TrainConfig))


def test_a_share_of_the_labels_is_evaluated_on_and_not_learnt_from(tmp_path: Path) -> None:
    plan = open_labels(tmp_path, 0.4)
    learnt, held_out = (
        people[0].selection.table["sample_id"].to_pylist() for people in (plan.training, plan.validation)
    )
    assert len(learnt) + len(held_out) == 12
    assert not set(learnt) & set(held_out)
    with pytest.raises(
        ValueError, match=r"validation_share: 0\.001 of the photos of \S+small leaves 12 people to learn"
    ):
        open_labels(tmp_path / "again", 0.001)


def test_masks_that_are_not_of_these_people_are_told(tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    with pytest.raises(ValueError, match=r"masks: there is no folder \S+masks of the people of \S+small; correct"):
        open_labels(tmp_path, 0.4, masks)
    mask_path(masks / "small/train", "003.jpg").parent.mkdir(parents=True)
    mask_path(masks / "small/train", "003.jpg").touch()
    with pytest.raises(ValueError, match=r"none of 12 people of \S+small has a mask in \S+masks; name the folder"):
        open_labels(tmp_path, 0.4, masks)
    (people,) = open_labels(tmp_path, 0.4, masks / "small/train").training
    assert people.masks == masks / "small/train"


def test_a_regressor_to_begin_with_decides_the_run_by_its_bytes(tmp_path: Path) -> None:
    hashes: dict[str | None, str] = {None: open_labels(tmp_path, 0.5).run_hash}
    for name, data in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(data)
        hashes[name] = open_labels(tmp_path, 0.5, regressor_weights=str(tmp_path / name)).run_hash
    assert hashes["a"] == hashes["b"]
    assert len(set(hashes.values())) == 3
    with pytest.raises(ValueError, match="regressor_weights: there is no file"):
        open_labels(tmp_path, 0.5, regressor_weights=str(tmp_path / "d"))
