"""What decides the content of files: each setting that does, and none that does not."""

from dataclasses import replace

import pytest

from tasks.annotate.provenance import step_config
from tasks.annotate.settings import AnnotateConfig, GroupsConfig
from tasks.tracks.settings import TrackConfig

USUAL = AnnotateConfig()
OTHER = replace(USUAL, groups=GroupsConfig(tracks=TrackConfig(max_gap=3)))


@pytest.mark.parametrize("step", ["keypoints", "refine"])
def test_how_people_are_followed_decides_files_of_groups_alone(step):
    assert step_config(step, OTHER) == step_config(step, USUAL)
    assert step_config(step, OTHER, in_groups=True) != step_config(step, USUAL, in_groups=True)


def test_how_groups_are_fitted_decides_labels_of_groups_alone():
    other = replace(USUAL, groups=GroupsConfig(together=False))
    assert step_config("refine", other) == step_config("refine", USUAL)
    assert step_config("refine", other, in_groups=True) != step_config("refine", USUAL, in_groups=True)
    assert step_config("keypoints", other, in_groups=True) == step_config("keypoints", USUAL, in_groups=True)


@pytest.mark.parametrize("step", ["body", "hands", "face"])
def test_parts_do_not_ask_who_is_who(step):
    assert step_config(step, OTHER, in_groups=True) == step_config(step, USUAL)
