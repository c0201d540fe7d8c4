import pytest

from model.estimators import create, known_backends, register


@pytest.mark.parametrize("part", ["keypoints", "body", "hands", "face"])
def test_unknown_backend_names_the_known_ones(part):
    with pytest.raises(ValueError, match=r"'openpose', expected one of .*mediapipe.*simulated"):
        create(part, "openpose")


def test_unknown_part_names_the_known_ones():
    with pytest.raises(ValueError, match="keypoints, body, hands, face"):
        create("feet", "mediapipe")
    with pytest.raises(ValueError, match="keypoints, body, hands, face"):
        register("feet", "mine")


def test_annotations_are_a_keypoint_backend_only():
    assert "annotations" in known_backends("keypoints")
    assert "annotations" not in known_backends("body")


def test_registered_backend_is_built_with_its_options():
    @register("face", "test-only")
    class Mine:
        def __init__(self, *, threshold: float) -> None:
            self.threshold = threshold

    assert create("face", "test-only", threshold=0.25).threshold == 0.25


@pytest.mark.parametrize(
    ("options", "said"), [({"pose_path": "x", "size": 1}, "unexpected keyword argument 'pose_path'"), ({}, "'size'")]
)
def test_options_that_do_not_fit_name_part_backend_and_the_known_ones(options, said):
    @register("face", "test-only-sized")
    class Mine:
        def __init__(self, *, size: int, colour: str = "red") -> None: ...

    with pytest.raises(
        ValueError, match=rf"face estimator 'test-only-sized': .*{said}.*; its options are size, colour"
    ):
        create("face", "test-only-sized", **options)


def test_an_unknown_field_of_a_networks_settings_names_the_known_ones():
    with pytest.raises(ValueError, match=r"body estimator 'hmr2': .*'haff'; its options are .*half.*checkpoint_path"):
        create("body", "hmr2", checkpoint_path="x", haff=True)
