"""The benchmark of the default estimators."""

import pytest
from mediapipe_package import need_mediapipe

from benchmarks.default_estimators import main

pytestmark = pytest.mark.long


def test_the_table_has_people_parts_and_readings_with_and_without_boxes(tmp_path, capsys):
    data = pytest.importorskip("skimage.data")
    need_mediapipe()
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "astronaut.png"), data.astronaut()[..., ::-1])
    main([str(tmp_path)])
    head, _, detected, given = (line.strip("| ").split(" | ") for line in capsys.readouterr().out.strip().splitlines())
    assert [detected[:3], given[:3]] == [["none", "1", "1"], ["given", "1", "1"]]
    assert detected[3].endswith(", 1")
    readings = head.index("detect")
    assert float(detected[readings]) > float(given[readings]) > 0
