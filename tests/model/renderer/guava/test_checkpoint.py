"""The published layout is read as a whole or not at all, without what is licensed in it."""

import re

import pytest
import torch
from guava_scene import TINY, renderer_of, sheet

from model.renderer.guava.checkpoint import load_guava


@pytest.fixture(scope="module")
def renderer():
    return renderer_of()


def parts(renderer):
    """Entries of a file as the published training writes it, with some of the buffers that are not ours."""
    uv = renderer.uv
    licensed = {"v_template": torch.rand(9, 3), "lbs_weights": torch.rand(9, 55), "faces_tensor": torch.zeros(4, 3)}
    model = {name: t for name, t in renderer.state_dict().items() if not name.startswith("nerual_refiner.")}
    model |= {f"{prefix}.{name}": tensor for prefix in ("smplx", "ehm.smplx") for name, tensor in licensed.items()}
    model |= {
        "ehm.smplx.uvmap_f_idx": uv.face_ids.int(),
        "ehm.smplx.uvmap_f_bary": uv.weights,
        "ehm.smplx.uvmap_mask": uv.used,
        "ehm.flame.v_template": torch.rand(5, 3),
        "laplacian_matrix": torch.eye(9),
        "xy_image_coord": torch.zeros(2),
        "mesh_renderer.faces": torch.zeros(4, 3),
    }
    refiner = {name: t for name, t in renderer.state_dict().items() if name.startswith("nerual_refiner.")}
    return {"model": model, "render_model": refiner, "meta_cfg": {"MODEL": {"uvmap_size": 16}}, "global_iter": 7}


def load(tmp_path, content):
    path = tmp_path / "latest.pt"
    torch.save(content, path)
    return load_guava(path, sheet()[1], TINY)


def refused(tmp_path, content, *words):
    with pytest.raises(ValueError, match=".*".join(map(re.escape, words))) as caught:
        load(tmp_path, content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrapper", ["", "module.", "_forward_module.module."])
def test_what_is_read_is_what_was_written(tmp_path, renderer, wrapper):
    content = parts(renderer)
    for part in ("model", "render_model"):
        content[part] = {wrapper + name: tensor for name, tensor in content[part].items()}
    found, sha256 = load(tmp_path, content)
    assert len(sha256) == 64
    assert not found.training
    expected = renderer.state_dict()
    assert found.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.state_dict().items())
    assert torch.equal(found.uv.face_ids, renderer.uv.face_ids)
    assert torch.equal(found.uv.weights, renderer.uv.weights)
    assert not any(tensor.is_meta for tensor in (*found.parameters(), *found.buffers()))


def test_nothing_licensed_is_kept(tmp_path, renderer):
    found, _ = load(tmp_path, parts(renderer))
    assert not [name for name in found.state_dict() if "smplx" in name or "uvmap" in name or "template" in name]


def test_names_that_lack_or_are_left_over_are_told(tmp_path, renderer):
    content = parts(renderer)
    tensor = content["model"].pop("vertex_gs_decoder.scale_layers.2.bias")
    content["model"]["uv_point_decoder.extra.bias"] = tensor
    refused(tmp_path, content, "1 missing: vertex_gs_decoder.scale_layers.2.bias", "1 unexpected: uv_point_decoder.ext")


def test_another_shape_is_told(tmp_path, renderer):
    content = parts(renderer)
    content["model"]["vertex_base_feature"] = torch.zeros(3, 4)
    refused(tmp_path, content, "vertex_base_feature (3, 4) instead of (35, 4)")


def test_a_value_that_is_not_finite_is_told(tmp_path, renderer):
    content = parts(renderer)
    content["model"]["vertex_base_feature"] = torch.full((35, 4), torch.nan)
    refused(tmp_path, content, "not finite: vertex_base_feature")


def test_a_file_of_something_else_is_told(tmp_path, renderer):
    refused(tmp_path, dict(renderer.state_dict()), "no named tensors under 'model' and 'render_model'", "it has")
    refused(tmp_path, parts(renderer) | {"render_model": {}}, "under 'model' and 'render_model'")
    refused(tmp_path, [torch.zeros(2)], "it has list")


def test_a_file_without_its_texture_is_told(tmp_path, renderer):
    content = parts(renderer)
    content["model"].pop("ehm.smplx.uvmap_f_idx")
    refused(tmp_path, content, "GUAVA", "ehm.smplx.uvmap_f_idx missing")


def test_a_texture_whose_mask_is_of_another_is_told(tmp_path, renderer):
    content = parts(renderer)
    content["model"]["ehm.smplx.uvmap_mask"] = ~renderer.uv.used
    refused(tmp_path, content, "UV map")


def test_a_body_without_teeth_is_told(tmp_path, renderer):
    path = tmp_path / "latest.pt"
    torch.save(parts(renderer), path)
    with pytest.raises(ValueError, match=r"names face 47 .* has 40 faces .* `guava_body`"):
        load_guava(path, sheet()[1][:40], TINY)
