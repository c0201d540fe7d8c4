"""The parts of inference: what each method runs, and what no method can do without."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.inference_clock import Call, Work, bytes_of, flops_of
from benchmarks.inference_plain import PlainBody, SmplxPackage, has_smplx, plain_network
from datasets_manifest.schema.ehm_fields import EHM_FIELDS
from model.batches import map_tensors, tensors_of
from model.body.ehms import EhmOutput, EHMs
from model.body.normals import VertexNormals
from model.body.parameters import EhmParameters
from model.execution import Mode, Precision
from model.regressor.network import EhmRegressor, normalise
from model.regressor.runtime import accelerate, for_precision
from model.rotations import rotvec_to_rotmat

PARTS = {
    "encoder": "encoder",
    "decoder": "decoder and heads",
    "body": "EHM-s forward",
    "animation": "animation",
    "total": "total, from uint8 crops",
}
"""Key and title."""
PLAIN, PACKAGE = "plain", "package `smplx`"
NETWORK_PARTS = ("encoder", "decoder", "total")
"""Parts whose products may be less exact; a body is always posed in float32."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Models:
    """Everything that takes part, on one device, in evaluation mode."""

    network: EhmRegressor
    """Random weights."""
    body: EHMs
    """The body."""
    normals: VertexNormals
    """Of its faces, in all animations."""
    plain_network: EhmRegressor
    """The same numbers with plain attention."""
    plain_body: PlainBody
    """The same numbers by dense products."""
    package: SmplxPackage | None
    """None where it is not installed."""

    @classmethod
    def of(cls, network: EhmRegressor, body: EHMs, folder: Path, device: torch.device) -> "Models":
        """Build the baselines; the package's file goes to `folder`."""
        package = SmplxPackage(body.assets, folder).to(device).eval() if has_smplx() else None
        plain, body, network = PlainBody(body).to(device), body.to(device), network.to(device).eval()
        return cls(
            network=network,
            body=body,
            normals=VertexNormals(body.faces, len(body.head_weight)).to(device),
            plain_network=plain_network(network),
            plain_body=plain,
            package=package,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """What goes in, B people."""

    crops: Tensor
    """(B, 3, C, C) uint8."""
    images: Tensor
    """(B, 3, C, C) normalised."""
    tokens: Tensor
    """(B, N, D)."""
    people: EhmParameters
    """B people."""

    @classmethod
    def random(cls, network: EhmRegressor, count: int, device: torch.device) -> "Inputs":
        """Noise crops and posed people."""
        config, rng = network.config, torch.Generator().manual_seed(0)
        shape = (count, 3, config.crop_px, config.crop_px)
        crops = torch.randint(0, 256, shape, dtype=torch.uint8, generator=rng).to(device)
        cut = slice(config.side_px, config.crop_px - config.side_px)
        with torch.no_grad():
            tokens = network.backbone(normalise(crops)[..., cut])
        people = map_tensors(random_people(network, count, rng), lambda tensor: tensor.to(device))
        return cls(crops=crops, images=normalise(crops), tokens=tokens, people=people)


def random_people(network: EhmRegressor, count: int, rng: torch.Generator) -> EhmParameters:
    """People with every part in use."""

    found: dict[str, Tensor] = {}
    for field in EHM_FIELDS:
        noise = torch.randn(count, *field.column_shape(network.config.size), generator=rng)
        if field.kind == "rotation":
            found[field.name] = rotvec_to_rotmat(0.3 * noise)
        elif field.kind == "coefficients":
            found[field.name] = noise
        elif field.name != "transl_m":
            found[field.name] = field.default + 0.1 * noise.abs()
    return EhmParameters(**found)


def functions_of(network: EhmRegressor, body: nn.Module, normals: VertexNormals) -> dict[str, Callable[..., Any]]:
    """A function of one argument for each part."""
    config = network.config
    cut = slice(config.side_px, config.crop_px - config.side_px)

    def posed(people: EhmParameters) -> EhmOutput:
        return body(people)

    def animated(people: EhmParameters) -> tuple[EhmOutput, Tensor]:
        out = posed(people)
        return out, normals(out.vertices)

    return {
        "encoder": lambda images: network.backbone(images[..., cut]),
        "decoder": network.heads,
        "body": posed,
        "animation": animated,
        "network": lambda crops: network(normalise(crops)).parameters,
    }


def arguments_of(inputs: Inputs) -> dict[str, Any]:
    """The argument of each function."""
    people = inputs.people
    return {
        "encoder": inputs.images, "decoder": inputs.tokens, "body": people, "animation": people,
        "network": inputs.crops,
    }  # fmt: skip


def ours(part: str, models: Models, inputs: Inputs, mode: Mode, precision: Precision) -> Call:
    """A call of a part in one mode; `total` is the network, then the body in float32."""
    network = for_precision(models.network, precision)
    functions, arguments = functions_of(network, models.body, models.normals), arguments_of(inputs)
    if part != "total":
        run = accelerate(functions[part], (arguments[part],), mode=mode, precision=precision)
        return lambda: run(arguments[part])
    say = accelerate(functions["network"], (inputs.crops,), mode=mode, precision=precision)
    pose = accelerate(functions["body"], (inputs.people,), mode=mode, precision="fp32")
    return lambda: pose(say(inputs.crops))


def baselines(part: str, models: Models, inputs: Inputs) -> dict[str, Call]:
    """The calls that a part is compared with, in float32, eager."""
    functions = functions_of(models.plain_network, models.plain_body, models.normals)
    arguments = arguments_of(inputs)
    if part == "total":
        say = accelerate(functions["network"], (inputs.crops,), precision="fp32")
        pose = accelerate(functions["body"], (inputs.people,), precision="fp32")
        return {PLAIN: lambda: pose(say(inputs.crops))}
    run = accelerate(functions[part], (arguments[part],), precision="fp32")
    found: dict[str, Call] = {PLAIN: lambda: run(arguments[part])}
    if part == "body" and models.package is not None:
        layer = accelerate(models.package, (inputs.people,), precision="fp32")
        found[PACKAGE] = lambda: layer(inputs.people)
    return found


def work_of(part: str, models: Models, inputs: Inputs, precision: Precision) -> Work:
    """Products and bytes of our way: weights once, arguments and results once."""
    if part == "total":
        one, other = (work_of(name, models, inputs, precision) for name in ("encoder", "decoder"))
        body = work_of("body", models, inputs, "fp32")
        return Work(flops=one.flops + other.flops + body.flops, bytes=one.bytes + other.bytes + body.bytes)
    network, body, people = models.network, models.body, len(inputs.crops)
    function, argument = functions_of(network, body, models.normals)[part], arguments_of(inputs)[part]
    if part in ("body", "animation"):
        support = body.body.skin_support
        on_cpu = support is not None and inputs.crops.device.type == "cpu"
        skin = list(support.buffers()) if support is not None and on_cpu else [body.body.skin_weights]
        kept = [body.rest_template, body.rest_dirs, body.head_weight, *skin]
        kept += [] if body.rest_posedirs is None else [body.rest_posedirs]
        results = people * 12 * len(body.head_weight)  # Three floats a vertex.
        moved = bytes_of([*kept, *(models.normals.buffers() if part == "animation" else [])])
        return Work(flops=flops_of(lambda: function(argument)), bytes=moved + results * (1 + (part == "animation")))
    heads = nn.ModuleList([network.decoder, network.smplx_head, network.flame_head])
    module = network.backbone if part == "encoder" else heads
    share = 0.5 if precision == "bf16" and part == "encoder" else 1.0
    moved = share * bytes_of(list(module.parameters())) + bytes_of([argument])
    moved += bytes_of([inputs.tokens]) if part == "encoder" else 0.0  # what the heads say is next to nothing
    return Work(flops=flops_of(lambda: function(argument)), bytes=moved)


def differences(models: Models, inputs: Inputs) -> dict[str, float]:
    """Largest distances between the methods: vertices in metres, parameters as they are."""
    with torch.no_grad():
        said, plain = (network(inputs.images).parameters for network in (models.network, models.plain_network))
        people = inputs.people
        posed, dense = models.body(people), models.plain_body(people)
        found = {
            "parameters, plain": _apart(tensors_of(said), tensors_of(plain)),
            "vertices, plain": _apart([posed.vertices, posed.keypoints], [dense.vertices, dense.keypoints]),
        }
        if models.package is not None:
            rest = EhmParameters.neutral(len(people), size=people.size, device=people.betas.device)
            plain = {name: getattr(rest, name) for name in ("flame_shape", "flame_expression", "eyelids", "head_scale")}
            same = models.body(dataclasses.replace(people, **plain))
            found["vertices, package without a FLAME head"] = _apart([same.vertices], [models.package(people)])
    return found


def _apart(one: list[Tensor], other: list[Tensor]) -> float:
    return float(np.max([(a - b).abs().max().item() for a, b in zip(one, other, strict=True)]))
