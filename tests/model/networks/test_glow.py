"""The flow: upstream's names, inverse and density by their definitions."""

import math

import pytest
import torch

from model.networks.glow import ActNorm, AdditiveCoupling, ConditionalGlow, GlowConfig, LULinear

SMALL = GlowConfig(features=6, context=5, hidden=7, layers=3, blocks=2)


def random_flow(seed=0):
    torch.manual_seed(seed)
    flow = ConditionalGlow(SMALL).double().eval()
    for name, tensor in flow.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point() and "dummy" not in name:
            tensor.normal_(0, 0.4)
    return flow


def inputs(num=4):
    torch.manual_seed(1)
    return torch.randn(num, 6, dtype=torch.float64), torch.randn(num, 5, dtype=torch.float64)


def test_inverse_undoes_forward():
    flow = random_flow()
    poses, context = inputs()
    log_prob, latents = flow.log_prob(poses, context)
    again, log_again = flow.poses(latents, context)
    assert (latents - poses).abs().max() > 0.1
    assert torch.allclose(again, poses, atol=1e-10)
    assert torch.allclose(log_again, log_prob, atol=1e-10)


def test_density_is_that_of_the_jacobian():
    flow = random_flow()
    poses, context = inputs()
    log_prob, latents = flow.log_prob(poses, context)
    for i in range(len(poses)):
        jacobian = torch.autograd.functional.jacobian(
            lambda pose, i=i: flow.log_prob(pose[None], context[i : i + 1])[1][0], poses[i]
        )
        normal = torch.distributions.Normal(0.0, 1.0).log_prob(latents[i]).sum()
        assert torch.allclose(log_prob[i], normal + torch.linalg.slogdet(jacobian)[1], atol=1e-10)


def test_zero_is_the_mode():
    flow = random_flow()
    _, context = inputs(1)
    latents = torch.cat([torch.zeros(1, 6), 0.3 * torch.randn(50, 6)]).double()
    _, log_prob = flow.poses(latents, context.expand(51, -1))
    assert log_prob.argmax() == 0


def test_image_matters():
    flow = random_flow()
    poses, context = inputs()
    assert not torch.allclose(flow.log_prob(poses, context)[1], flow.log_prob(poses, context.flip(0))[1])


def test_linear_map_is_l_times_u():
    torch.manual_seed(0)
    step = LULinear(3).double()
    for parameter in step.parameters():
        torch.nn.init.normal_(parameter)
    lower, upper = step.lower_entries.tolist(), step.upper_entries.tolist()
    diagonal = [math.log1p(math.exp(v)) + 1e-3 for v in step.unconstrained_upper_diag.tolist()]
    left = torch.tensor([[1, 0, 0], [lower[0], 1, 0], [lower[1], lower[2], 1]], dtype=torch.float64)
    right = torch.tensor(
        [[diagonal[0], upper[0], upper[1]], [0, diagonal[1], upper[2]], [0, 0, diagonal[2]]], dtype=torch.float64
    )
    x = torch.randn(5, 3, dtype=torch.float64)
    assert torch.allclose(step(x, x), x @ (left @ right).T + step.bias)
    assert math.isclose(step.log_determinant().item(), math.log(math.prod(diagonal)))


@pytest.mark.parametrize("keep_even", [True, False])
def test_coupling_shifts_every_other_feature(keep_even):
    torch.manual_seed(0)
    step = AdditiveCoupling(keep_even, SMALL).eval().double()
    poses, context = inputs()
    moved = (step(poses, context) - poses).abs().sum(0) > 0
    assert moved.tolist() == [not keep_even, keep_even] * 3


def test_couplings_alternate_and_new_maps_are_the_identity():
    flow = ConditionalGlow(SMALL)
    kept = [
        step.get_buffer("identity_features").tolist() for step in flow.modules() if isinstance(step, AdditiveCoupling)
    ]
    assert kept == [[0, 2, 4], [1, 3, 5], [0, 2, 4]]
    x = torch.randn(2, 4)
    assert torch.allclose(LULinear(4)(x, x), x, atol=1e-6)
    assert torch.equal(ActNorm(4)(x, x), x)


def test_published_size_has_upstreams_entries():
    """177 entries and 25.9 million numbers: counted in ProHMR's code and its fork of nflows."""
    with torch.device("meta"):
        flow = ConditionalGlow(GlowConfig())
    state = flow.state_dict()
    assert len(state) == 177
    assert sum(p.numel() for p in flow.parameters()) == 25_893_856
    shapes = {
        "_transform.dummy_buffer": (), "_transform._transforms.0.initialized": (),
        "_transform._transforms.9.log_scale": (144,), "_transform._transforms.1.lower_entries": (10296,),
        "_transform._transforms.10.unconstrained_upper_diag": (144,),
        "_transform._transforms.2.identity_features": (72,),
        "_transform._transforms.11.transform_net.initial_layer.weight": (1024, 2120),
        "_transform._transforms.2.transform_net.blocks.1.batch_norm_layers.1.running_var": (1024,),
        "_transform._transforms.2.transform_net.blocks.1.linear_layers.0.weight": (1024, 1024),
        "_transform._transforms.5.transform_net.final_layer.bias": (72,),
    }  # fmt: skip
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
