"""Learns a texture from the colours that people have at the sites of a mesh, some of which may not have been seen.

Probabilistic principal components: with all sites seen, the exact ones; with some missing, people's coefficients
and the texture are fitted in turn (expectation maximisation without the spread of the coefficients).

Letters: P people, S sites, K directions, b sites at a time.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from model.renderer.texture.light import brightness
from model.renderer.texture.texture import Looks, Texture

BLOCK = 1024
"""Sites that are worked on at a time; bounds memory."""
NOISE = 0.03
"""What of a colour no direction says, standard deviation: how far coefficients of people of whom little is seen go."""
ROUNDS = 6
"""Fits of coefficients and texture in turn, where sites are missing."""
KEPT = 2.0
"""A site's colours stay what they were as if so many more people said so: nothing is made of what few people show."""
MANY = 3
"""People a direction that tell how people vary along it; fewer move the mean alone, directions keep their length."""
LEAST_LIGHT = 0.1
"""Sites darker than this share of white say nothing of their colour."""


class Rows(NamedTuple):
    """Colours of the surface of people; 8 bits each, since they are the bulk of what learning needs."""

    colours: Tensor
    """(P, S, 3) uint8, 0..255."""
    weight: Tensor
    """(P, S) uint8, 0..255; 0 where a site was not seen."""


class Principal(NamedTuple):
    """Mean (S, 3) and directions (K, S, 3), each one standard deviation long."""

    mean: Tensor
    directions: Tensor


def principal_directions(colours: Tensor, number: int) -> Principal:
    """Of people of whom all sites are known.

    Args:
        colours: (P, S, 3) uint8.
        number: K, less than P.

    Raises:
        ValueError: There are no more people than directions.
    """
    people, sites, _ = colours.shape
    if not 0 < number < people:
        raise ValueError(f"expected 1 to {people - 1} directions of {people} people, got {number}")
    mean = torch.cat([_unit(block).mean(0) for block in colours.split(BLOCK, dim=1)])
    gram = torch.zeros(people, people, dtype=torch.float64)
    for part, block in zip(mean.split(BLOCK), colours.split(BLOCK, dim=1), strict=True):
        apart = (_unit(block) - part).flatten(1)
        gram += apart @ apart.T
    vectors = torch.linalg.eigh(gram).eigenvectors.flip(1)[:, :number].float()
    # Signs of eigenvectors are arbitrary; the largest share decides them.
    vectors = vectors * torch.sign(vectors.gather(0, vectors.abs().argmax(0, keepdim=True)))
    directions = torch.empty(number, sites, 3)
    for first in range(0, sites, BLOCK):
        own = slice(first, first + BLOCK)
        directions[:, own] = torch.einsum("pk,psc->ksc", vectors, _unit(colours[:, own]) - mean[own]) / people**0.5
    return Principal(mean, directions)


def adapt(start: Principal, rows: Rows, rounds: int = ROUNDS) -> Principal:
    """Principal directions of people of whom not all sites are known, from others to begin with.

    What nobody shows stays as it was.
    """
    mean, directions = start
    for _ in range(rounds):
        coefficients = _coefficients(Principal(mean, directions), rows)
        mean, directions = _refitted(Principal(mean, directions), rows, coefficients)
        if len(coefficients) >= MANY * len(directions):
            mean, directions = _whitened(mean, directions, coefficients)
        else:
            centre = coefficients.sum(0) / (len(coefficients) + KEPT)
            mean = mean + torch.einsum("k,ksc->sc", centre, directions)
    return Principal(mean, directions)


def unlit(texture: Texture, colours: Tensor, weight: Tensor, normals: Tensor) -> tuple[Rows, Looks]:
    """Colours of the surface of people in pictures (B, S, 3), without the light that a texture finds in them.

    Args:
        texture: What is known already.
        colours: (B, S, 3), 0..1, as seen.
        weight: (B, S), 0..1.
        normals: (B, S, 3).
    """
    looks = texture.fit(colours, weight, normals)
    light = brightness(looks.light, normals)
    known = (weight * light[..., 0].clamp(max=1.0) ** 2) * (light[..., 0] > LEAST_LIGHT)
    surface = (colours / light.clamp(min=LEAST_LIGHT)).clamp(0.0, 1.0)
    return Rows(*((255.0 * part).round().to(torch.uint8) for part in (surface, known))), looks


def light_of_people(lights: Tensor) -> tuple[Tensor, Tensor]:
    """Lights (P, 9) -> their mean (9,) and the factor (9, 9) of their covariance."""
    lights = lights.double()
    covariance = torch.cov(lights.T) + 1e-6 * torch.eye(lights.shape[1], dtype=torch.float64)
    return lights.mean(0).float(), torch.linalg.cholesky(covariance).float()


def _unit(colours: Tensor) -> Tensor:
    return colours.float() / 255.0


def _coefficients(known: Principal, rows: Rows) -> Tensor:
    """(P, K)."""
    people, number = len(rows.colours), len(known.directions)
    squares, right = torch.zeros(people, number * number), torch.zeros(people, number)
    for first in range(0, len(known.mean), BLOCK):
        own = slice(first, first + BLOCK)
        weight, directions = _unit(rows.weight[:, own]), known.directions[:, own]
        squares += weight @ torch.einsum("ksc,lsc->skl", directions, directions).flatten(1)
        apart = weight[..., None] * (_unit(rows.colours[:, own]) - known.mean[own])
        right += torch.einsum("psc,ksc->pk", apart, directions)
    left = squares.view(people, number, number) + NOISE**2 * torch.eye(number)
    return torch.linalg.solve(left, right)


def _refitted(known: Principal, rows: Rows, coefficients: Tensor) -> Principal:
    """The texture that says best what people show who have these coefficients (P, K)."""
    regressors = torch.cat([torch.ones(len(coefficients), 1), coefficients], 1)  # (P, K + 1)
    squares = (regressors[:, :, None] * regressors[:, None]).flatten(1)
    before = torch.cat([known.mean[None], known.directions])  # (K + 1, S, 3)
    after = torch.empty_like(before)
    for first in range(0, before.shape[1], BLOCK):
        own = slice(first, first + BLOCK)
        weight = _unit(rows.weight[:, own])
        left = (weight.T @ squares).view(weight.shape[1], regressors.shape[1], -1) + KEPT * torch.eye(len(before))
        seen = weight[..., None] * _unit(rows.colours[:, own])
        right = torch.einsum("pk,psc->skc", regressors, seen) + KEPT * before[:, own].transpose(0, 1)
        after[:, own] = torch.linalg.solve(left, right).transpose(0, 1)
    return Principal(after[0], after[1:])


def _whitened(mean: Tensor, directions: Tensor, coefficients: Tensor) -> Principal:
    """The same colours from coefficients of mean 0 and covariance 1, the directions orthogonal, the longest first."""
    centre = coefficients.mean(0)
    apart = (coefficients - centre).double()
    spread = apart.T @ apart / len(apart) + 1e-6 * torch.eye(apart.shape[1], dtype=torch.float64)
    factor = torch.linalg.cholesky(spread).float()
    mean = mean + torch.einsum("k,ksc->sc", centre, directions)
    directions = torch.einsum("kl,ksc->lsc", factor, directions)
    flat = directions.flatten(1)
    turn = torch.linalg.eigh((flat @ flat.T).double()).eigenvectors.flip(1).float()
    return Principal(mean, torch.einsum("kl,ksc->lsc", turn, directions))
