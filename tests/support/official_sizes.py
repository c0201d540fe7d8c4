"""A random body with as many vertices as SMPL-X and FLAME have."""

import dataclasses

import numpy as np
from toy_bodies import make_toy_assets

from model.renderer.guava.body import NUM_FLAME, NUM_SMPLX

LIDS = 100
"""Vertices of the head that are eyelids."""


def official_sizes(seed=0):
    """Toy assets whose vertices are repeated with noise up to the official numbers."""
    toy = make_toy_assets(corners=False, correctives=False, seed=seed)
    rng = np.random.default_rng(seed)

    def grown(part, count):
        ids = np.arange(count) % part.num_vertices
        regressor = np.zeros((part.num_joints, count), np.float32)
        regressor[:, : part.num_vertices] = part.joint_regressor
        noise = rng.normal(0, 0.01, (count, 3)).astype(np.float32)
        lids = None if part.eyelid_dirs is None else part.eyelid_dirs[ids]
        return dataclasses.replace(
            part, v_template=part.v_template[ids] + noise, faces=rng.integers(0, count, (50, 3)),
            shapedirs=part.shapedirs[ids], exprdirs=part.exprdirs[ids], joint_regressor=regressor,
            skin_weights=part.skin_weights[ids], eyelid_dirs=lids,
        )  # fmt: skip

    flame = grown(toy.flame, NUM_FLAME)
    # As in FLAME, what an eyelid moves hangs on the neck alone.
    flame.skin_weights[:LIDS] = np.eye(5)[1]
    flame.eyelid_dirs[LIDS:] = 0.0
    return dataclasses.replace(
        toy,
        smplx=grown(toy.smplx, NUM_SMPLX),
        flame=flame,
        head_vertex_ids=rng.permutation(NUM_SMPLX)[:NUM_FLAME],
        regions={"lips": np.ones(NUM_SMPLX, bool)},
        keep_body_ids=np.arange(5),
    )
