"""The program of `open_people`, on a few of them."""

import json

import pytest
from predictions_of_photos import checkpoint

from benchmarks.open_people import main
from tasks.evaluate.open_people import head_row

pytestmark = pytest.mark.long


@pytest.mark.slow
def test_starts_labels_and_checkpoints_have_a_row_each_of_one_hash(tmp_path, capsys):
    (tmp_path / "net.safetensors").write_bytes(checkpoint())
    checkpoint_file = str(tmp_path / "net.safetensors")
    main(["--starts", "simulated", "--people", "6", "--folder", str(tmp_path), "--checkpoint", checkpoint_file])
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert rows[0] == head_row()[0]
    assert [row[0] for row in rows[2:]] == ["simulated", "simulated, refined", "net"]
    results = [json.loads(path.read_text()) for path in sorted((tmp_path / "results").iterdir())]
    assert len({own["data_sha256"] for own in results}) == 1
    assert {own["method"]: own["figures"]["people"] for own in results} == dict.fromkeys(
        ("net", "simulated", "simulated, refined"), 6
    )
    start, refined = (own["figures"]["whole/pa_mpjpe_mm"]["mean"] for own in results[1:])
    assert refined < start
