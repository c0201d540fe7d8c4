"""What `pear assets` says about folders with more and less in them."""

import hashlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from model.body import convert
from model.licensed_files.asset_file import AssetFile
from model.licensed_files.bodies import BODIES, OFFICIAL
from model.licensed_files.table import BY_ID, PAPER_BACKENDS, needed_ids
from tasks.annotate.assets import AssetRow, asset_lines, blocking, count_sentence, inspect_assets, next_step


def put(root: Path, *ids: str, content: bytes = b"numbers") -> None:
    for id in ids:
        path = root / BY_ID[id].place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def row_of(rows: list[AssetRow], id: str) -> AssetRow:
    return next(row for row in rows if row.asset.id == id)


@pytest.fixture(autouse=True)
def any_version(request, monkeypatch):
    """The files here are made up: but for the tests that ask for it, nothing is published of them."""
    if "published" not in request.fixturenames:
        monkeypatch.setattr(AssetFile, "other_version", lambda *_: None)


@pytest.fixture
def published():
    """Sizes and hashes are compared with the published ones."""


WEIGHTS = ("dwpose.pose", "dwpose.detector", "prohmr", "hamer", "teaser")
BODY_FILES = tuple(body.id for body in BODIES)
SOURCES = tuple(official.id for official in OFFICIAL if not official.optional)


def test_a_root_that_does_not_exist_lacks_everything_needed(tmp_path: Path) -> None:
    rows = inspect_assets(tmp_path / "licensed")
    assert {row.asset.id for row in blocking(rows)} == needed_ids()
    assert not any(row.found for row in rows)
    assert row_of(rows, "smirk").problem is None


def test_the_next_step_names_file_source_place_and_licence(tmp_path: Path) -> None:
    step = next_step(inspect_assets(tmp_path), tmp_path)
    assert step is not None
    for text in ("dw-ll_ucoco_384.onnx", "huggingface.co/yzd-v/DWPose", str(tmp_path / "dwpose"), "Apache-2.0"):
        assert text in step


def test_a_folder_of_self_made_files_is_green(tmp_path: Path) -> None:
    put(tmp_path, *WEIGHTS, *BODY_FILES)
    rows = inspect_assets(tmp_path)
    assert blocking(rows) == []
    assert next_step(rows, tmp_path) is None


def test_following_the_steps_one_by_one_ends(tmp_path: Path) -> None:
    """Each step names a file that is not there yet, until only the conversion is left, then nothing."""
    steps: list[str] = []
    while (step := next_step(rows := inspect_assets(tmp_path, hash_files=False), tmp_path)) is not None:
        assert step not in steps
        steps.append(step)
        if "convert them" in step:
            put(tmp_path, *BODY_FILES)
        else:
            put(tmp_path, blocking(rows)[[not row.asset.made_from for row in blocking(rows)].index(True)].asset.id)
    assert len(steps) == len(WEIGHTS) + len(SOURCES) + 1


def test_the_conversion_command_is_one_the_converter_takes(tmp_path: Path) -> None:
    put(tmp_path, *WEIGHTS, *SOURCES, "official.flame-static")
    step = next_step(inspect_assets(tmp_path), tmp_path)
    assert step is not None
    words = step.partition("model.body.convert ")[2].split()
    args = vars(convert._parser().parse_args(words))
    assert args["out"] == tmp_path
    assert args["smplx"] == tmp_path / "official/SMPLX_NEUTRAL_2020.npz"
    given = {
        f"official.{name.replace('_', '-')}" for name, value in args.items() if value is not None and name != "out"
    }
    assert given == {*SOURCES, "official.flame-static"}


def test_official_files_are_not_needed_once_converted(tmp_path: Path) -> None:
    put(tmp_path, "smplx")
    rows = inspect_assets(tmp_path)
    assert not row_of(rows, "official.smplx").needed
    assert row_of(rows, "official.flame").needed


def test_another_published_name_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "teaser").mkdir()
    (tmp_path / "teaser/TEASER_v1.pt").write_bytes(b"numbers")
    row = row_of(inspect_assets(tmp_path), "teaser")
    assert row.found
    assert row.path.name == "TEASER_v1.pt"


def test_size_and_hash_are_those_of_the_file(tmp_path: Path) -> None:
    put(tmp_path, "teaser", content=b"abc")
    row = row_of(inspect_assets(tmp_path), "teaser")
    assert (row.num_bytes, row.sha256) == (3, hashlib.sha256(b"abc").hexdigest())
    assert row_of(inspect_assets(tmp_path, hash_files=False), "teaser").sha256 is None


