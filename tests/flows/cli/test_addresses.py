"""An address where a path of this machine is wanted is refused in one sentence; no folder called s3: ever appears."""

import pytest
from stub_estimators import write_photos, write_stub_params
from typer.testing import CliRunner

from flows.cli.app import app

ADDRESS = "s3://bucket/x"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_stub_params(tmp_path)
    write_photos(tmp_path / "photos", ["1.png"])
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        f"annotate --params {ADDRESS}",
        f"annotate photos --set output.work={ADDRESS}",
        f"annotate photos --set output.report={ADDRESS}",
        f"annotate photos --set output.metrics={ADDRESS}",
        f"annotate photos --set keypoints.backend=mediapipe --set keypoints.options.pose_path={ADDRESS}",
        f"annotate photos --set body_model.path={ADDRESS}",
        f"inspect photos/all/1.png#0 --out {ADDRESS}",
        f"masks --out {ADDRESS}",
        f"compare photos photos --out {ADDRESS}",
        f"stats photos --out {ADDRESS}",
        f"view {ADDRESS}",
        f"view --set output.labels={ADDRESS}",
        f"export coco-wholebody --out {ADDRESS}",
        f"export coco-wholebody --reviews {ADDRESS}",
        f"export gltf --predictions {ADDRESS}",
        f"export gltf --predictions photos --body-model {ADDRESS}",
        f"evaluate {ADDRESS}",
        f"predict {ADDRESS} --checkpoint x",
        f"predict photos --checkpoint {ADDRESS}",
        f"predict photos --checkpoint x --out {ADDRESS}",
        f"predict photos --checkpoint x --motion {ADDRESS}",
        f"review photos/all/1.png#0 face=rejected --reviews {ADDRESS}",
        f"audit body --reviews {ADDRESS}",
        f"lineage {ADDRESS}",
        f"lineage photos --within {ADDRESS}",
        f"init {ADDRESS}",
        f"init new --photos {ADDRESS}",
        f"assets --root {ADDRESS}",
        f"train --params {ADDRESS}",
        f"config --params {ADDRESS}",
        f"datasets --params {ADDRESS}",
    ],
)
def test_a_command_refuses_an_address(project, words):
    before = sorted(path.name for path in project.iterdir())
    answer = CliRunner().invoke(app, words.split())
    assert answer.exit_code == 2, answer.output
    assert "got the address 's3:/" in answer.output
    assert "\n" not in answer.output.strip()
    assert sorted(path.name for path in project.iterdir()) == before
