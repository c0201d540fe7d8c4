"""Vertex order: the skin keypoints sit at the numbers where other software expects them.

The package `smplx` has the vertex numbers of nose, eyes, ears, fingertips and feet of the official meshes built in. The
vertices of this body are swapped so that the same numbers hit the same places. Converted official files take their
keypoint vertices from here; for the open body they are stored beside its arrays.
"""

import numpy as np

SMPLX_NUMBERS: dict[str, int] = {
    "nose": 9120, "right_eye": 9929, "left_eye": 9448, "right_ear": 616, "left_ear": 6,
    "right_thumb": 8079, "right_index": 7669, "right_middle": 7794, "right_ring": 7905, "right_pinky": 8022,
    "left_thumb": 5361, "left_index": 4933, "left_middle": 5058, "left_ring": 5169, "left_pinky": 5286,
    "left_big_toe": 5770, "left_small_toe": 5780, "left_heel": 8846,
    "right_big_toe": 8463, "right_small_toe": 8474, "right_heel": 8635,
}  # fmt: skip
"""Name of a keypoint -> vertex of the official SMPL-X mesh."""
SMPL_NUMBERS: dict[str, int] = {
    "nose": 332, "right_eye": 6260, "left_eye": 2800, "right_ear": 4071, "left_ear": 583,
    "right_thumb": 6191, "right_index": 5782, "right_middle": 5905, "right_ring": 6016, "right_pinky": 6133,
    "left_thumb": 2746, "left_index": 2319, "left_middle": 2445, "left_ring": 2556, "left_pinky": 2673,
    "left_big_toe": 3216, "left_small_toe": 3226, "left_heel": 3387,
    "right_big_toe": 6617, "right_small_toe": 6624, "right_heel": 6787,
}  # fmt: skip
"""The same for SMPL."""
MANO_NUMBERS: dict[str, int] = {"thumb": 744, "index": 320, "middle": 443, "ring": 554, "pinky": 671}
"""Finger -> vertex of its tip on the official MANO mesh, the same for both hands."""


def numbered_order(count: int, vertices: dict[str, int], numbers: dict[str, int]) -> np.ndarray:
    """Order (count,) of old vertices, changed by swaps only, such that order[numbers[name]] == vertices[name]."""
    order = np.arange(count)
    place = np.arange(count)
    for name, number in numbers.items():
        old, other = vertices[name], order[number]
        order[place[old]], order[number] = other, old
        place[other], place[old] = place[old], number
    return order


def inverse_order(order: np.ndarray) -> np.ndarray:
    """(count,) new number of each old vertex."""
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse
