import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.estimators import create, known_backends, register, registry

ROOT = Path(__file__).resolve().parents[3]


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


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Installs a package with entry points, as pip would, for as long as a test lasts."""

    def install(name, points):
        folder = tmp_path / name
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{point} = {target}" for point, target in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[pear.estimators]", *lines, ""]))
        (folder / f"{name}_hands.py").write_text(
            "class Mine:\n    def __init__(self, *, size: int = 3) -> None:\n        self.size = size\n\nNUMBER = 3\n"
        )
        monkeypatch.syspath_prepend(folder)
        registry._of_packages.cache_clear()
        return folder

    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    yield install
    registry._of_packages.cache_clear()


def test_a_backend_of_a_package_is_known_by_its_entry_point(package):
    package("mine", {"hands.mine": "mine_hands:Mine"})
    assert "mine" in known_backends("hands")
    assert "mine" not in known_backends("face")
    assert create("hands", "mine", size=5).size == 5
    with pytest.raises(ValueError, match=r"hands estimator 'mine': .*'sice'; its options are size"):
        create("hands", "mine", sice=5)


def test_a_process_that_imports_nothing_of_it_knows_it_too(package):
    """As a worker on another machine does not."""
    folder = package("mine", {"hands.mine": "mine_hands:Mine"})
    code = "from model.estimators import create; print(create('hands', 'mine').size)"
    paths = {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | paths, capture_output=True, text=True, check=True
    )
    assert done.stdout == "3\n"


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        ({"feet.mine": "mine_hands:Mine"}, r"entry point feet.mine .* of the package mine .*expected <part>.<name>"),
        ({"hands": "mine_hands:Mine"}, r"is called 'hands', expected <part>.<name>"),
        ({"hands.hamer": "mine_hands:Mine"}, r"of the package mine has the name of a built-in backend, hands.hamer"),
        ({"hands.mine": "gone:Mine"}, r"cannot be imported \(ModuleNotFoundError: .*gone"),
        ({"hands.mine": "mine_hands:Yours"}, r"cannot be imported \(AttributeError: .*Yours"),
        ({"hands.mine": "mine_hands:NUMBER"}, r"is no class or function: mine_hands:NUMBER"),
    ],
)
def test_what_is_wrong_with_an_entry_point_is_said_with_its_package(package, points, sentence):
    package("mine", points)
    with pytest.raises(ValueError, match=sentence):
        create("hands", "mine")


def test_two_packages_with_one_name_are_told_apart(package):
    package("mine", {"hands.mine": "mine_hands:Mine"})
    package("yours", {"hands.mine": "yours_hands:Mine"})
    with pytest.raises(ValueError, match=r"of the package (mine|yours) and .*of the package (mine|yours) are both"):
        known_backends("hands")