@pytest.mark.usefixtures("published")
def test_a_file_of_another_size_or_hash_in_the_published_one_s_place_is_wrong(tmp_path: Path, monkeypatch) -> None:
    put(tmp_path, *WEIGHTS, *BODY_FILES)
    rows = inspect_assets(tmp_path)
    assert [row.asset.id for row in blocking(rows)] == ["dwpose.pose", "dwpose.detector"]
    assert "7 bytes, the published file has 134399116" in str(next_step(rows, tmp_path))
    assert count_sentence(rows) == "needed files: 2 wrong"
    assert " wrong " in next(line for line in asset_lines(rows, tmp_path) if line.endswith(" dwpose.pose"))
    answer = CliRunner().invoke(app, ["assets", "--root", str(tmp_path), "--check"])
    assert answer.exit_code == 1
    put(tmp_path, "official.head-ids")
    assert "not the published version" in str(row_of(inspect_assets(tmp_path), "official.head-ids").problem)
    digest = BY_ID["official.head-ids"].sha256
    assert digest is not None
    monkeypatch.setattr("tasks.annotate.assets.sha256_of", lambda _: digest + "0" * 56)
    assert row_of(inspect_assets(tmp_path), "official.head-ids").problem is None


@pytest.mark.usefixtures("published")
def test_a_path_of_the_settings_and_another_name_may_be_any_version(tmp_path: Path) -> None:
    put(tmp_path, "official.smplx")
    (tmp_path / BY_ID["official.smplx"].place).rename(tmp_path / "official/SMPLX_NEUTRAL.npz")
    own = tmp_path / "own.onnx"
    own.write_bytes(b"numbers")
    rows = inspect_assets(tmp_path, paths={"dwpose.pose": own})
    for id in ("official.smplx", "dwpose.pose"):
        assert row_of(rows, id).problem is None
        assert "the published file has" in str(row_of(rows, id).note)


def test_a_training_asks_for_its_own_files(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_bytes((Path(__file__).parents[3] / "params.train-paper.yaml").read_bytes())
    put(tmp_path / "licensed", "smplx", "flame", "correspondence", "vitpose")
    answer = CliRunner().invoke(app, ["assets", "--params", str(params), "--check"])
    assert answer.exit_code == 1, answer.output
    assert "needed files: 1 missing" in answer.output
    assert "next: spin.mean (mean SMPL person" in answer.output
    put(tmp_path / "licensed", "spin.mean")
    assert CliRunner().invoke(app, ["assets", "--params", str(params), "--check"]).exit_code == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n<!DOCTYPE html><html>Please sign in</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
    ],
)
def test_what_is_no_file_of_weights_blocks(tmp_path: Path, content: bytes, said: str) -> None:
    put(tmp_path, *WEIGHTS, *BODY_FILES)
    put(tmp_path, "hamer", content=content)
    rows = inspect_assets(tmp_path)
    assert [row.asset.id for row in blocking(rows)] == ["hamer"]
    assert said in str(row_of(rows, "hamer").problem)
    assert "hamer.ckpt" in str(next_step(rows, tmp_path))


def test_a_damaged_file_that_nobody_needs_does_not_block(tmp_path: Path) -> None:
    put(tmp_path, *WEIGHTS, *BODY_FILES)
    put(tmp_path, "smirk", content=b"")
    assert blocking(inspect_assets(tmp_path)) == []
    assert blocking(inspect_assets(tmp_path, {**PAPER_BACKENDS, "face": "smirk"})) != []


def test_the_table_has_a_line_a_file_and_one_for_what_is_wrong_with_it(tmp_path: Path) -> None:
    put(tmp_path, "hamer", content=b"")
    put(tmp_path, "teaser")
    rows = inspect_assets(tmp_path)
    lines = asset_lines(rows, tmp_path)
    shown = {line.split()[0]: line for line in lines[1 : len(rows) + 1]}
    assert set(shown) == {row.asset.place for row in rows}
    assert "unusable" in shown["hamer/hamer.ckpt"]
    assert " found " in shown["teaser/TEASER.pt"]
    assert hashlib.sha256(b"numbers").hexdigest()[:12] in shown["teaser/TEASER.pt"]
    assert lines[-1] == "hamer/hamer.ckpt: the file is empty: get it again"


