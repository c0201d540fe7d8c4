"""Commands that are printed are typed as they stand there, in another folder than the project's."""

import re
import shlex

import pytest
from manifests import write_manifest
from stub_estimators import write_photos, write_stub_params
from typer.testing import CliRunner

from flows.cli.app import app


def pear(*words):
    answer = CliRunner().invoke(app, [str(word) for word in words])
    return answer.exit_code, answer.output


def typed(command):
    return pear(*shlex.split(command)[1:])


@pytest.fixture
def params(tmp_path, monkeypatch):
    """Settings of a project whose folder has all that a shell could misread; the working folder is another."""
    folder = tmp_path / "it's  #1 `a` | b"
    write_photos(folder / "near", ["1.png", "2.png", "3.png"])
    write_manifest(folder / "near.yaml", "near", "near")
    file = write_stub_params(folder)
    file.write_text(file.read_text() + "  datasets: [near.yaml]\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return file


@pytest.mark.parametrize("look", ["status", "verify"])
def test_what_begins_a_run_begins_it(params, look):
    _, said = pear(look, "--params", params)
    (command,) = re.findall(r"\((pear annotate .*) (?:starts a run|makes them)\)", said)
    assert typed(command)[0] == 0
    assert "3 photos" in pear("verify", "--params", params)[1]


RUNS = {
    "settings": (),
    "id": ("../photos", "--id", "other", "--set", "refine.iterations=3"),
    "folders": ("--set", "output.labels=my  labels", "--set", "output.work=w"),
}


@pytest.mark.long
@pytest.mark.parametrize("words", RUNS.values(), ids=RUNS)
def test_what_makes_missing_labels_makes_just_them(params, tmp_path, words):
    write_photos(tmp_path / "photos", ["1.png", "2.png", "3.png"])
    where = ("--params", params, *(words if words and words[0] == "--set" else ()))
    assert pear("annotate", *words, "--params", params)[0] == 0
    *others, last = sorted(path for path in tmp_path.rglob("0000?.parquet") if "abels" in path.parts[-4])
    before = [path.stat().st_ino for path in others]
    last.unlink()
    status, said = pear("verify", *where)
    assert status == 1
    failures, annotate = re.findall(r"`(pear (?:failures|annotate) .*?)`(?= says why| makes them)", said)
    assert typed(failures)[0] == 0
    status, told = typed(annotate)
    assert status == 0, told
    assert last.is_file()
    assert [path.stat().st_ino for path in others] == before
    assert pear("verify", *where)[0] == 0


@pytest.mark.long
def test_what_draws_the_worst_fit_draws_it(params, tmp_path, monkeypatch):
    import flows.run.orchestrate

    seen, publish = [], flows.run.orchestrate.publish
    monkeypatch.setattr(
        flows.run.orchestrate, "publish", lambda *given: seen.append(published := publish(*given)) or published
    )
    pear("annotate", "--params", params)
    assert typed(seen[0].worst.command)[0] == 0
    assert (tmp_path / "elsewhere/sample.png").is_file()
