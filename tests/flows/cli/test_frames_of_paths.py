"""``pear annotate clip.mp4 --fps 2``: which frames a clip that is named by its path has labels of."""

from pathlib import Path

import pandas as pd
import pytest
from manifests import write_manifest
from stub_estimators import write_stub_params
from typer.testing import CliRunner
from video_files import write_video

from datasets_manifest.adapters import folder
from flows.cli.app import app

pytestmark = pytest.mark.long


def pear(*words):
    answer = CliRunner().invoke(app, [str(word) for word in words])
    return answer.exit_code, " ".join(answer.output.split())


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Working folder with a clip of 12 frames, ten a second."""
    write_video(tmp_path / "walk.avi", 12)
    write_stub_params(tmp_path, images_per_shard=4)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def frames(dataset="walk"):
    names = pd.read_parquet(f"labels/{dataset}")["image"]
    return sorted(int(name.removeprefix("walk.avi::")) for name in names)


def files():
    return {path: (path.read_bytes(), path.stat().st_ino) for path in Path("labels").rglob("*.parquet")}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), range(12)),
        (("--every", 5), (0, 5, 10)),
        (("--fps", 2), (0, 5, 10)),
        (("--fps", 5, "--every", 4), (0, 4, 8)),
    ],
)
def test_words_of_predict_choose_the_frames(project, words, expected):
    _, told = pear("annotate", "walk.avi", *words, "--dry-run")
    assert f"frames of 1 video of 1.2 s: {len(expected)}" in told
    assert pear("annotate", "walk.avi", *words)[0] == 0
    assert frames() == list(expected)


def test_a_shard_is_done_again_with_the_frames_it_has(project):
    assert pear("annotate", "walk.avi", "--every", 5)[0] == 0
    assert pear("retry", "walk/0")[0] == 0
    assert frames() == [0, 5, 10]


def test_more_frames_are_fitted_with_those_of_before(project):
    assert pear("annotate", "walk.avi", "--every", 6)[0] == 0
    assert pear("annotate", "walk.avi", "--every", 3)[0] == 0
    assert frames() == [0, 3, 6, 9]
    assert [path.stem for path in files()] == ["00000"]
    before = files()
    assert pear("annotate", "walk.avi", "--every", 3)[0] == 0
    assert files() == before


def test_a_video_that_an_earlier_version_took_for_photos_is_annotated_anew(project):
    with pytest.MonkeyPatch.context() as earlier:
        earlier.setattr(folder, "Place", lambda **_: None)
        assert pear("annotate", "walk.avi", "--every", 2)[0] == 0
    assert len(files()) == 2
    assert pear("annotate", "walk.avi")[0] == 0
    assert frames() == list(range(12))
    assert len(files()) == 1
    assert pear("verify")[0] == 0
    assert len(list(Path("work/stale").rglob("labels/**/*.parquet"))) == 1


def test_fewer_frames_take_no_label_away_unless_that_is_asked_for(project):
    assert pear("annotate", "walk.avi", "--every", 3)[0] == 0
    before = files()
    status, said = pear("annotate", "walk.avi", "--fps", 2)
    assert status == 2
    for words in (
        "walk/all was annotated with --every 3, and --fps 2 would take labels away",
        "--id NAME",
        "--replace",
    ):
        assert words in said
    assert files() == before
    assert pear("annotate", "walk.avi", "--fps", 2, "--id", "few")[0] == 0
    assert (frames(), frames("few")) == ([0, 3, 6, 9], [0, 5, 10])
    assert pear("annotate", "walk.avi", "--fps", 2, "--replace")[0] == 0
    assert frames() == [0, 5, 10]


@pytest.mark.parametrize("named", ["demo_photos", "clips.yaml"])
def test_a_manifest_says_it_itself(project, named):
    write_manifest(project / "clips.yaml", "clips", project)
    status, said = pear("annotate", "walk.avi", named, "--fps", 2)
    assert status == 2
    assert f"{named} has, the manifest says itself (layout.frames)" in said
    assert pear("annotate", "walk.avi", named, "--set", "frames.fps=2") == (status, said)
    assert not (project / "work").exists()
