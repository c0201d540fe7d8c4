import pytest
import torch
from texture_renderers import ball

from model.body.assets import load_open_body
from model.body.skeleton import SMPLX_EYES
from model.renderer.sites import COARSE_M, EYE_M, FINE_M, Sites, body_sites, looks_at_camera, pieces, topology
from model.rotations import rotvec_to_rotmat


@pytest.fixture(scope="module")
def sphere():
    faces, vertices = ball()
    return faces, vertices, Sites.spread(faces, vertices, torch.full((len(faces),), 0.08))


def test_sites_move_with_the_mesh_and_grow_with_it(sphere):
    _, vertices, sites = sphere
    turn = rotvec_to_rotmat(torch.tensor([0.3, -1.2, 0.5]))
    shift = torch.tensor([0.4, 0.1, 3.0])
    centres, factors = sites.surface(vertices[None])
    moved_centres, moved_factors = sites.surface(2.0 * vertices[None] @ turn.T + shift)
    torch.testing.assert_close(moved_centres, 2.0 * centres @ turn.T + shift, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(moved_factors, 2.0 * turn @ factors, atol=1e-5, rtol=1e-5)


def test_the_shape_of_a_gaussian_does_not_depend_on_which_corner_of_its_face_is_first(sphere):
    faces, vertices, _ = sphere
    spacing = torch.full((len(faces),), torch.inf)
    covariances = []
    for turned in (faces, faces.roll(1, dims=1)):
        _, factors = Sites.spread(turned, vertices, spacing).surface(vertices[None])
        covariances.append(factors @ factors.mT)
    torch.testing.assert_close(*covariances)


def test_every_piece_of_a_face_has_its_site(sphere):
    faces, vertices, sites = sphere
    count = torch.bincount(sites.face, minlength=len(faces))
    a, b, c = vertices[faces].unbind(1)
    edge = torch.stack([(b - a).norm(dim=1), (c - b).norm(dim=1), (a - c).norm(dim=1)]).mean(0)
    assert torch.equal(count, torch.round(edge / 0.08).clamp(min=1).long() ** 2)
    middle = torch.zeros(len(faces), 3).index_add(0, sites.face, sites.weights) / count[:, None]
    torch.testing.assert_close(middle, torch.full_like(middle, 1 / 3))
    torch.testing.assert_close(sites.size, count[sites.face].float().rsqrt())


def test_normals_look_outwards_and_decide_what_faces_the_camera(sphere):
    _, vertices, sites = sphere
    place = torch.tensor([0.0, 0.0, 5.0])
    centres, factors = sites.surface(vertices[None] + place)
    outward = torch.nn.functional.normalize(centres - place, dim=-1)
    wanted = -(outward * torch.nn.functional.normalize(centres, dim=-1)).sum(-1)
    torch.testing.assert_close(looks_at_camera(centres, factors), wanted, atol=0.08, rtol=0)


def test_sites_of_some_vertices_lie_between_them(sphere):
    _, vertices, sites = sphere
    upper = vertices[:, 1] > 0.3
    ids = sites.within(upper)
    taken = sites.take(ids)
    assert 0 < len(taken) < len(sites)
    assert (taken.at(vertices[None])[0, :, 1] > 0.3).all()
    torch.testing.assert_close(taken.at(vertices[None]), sites.at(vertices[None])[:, ids])


def test_derivatives_reach_the_vertices():
    faces, vertices = ball(12)
    sites = Sites.spread(faces, vertices.double(), torch.full((len(faces),), torch.inf, dtype=torch.float64))
    leaf = vertices.double()[None].requires_grad_()
    assert torch.autograd.gradcheck(sites.surface, (leaf,))


def test_a_body_has_finer_sites_on_head_and_hands_and_the_finest_on_its_eyes():
    assets = load_open_body()
    sites, rest = body_sites(assets), torch.from_numpy(assets.smplx.v_template)[None]
    _, factors = sites.surface(rest)
    longest = factors[0].norm(dim=1).amax(1)
    fine = torch.zeros(assets.smplx.num_vertices, dtype=torch.bool)
    fine[torch.from_numpy(assets.head_vertex_ids)] = True
    on_head = sites.within(fine)
    assert longest[on_head].median() < FINE_M < longest.max() < COARSE_M
    eyes = torch.from_numpy(assets.smplx.skin_weights[:, SMPLX_EYES].sum(1) > 0.5)
    assert longest[sites.within(eyes)].max() < EYE_M
    assert set(sites.face.tolist()) == set(range(len(assets.smplx.faces)))


def test_pieces_of_a_mesh_are_those_that_share_no_vertex():
    faces, _ = ball()
    count = int(faces.max()) + 1
    assert torch.equal(pieces(faces, count), torch.zeros(count, dtype=torch.long))
    two = pieces(torch.cat([faces, faces + count]), 2 * count)
    assert torch.equal(two, torch.arange(2).repeat_interleave(count))


def test_a_topology_is_that_of_faces_and_number_of_vertices_alone():
    faces, _ = ball()
    assert topology(faces, 400) == topology(faces.clone(), 400)
    assert len({topology(faces, 400), topology(faces, 401), topology(faces.flip(0), 400)}) == 3
