"""What a source of keypoints says of hips and shoulders."""

import numpy as np

from model.estimators.surface import SurfacePlaces


def test_hips_come_before_shoulders_for_every_person():
    places = SurfacePlaces(offset_m=(0.01, 0.02, 0.03, 0.04, 0.05, 0.06), hip_sigma_m=0.03, shoulder_sigma_m=0.015)
    evidence = places.evidence(2)
    np.testing.assert_allclose(evidence["surface_offset_m"], [[0.01, 0.02, 0.03, 0.04, 0.05, 0.06]] * 2)
    np.testing.assert_allclose(evidence["surface_sigma_m"], [[0.03, 0.03, 0.03, 0.015, 0.015, 0.015]] * 2)
    assert all(array.dtype == np.float32 for array in evidence.values())
