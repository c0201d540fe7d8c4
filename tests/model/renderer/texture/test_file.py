import pytest
import torch
from texture_renderers import ball, ball_renderer

from model.renderer.texture.file import RendererMeta, load_renderer, save_renderer
from model.tensor_file import pack, unpack

META = RendererMeta(body_model={"name": "ball"}, learnt_from={"people": 3}, metrics={"psnr_db": 31.5}, code_version="1")


@pytest.fixture(scope="module")
def saved():
    return save_renderer(ball_renderer(), META)


def changed(data, tensors=None, metadata=None):
    own, stated = unpack(data, "r")
    return pack({**own, **(tensors or {})}, {**stated, **(metadata or {})})


def read(data):
    faces, vertices = ball()
    return load_renderer(data, faces, len(vertices), source="r.safetensors")


def test_a_renderer_comes_back_as_it_was(saved):
    renderer, meta = read(saved)
    original = ball_renderer()
    assert all(torch.equal(tensor, original.state_dict()[name]) for name, tensor in renderer.state_dict().items())
    assert torch.equal(renderer.sites.corners, original.sites.corners)
    assert (meta.body_model, meta.learnt_from, meta.metrics) == (META.body_model, META.learnt_from, META.metrics)
    assert (meta.num_sites, meta.num_directions) == (len(original.sites), 4)
    assert save_renderer(renderer, meta) == saved


def test_the_file_has_no_mesh(saved):
    tensors, _ = unpack(saved, "r")
    assert set(tensors) == {
        *("sites.face", "sites.weights", "sites.size", "texture.mean", "texture.directions", "texture.offset_m"),
        *("texture.light_mean", "texture.light_factor"),
    }


def test_a_renderer_of_another_body_is_refused(saved):
    faces, _ = ball()
    with pytest.raises(ValueError, match=r"learnt on the mesh of ball, the body to draw has another \(401 vertices"):
        load_renderer(saved, faces, 401, source="r.safetensors")


@pytest.mark.parametrize(
    ("tensors", "metadata", "sentence"),
    [
        ({}, {"format": "ehm-regressor/1"}, "r.safetensors is of the format 'ehm-regressor/1', expected 'texture-ren"),
        ({"texture.mean": torch.zeros(7, 3)}, {}, r"1 of another shape: texture.mean \(7, 3\) instead of"),
        ({"texture.offset_m": torch.full((400,), torch.nan)}, {}, "1 not finite: texture.offset_m"),
        ({"guava": torch.zeros(1)}, {}, "1 unexpected: guava"),
        ({}, {"num_directions": 5}, r"speaks of directions of shape \(5, .*, 3\) and has those of shape \(4, "),
        ({}, {"num_sites": 10**12}, r"speaks of directions of shape \(4, 1000000000000, 3\)"),
        ({}, {"num_sites": -3}, r"speaks of directions of shape \(4, -3, 3\)"),
        ({}, {"num_sites": "many"}, "num_sites"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused(saved, tensors, metadata, sentence):
    with pytest.raises(ValueError, match=sentence):
        read(changed(saved, tensors, metadata))


def test_sites_on_faces_that_are_not_there_are_refused(saved):
    tensors, _ = unpack(saved, "r")
    with pytest.raises(ValueError, match="sites on faces that the body does not have"):
        read(changed(saved, {"sites.face": tensors["sites.face"] + 10_000}))
