"""Expression space: the face actions that are neither jaw, gaze, lids nor tongue, turned into orthogonal components."""

import numpy as np

NUM_SAMPLES = 4000
_SEPARATE = ("jaw", "eyeLook", "eyeBlink", "tongueOut", "mouthClose")
"""Actions that joints (jaw, eyes) or the eyelid directions carry, or that need parts this body lacks."""


def expression_actions(names: list[str]) -> list[str]:
    """The actions that span the expression space."""
    return [name for name in names if not name.startswith(_SEPARATE)]


def expression_space(
    rng: np.random.Generator, actions: list[str], offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Components of the face actions under a made-up distribution of faces.

    Random faces use a few actions at a time, left and right alike up to noise. Components are ordered by how much of
    these faces they explain; a coefficient of 1 is one root mean square. A neutral face has all coefficients zero.

    Args:
        rng: Source of randomness.
        actions: (A,) names.
        offsets: (A, V, 3) displacement at full activation.

    Returns:
        Directions (V, 3, A) and the matrix (A, A) from action activations (row vector) to coefficients.
    """
    moment = _second_moment(rng, actions)
    root = np.linalg.cholesky(moment + 1e-9 * np.eye(len(actions)))
    flat = offsets.reshape(len(actions), -1).astype(np.float64)
    _, scale, basis = np.linalg.svd(root.T @ flat, full_matrices=False)
    ramp = basis @ np.cos(np.arange(basis.shape[1]))
    basis = basis * np.sign(ramp)[:, None]
    from_actions = flat @ basis.T / scale
    return (basis * scale[:, None]).reshape(len(scale), -1, 3).transpose(1, 2, 0), from_actions


def _second_moment(rng: np.random.Generator, actions: list[str]) -> np.ndarray:
    """E[a a^T] (A, A) of random activations."""
    pair_level: dict[str, np.ndarray] = {}
    activation = np.zeros((NUM_SAMPLES, len(actions)))
    for k, action in enumerate(actions):
        pair = action.removesuffix("Left").removesuffix("Right")
        if pair not in pair_level:
            pair_level[pair] = (rng.random(NUM_SAMPLES) < 0.25) * rng.beta(1.5, 1.5, NUM_SAMPLES)
        level = pair_level[pair]
        uneven = (level > 0) * rng.normal(0, 0.25, NUM_SAMPLES)
        alone = (rng.random(NUM_SAMPLES) < 0.04) * rng.random(NUM_SAMPLES)
        activation[:, k] = np.clip(level + uneven + alone, 0, 1)
    return activation.T @ activation / NUM_SAMPLES
