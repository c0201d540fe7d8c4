"""What the body, the hands and the face estimator share: the networks, and the evidence about each person."""

from __future__ import annotations

from model.estimators.base import Array, PersonBatch
from model.estimators.mediapipe.graphs.runner import networks
from model.estimators.mediapipe.lift.rest import RestSkeleton, open_skeleton
from model.estimators.mediapipe.search.hand_landmarks import HandConfig
from model.estimators.mediapipe.search.person import evidence_of
from model.estimators.mediapipe.search.pose import PoseConfig


class MediapipePart:
    """A part estimator on MediaPipe's landmarks.

    What the keypoint step already read is used; only for keypoints of another backend are the networks run again.
    """

    def __init__(
        self,
        *,
        pose: PoseConfig | None = None,
        hands: HandConfig | None = None,
        skeleton: RestSkeleton | None = None,
    ) -> None:
        self._pose = pose or PoseConfig()
        self._hands = hands or HandConfig()
        self._rest = skeleton or open_skeleton()
        self._networks = networks()
        self.info = self._networks.info

    def evidence(
        self, batch: PersonBatch, *, spread: bool = False, hands: bool = False, face: bool = False
    ) -> dict[str, Array]:
        """Landmarks of every person (P, ...), NaN where there are none; the flags say what is needed."""
        return evidence_of(self._networks, batch, self._pose, self._hands, spread=spread, hands=hands, face=face)
