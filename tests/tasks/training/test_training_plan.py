"""What a training says before it starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from training_rig import noise_plan

from model.regressor import flip


def test_it_says_how_well_faces_are_mirrored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = [line for line in noise_plan(tmp_path, augment={"flip_share": 0.5}).lines() if "mirror" in line]
    assert line.startswith("50% of the crops are mirrored")
    assert re.search(r"unexplained: betas \d\.\d%, FLAME shape \d\.\d%, expression \d\.\d%$", line)
    monkeypatch.setattr(flip, "MAX_RESIDUAL", -1.0)
    (line,) = [line for line in noise_plan(tmp_path, augment={"flip_share": 0.5}).lines() if "mirror" in line]
    assert line.endswith("the faces of mirrored crops do not supervise")


def test_it_says_nothing_of_mirrors_where_no_crop_is_mirrored(tmp_path: Path) -> None:
    assert not [line for line in noise_plan(tmp_path, augment={"flip_share": 0.0}).lines() if "mirror" in line]
