"""One person, one table: the tensors are those of the table, and go to label columns and back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from regressor_batches import random_parameters

from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, EHM_FIELDS, LABEL_PARAMETERS, BodySize
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES
from model.body.parameters import EhmParameters
from model.rotations import rotvec_to_rotmat


def test_the_tensors_are_those_of_the_table() -> None:
    assert {field.name for field in dataclasses.fields(EhmParameters)} == {field.name for field in EHM_FIELDS}
    people = random_parameters(3)
    for field in EHM_FIELDS:
        if (value := getattr(people, field.name)) is not None:
            assert value.shape == (3, *field.tensor_shape(DEFAULT_SIZE)), field.name
        assert field.part in PART_NAMES


def test_the_size_is_that_of_the_coefficients() -> None:
    size = BodySize(num_betas=4, num_flame_shape=3, num_expression=2)
    people = EhmParameters.neutral(5, size=size, dtype=torch.float64)
    assert people.size == size
    assert len(people) == 5
    assert people.betas.dtype == torch.float64


def test_neutral_people_are_at_rest_and_nowhere() -> None:
    people = EhmParameters.neutral(2, 3, betas=torch.ones(2, 3, 10))
    assert people.transl_m is None
    assert people.head_orient is None
    assert torch.equal(people.body_pose, torch.eye(3).expand(2, 3, 21, 3, 3))
    assert torch.equal(people.head_scale, torch.ones(2, 3, 3))
    assert torch.equal(people.betas, torch.ones(2, 3, 10))
    assert not people.flame_shape.any()


def test_columns_are_those_of_the_labels_and_lead_back() -> None:
    people = dataclasses.replace(random_parameters(4), transl_m=torch.randn(4, 3))
    columns = people.columns()
    assert set(columns) == {*LABEL_PARAMETERS, "head_orient"}
    assert set(LABEL_PARAMETERS) <= set(LABEL_SCHEMA.names)
    found = EhmParameters.from_columns({name: value.numpy() for name, value in columns.items()})
    for name, value in people.named().items():
        assert torch.allclose(getattr(found, name), value, atol=1e-5), name


@pytest.mark.parametrize("shape", [(2, 63), (2, 21, 3)])
def test_absent_columns_are_neutral(shape: tuple[int, ...]) -> None:
    pose = np.random.default_rng(0).normal(0, 0.3, shape)
    found = EhmParameters.from_columns({"body_pose": pose, "sample_id": np.array(["a", "b"])})
    expected = rotvec_to_rotmat(torch.from_numpy(pose.reshape(2, 21, 3)).float())
    assert torch.equal(found.body_pose, expected)
    assert torch.equal(found.jaw_pose, torch.eye(3).expand(2, 3, 3))
    assert found.transl_m is None