def test_the_command_fails_with_the_next_step_until_all_is_there(tmp_path: Path) -> None:
    def command(*options: str):
        return CliRunner().invoke(app, ["assets", "--root", str(tmp_path), *options])

    assert command().exit_code == 0
    missing = command("--check")
    assert missing.exit_code == 1
    assert "next: dwpose.pose" in missing.output
    assert (
        f"needed files: {len(needed_ids()) - len(BODY_FILES)} missing, {len(BODY_FILES)} to convert" in missing.output
    )
    put(tmp_path, *WEIGHTS, *BODY_FILES)
    complete = command("--check")
    assert complete.exit_code == 0
    assert "every needed file is there" in complete.output


def test_the_command_asks_for_what_the_settings_use(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("annotate: {face: {backend: smirk}}\n")
    answer = CliRunner().invoke(app, ["assets", "--params", str(params), "--root", str(tmp_path), "--check"])
    assert answer.exit_code == 1
    assert "needed files: 1 missing\n" in answer.output
    assert "next: smirk" in answer.output


def ask(tmp_path: Path, *options: str):
    return CliRunner().invoke(app, ["assets", "--check", *options])


def params_of(tmp_path: Path, text: str) -> str:
    (tmp_path / "settings.yaml").write_text(f"annotate: {{{text}}}\n")
    return str(tmp_path / "settings.yaml")


def test_the_path_of_the_settings_is_looked_at_not_the_place_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "licensed", "teaser")
    (shell := tmp_path / "shell").mkdir()
    monkeypatch.chdir(shell)
    params = params_of(tmp_path, "face: {backend: teaser}")
    assert ask(tmp_path, "--params", params).exit_code == 0
    typed = ask(tmp_path, "--params", params, "--set", "face.options.checkpoint_path=nowhere.pt")
    assert typed.exit_code == 1
    assert f"put it at {shell / 'nowhere.pt'}" in typed.output
    (shell / "nowhere.pt").write_bytes(b"numbers")
    assert ask(tmp_path, "--params", params, "--set", "face.options.checkpoint_path=nowhere.pt").exit_code == 0
    written = params_of(tmp_path, "face: {backend: teaser, options: {checkpoint_path: nowhere.pt}}")
    assert f"put it at {tmp_path / 'nowhere.pt'}" in ask(tmp_path, "--params", written).output


def test_a_file_that_the_settings_turn_off_is_not_needed(tmp_path: Path) -> None:
    put(tmp_path / "licensed", "dwpose.pose")
    params = params_of(tmp_path, "keypoints: {backend: dwpose}")
    assert ask(tmp_path, "--params", params).exit_code == 1
    assert ask(tmp_path, "--params", params, "--set", "keypoints.options.detector_path=null").exit_code == 0


def test_the_route_asks_for_its_own_files(tmp_path: Path) -> None:
    params = params_of(tmp_path, "keypoints: {backend: dwpose, options: {route: mmpose, detector_path: null}}")
    assert "needed files: 2 missing" in ask(tmp_path, "--params", params).output


@pytest.mark.parametrize("with_file", [True, False])
def test_settings_alone_change_the_papers_recipe(tmp_path: Path, monkeypatch, with_file: bool) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("annotate: {}\n")
    if with_file:
        (tmp_path / "params.paper.yaml").write_bytes((Path(__file__).parents[3] / "params.paper.yaml").read_bytes())
    put(tmp_path / "licensed", *WEIGHTS, *BODY_FILES)
    (tmp_path / "licensed" / BY_ID["prohmr"].place).unlink()
    assert "prohmr" in ask(tmp_path).output.partition("next: ")[2]
    put(tmp_path / "licensed", "hmr2")
    answer = ask(tmp_path, "--set", "body.backend=hmr2")
    assert answer.exit_code == 0, answer.output
    assert "hamer" in answer.output


def test_what_a_recipe_can_do_without_is_optional(tmp_path: Path) -> None:
    rows = inspect_assets(tmp_path)
    lines = {line.split()[-1]: line for line in asset_lines(rows, tmp_path)}
    assert " optional " in lines["official.flame-static"]
    assert " not needed " in lines["smirk"]
    put(tmp_path, "flame")
    assert (
        " not needed "
        in {line.split()[-1]: line for line in asset_lines(inspect_assets(tmp_path), tmp_path)}["official.flame-static"]
    )


def test_lines_fit_a_wide_window_and_say_every_licence_and_source_in_full() -> None:
    rows = inspect_assets("licensed")
    lines = asset_lines(rows, "licensed")
    assert max(map(len, lines)) < 200
    text = "\n".join(lines)
    for row in rows:
        assert row.asset.licence in text
        assert row.asset.source in text
