import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.body.open_body.builder.layout import model_dict
from model.body.open_body.builder.vertex_order import (
    MANO_NUMBERS,
    SMPL_NUMBERS,
    SMPLX_NUMBERS,
    inverse_order,
    numbered_order,
)
from model.body.open_body.load import load_arrays, sidecar


@given(data=st.data(), count=st.integers(4, 40))
def test_order_is_a_permutation_that_meets_every_number(data, count):
    names = data.draw(st.integers(0, 4))
    distinct = st.permutations(range(count)).map(lambda p: p[:names])
    vertices = dict(zip("abcd", data.draw(distinct), strict=False))
    numbers = dict(zip("abcd", data.draw(distinct), strict=False))
    order = numbered_order(count, vertices, numbers)
    assert sorted(order.tolist()) == list(range(count))
    assert all(order[numbers[name]] == vertices[name] for name in numbers)
    np.testing.assert_array_equal(order[inverse_order(order)], np.arange(count))


def test_keypoints_sit_at_the_numbers_other_software_expects():
    arrays, ids = load_arrays(), sidecar()["keypoint_vertices"]
    assert ids == SMPLX_NUMBERS
    for side in ("left", "right"):
        hand = arrays[f"{side}_hand_vertex_ids"]
        assert {f: hand[n] for f, n in MANO_NUMBERS.items()} == {f: ids[f"{side}_{f}"] for f in MANO_NUMBERS}
    on_skin = {name: arrays["smpl_vertex_ids"][n] for name, n in SMPL_NUMBERS.items()}
    assert {n: v for n, v in on_skin.items() if "eye" not in n} == {n: v for n, v in ids.items() if "eye" not in n}
    # The SMPL-like body has no eyeballs: its eyes are lid vertices next to them.
    template = arrays["v_template"]
    for name in ("left_eye", "right_eye"):
        assert np.linalg.norm(template[on_skin[name]] - template[ids[name]]) < 0.015


def test_numbers_are_those_of_the_reference_package():
    reference = pytest.importorskip("smplx.vertex_ids", reason="the package smplx is not installed").vertex_ids
    assert sorted(SMPLX_NUMBERS.values()) == sorted(reference["smplx"].values())
    assert sorted(SMPL_NUMBERS.values()) == sorted(reference["smplh"].values())
    assert reference["mano"] == MANO_NUMBERS
    assert model_dict("mano_left")["v_template"].shape[0] > max(MANO_NUMBERS.values())
