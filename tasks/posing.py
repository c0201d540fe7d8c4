"""From the columns of a label file to a posed body, or to its joints."""

from collections.abc import Mapping

import numpy as np
import torch

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import LABEL_FIELDS
from datasets_manifest.schema.keypoint_sets import SMPLX_144
from model.body.ehms import EhmOutput, EHMs
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.body.skeleton import NUM_SMPLX_JOINTS

NUM_SMPLX_POINTS = 144
"""Of the package ``smplx``: 55 joints of the skeleton, then points of the skin."""


def known_values(rows: Columns) -> dict[str, np.ndarray]:
    """Parameters (B, ...) of label rows by column; what is not known is neutral."""
    return {field.name: np.nan_to_num(rows[field.name], nan=field.default) for field in LABEL_FIELDS}


def pose_bodies(ehm: EHMs, columns: Mapping[str, np.ndarray]) -> EhmOutput:
    """Runs the body model on label columns.

    Args:
        ehm: the body model the labels were made with.
        columns: (B, n) or (B, ..., 3) arrays by column name of the label schema; an absent one is neutral.

    Returns:
        vertices (B, V, 3), joints (B, 55, 3), keypoints (B, 133, 3); camera frame, metres.
    """
    with torch.inference_mode():
        return ehm(EhmParameters.from_columns(columns))


def posed_vertices(ehm: EHMs, people: EhmParameters) -> np.ndarray:
    """(V, 3) camera frame, metres: the mesh of one person (batch of 1), of any number of coefficients."""
    with torch.inference_mode():
        return ehm(people.resized(ehm.size)).vertices[0].double().numpy()


def smplx_points(joints: torch.Tensor, keypoints: torch.Tensor) -> np.ndarray:
    """Joints (B, 55, 3) and keypoints (B, 133, 3) -> (B, 144, 3) in the order of the package ``smplx``, float64."""
    points = np.zeros((len(joints), NUM_SMPLX_POINTS, 3))
    points[:, SMPLX_144] = keypoints.double().numpy()
    points[:, :NUM_SMPLX_JOINTS] = joints.double().numpy()
    return points


class JointBody:
    """Poses the joints of label columns alone, a hundred times faster than the mesh."""

    def __init__(self, ehm: EHMs) -> None:
        """Takes the body model the labels were made with."""
        self._body = KeypointBody(ehm.assets, ehm.size)

    def joints(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """(B, 55, 3) camera frame, metres, SMPL-X order; of columns as ``pose_bodies`` takes them."""
        return self.joints_of(EhmParameters.from_columns(columns)).double().numpy()

    def joints_of(self, people: EhmParameters) -> torch.Tensor:
        """(B, 55, 3) likewise, of people of any number of coefficients."""
        with torch.inference_mode():
            return self._body.posed_joints(people.resized(self._body.size))


class Statures:
    """How tall people are: from the sole to the top of the head, standing at rest."""

    def __init__(self, ehm: EHMs) -> None:
        """Takes the body model the labels were made with."""
        height = ehm.assets.smplx.v_template[:, 1]
        ends = np.array([height.argmax(), height.argmin()])
        self._body = KeypointBody(ehm.assets, ehm.size, extra_vertex_ids=ends)

    def metres(self, people: EhmParameters) -> np.ndarray:
        """(B,)."""
        people = people.resized(self._body.size)
        shape = {name: getattr(people, name) for name in ("betas", "flame_shape", "head_scale")}
        with torch.inference_mode():
            ends = self._body.extra_vertices_at_rest(EhmParameters.neutral(len(people), size=people.size, **shape))
        return (ends[:, 0, 1] - ends[:, 1, 1]).double().numpy()
