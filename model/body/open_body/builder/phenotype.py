"""People as phenotypes: gender, age, muscle, weight, height, proportions, ancestry -> base-mesh vertices.

Every phenotype is a point in [0, 1]; MakeHuman stores targets at the ends (and middles) of each scale and for their
combinations. A target's weight is the product of the hat-function weights of the values in its name.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.body.open_body.builder.source import Target, read_target

SCALES: dict[str, tuple[str, ...]] = {
    "race": ("african", "asian", "caucasian"),
    "gender": ("male", "female"),
    "age": ("baby", "child", "young", "old"),
    "muscle": ("minmuscle", "averagemuscle", "maxmuscle"),
    "weight": ("minweight", "averageweight", "maxweight"),
    "height": ("minheight", "maxheight"),
    "proportions": ("idealproportions", "uncommonproportions"),
}
"""Phenotype -> names of its evenly spaced stations on [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phenotypes:
    """N people. All values in [0, 1]; age 1/3 is a child, 2/3 a young adult, 1 old."""

    gender: np.ndarray
    """(N,) 0 male, 1 female."""
    age: np.ndarray
    """(N,)."""
    muscle: np.ndarray
    """(N,)."""
    weight: np.ndarray
    """(N,)."""
    height: np.ndarray
    """(N,)."""
    proportions: np.ndarray
    """(N,)."""
    race: np.ndarray
    """(N, 3) mixture of the three stations, rows sum to 1."""

    def __len__(self) -> int:
        return len(self.age)

    def __getitem__(self, rows: slice) -> "Phenotypes":
        return Phenotypes(**{name: getattr(self, name)[rows] for name in self.__slots__})


def average_person(*, age: float = 0.7, height: float = 0.42, gender: float = 0.5) -> Phenotypes:
    """One person in the middle of every scale."""
    half = np.array([0.5])
    return Phenotypes(
        gender=np.array([gender]), age=np.array([age]), muscle=half, weight=half, height=np.array([height]),
        proportions=half, race=np.full((1, 3), 1 / 3),
    )  # fmt: skip


def sample_people(rng: np.random.Generator, num_people: int, *, children: bool = False) -> Phenotypes:
    """Draw adults (or children): even in gender, age and ancestry, bell-shaped in build and stature."""
    low, high, tall = (0.2, 0.6, (14, 24)) if children else (0.6, 0.95, (16.5, 25.7))
    return Phenotypes(
        gender=rng.random(num_people),
        age=rng.uniform(low, high, num_people),
        muscle=np.clip(rng.normal(0.5, 0.2, num_people), 0, 1),
        weight=np.clip(rng.normal(0.5, 0.2, num_people), 0, 1),
        height=rng.beta(*tall, num_people),
        proportions=rng.uniform(0.2, 0.9, num_people),
        race=rng.dirichlet([1, 1, 1], num_people),
    )


def concatenate(*groups: Phenotypes) -> Phenotypes:
    """Join groups of people, in order."""
    return Phenotypes(**{n: np.concatenate([getattr(g, n) for g in groups]) for n in Phenotypes.__slots__})


class PhenotypeMorphs:
    """All phenotype targets as one dense basis over the base mesh."""

    def __init__(self, root: Path, base_vertices: np.ndarray) -> None:
        self.base_vertices = base_vertices.astype(np.float32)
        self.stations, paths = zip(*_catalogue(root / "mpfb2/targets/macrodetails"), strict=True)
        self.offsets = np.stack([read_target(path).dense(len(base_vertices)) for path in paths])

    def vertices(self, people: Phenotypes, changes: list[list[tuple[Target, float]]] | None = None) -> np.ndarray:
        """(N, B, 3) float32 base-mesh vertices in the MakeHuman rest pose, plus optional weighted local changes."""
        weights = self._target_weights(people)
        vertices = (weights @ self.offsets.reshape(len(self.offsets), -1)).reshape(len(people), -1, 3)
        vertices += self.base_vertices
        for person, local in zip(vertices, changes or [], strict=False):
            for target, amount in local:
                person[target.vertex_ids] += np.float32(amount) * target.offsets
        return vertices

    def _target_weights(self, people: Phenotypes) -> np.ndarray:
        by_station = dict(zip(SCALES["race"], people.race.T, strict=True))
        for scale in ("gender", "age", "muscle", "weight", "height", "proportions"):
            by_station |= dict(zip(SCALES[scale], _hat(getattr(people, scale), len(SCALES[scale])).T, strict=True))
        return np.stack([np.prod([by_station[s] for s in names], 0) for names in self.stations], 1).astype(np.float32)


def _hat(x: np.ndarray, stations: int) -> np.ndarray:
    """Hat-function weights (N, stations) of points (N,) in [0, 1]."""
    position = np.clip(x, 0, 1) * (stations - 1)
    return np.clip(1 - np.abs(position[:, None] - np.arange(stations)), 0, None)


def _catalogue(folder: Path) -> list[tuple[tuple[str, ...], Path]]:
    """(station names, file) of every phenotype target."""
    found = []
    for build in itertools.product(SCALES["gender"], SCALES["age"], SCALES["muscle"], SCALES["weight"]):
        stem = "-".join(build)
        found.append((build, folder / f"universal-{stem}.target.gz"))
        found += [((*build, h), folder / f"height/{stem}-{h}.target.gz") for h in SCALES["height"]]
        if "baby" not in build:
            found += [((*build, p), folder / f"proportions/{stem}-{p}.target.gz") for p in SCALES["proportions"]]
    for origin in itertools.product(SCALES["race"], SCALES["gender"], SCALES["age"]):
        found.append((origin, folder / f"{'-'.join(origin)}.target.gz"))
    return found
