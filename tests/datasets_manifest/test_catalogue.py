"""What ``pear datasets`` says: what is here, what is missing of it, and the next step."""

import json
import re
from pathlib import Path

import pytest
from coco_files import coco_image, coco_person, write_coco
from typer.testing import CliRunner

from datasets_manifest.catalogue import catalogue, catalogue_json, catalogue_lines, catalogue_sentence
from datasets_manifest.manifest import load_manifest, manifest_ids
from datasets_manifest.schema.trusted import TRUSTED_PARTS
from flows.cli.app import app

BENCHMARKS = {"coco_wholebody_val", "ehf", "ubody_test", "egohumans_test", "harmony4d_test", "posetrack18_val"}


def write(folder, *, people=2, said="", gone=False):
    """A data set of two photos with a person each."""
    images = [coco_image(number) for number in (1, 2)]
    path = write_coco(folder, images, [coco_person(number, number) for number in range(1, people + 1)])
    path.write_text(path.read_text() + said)
    if gone:
        (folder / "2.jpg").unlink()
    return str(path)


def entry(folder, **options):
    (found,) = catalogue([write(folder, **options)], folder=folder)
    return found


@pytest.mark.parametrize("name", sorted(BENCHMARKS | {"coco_train2014", "ai_challenger", "sa1b"}))
def test_a_published_data_set_says_who_has_it_and_how_to_get_it(tmp_path, name):
    (found,) = catalogue([name], folder=tmp_path)
    manifest = found.manifest
    assert (found.state, found.photos) == ("missing", None)
    assert len(manifest.steps) > 1
    assert manifest.distributor
    assert manifest.part
    assert manifest.never_train == (name in BENCHMARKS)
    assert bool(manifest.photo_names) == (name in BENCHMARKS)
    assert found.next_step == f"{manifest.steps[0]} Then {len(manifest.steps) - 1} step" + (
        "s" * (len(manifest.steps) > 2) + f" more: pear datasets {name}"
    )


def test_what_is_here_is_counted(tmp_path):
    found = entry(tmp_path)
    assert (found.state, found.photos, found.people, found.next_step) == ("found", 2, 2, "")
    assert found.counts == "2 photos, 2 people"


def test_what_is_whole_is_complete(tmp_path):
    assert entry(tmp_path, said="expected: {images: 2, people: 2}\n").state == "complete"


@pytest.mark.parametrize(
    ("options", "step"),
    [
        ({"gone": True}, "1 photo named and not there, such as 2.jpg: fetch them again."),
        ({"people": 3}, "1 of its files and annotations cannot be used: a.json annotations[2]: annotation 3 is of"),
        (
            {"said": "expected: {images: 3, people: 2}\n"},
            "2 photos listed, 3 expected: look whether",
        ),
    ],
)
def test_what_is_not_whole_says_what_is_missing(tmp_path, options, step):
    found = entry(tmp_path, **options)
    assert found.state == "incomplete"
    assert found.next_step.startswith(step)


def test_counts_are_against_what_is_expected(tmp_path):
    assert entry(tmp_path, said="expected: {images: 3}\n", gone=True).counts == "1 of 3 photos, 2 people"


def test_annotations_that_are_not_there_are_a_sentence(tmp_path):
    source = write(tmp_path)
    (tmp_path / "a.json").unlink()
    (found,) = catalogue([source], folder=tmp_path)
    assert found.state == "unusable"
    assert "a.json does not exist; put it there" in found.next_step
    (uncounted,) = catalogue([source], folder=tmp_path, count=False)
    assert uncounted.state == "found"


def test_roots_of_settings_say_where_a_data_set_lies(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (found,) = catalogue(["ehf"], folder=tmp_path, roots={"ehf": "elsewhere"})
    assert (found.state, found.counts) == ("incomplete", "0 of 100 photos, 0 people")


def test_all_of_the_project_are_listed_by_part_but_for_templates(tmp_path):
    found = catalogue(folder=tmp_path, count=False)
    names = [each.manifest.id for each in found]
    assert sorted(names) == sorted(name for name in manifest_ids() if not name.startswith("my_"))
    lines = catalogue_lines(found)
    headings = [line for line in lines if line and not line.startswith(" ")]
    assert headings == ["Part 1", "Part 2", "Evaluation", "Others"]
    assert any(line.startswith("  ehf (test): missing; 100 photos expected, never learnt from") for line in lines)
    assert catalogue_sentence(found).startswith(f"{len(names)} data sets: ")
    rows = json.loads(json.dumps(catalogue_json(found)))
    assert {row["id"]: row["expected"]["photos"] for row in rows}["ehf"] == 100


def test_the_example_of_the_documentation_is_complete(tmp_path):
    page = (Path(__file__).parents[2] / "docs/add_a_data_set.md").read_text()
    manifest, people, listed = (re.findall(rf"```{kind}\n(.*?)```", page, re.S)[0] for kind in ("yaml", "json", "text"))
    (tmp_path / "mine/photos").mkdir(parents=True)
    (tmp_path / "mine/photos/a.jpg").write_bytes(b"jpeg")
    (tmp_path / "mine/people.json").write_text(people)
    (tmp_path / "mine.yaml").write_text(manifest)
    assert catalogue_lines(catalogue([str(tmp_path / "mine.yaml")], folder=tmp_path))[:2] == listed.splitlines()


def test_the_command_lists_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = CliRunner().invoke(app, ["datasets", "ubody_test"])
    assert listed.exit_code == 0
    assert "      1. Fill in the form" in listed.stdout
    assert "trusted: body, left_hand, right_hand, face" in listed.stdout
    (row,) = json.loads(CliRunner().invoke(app, ["datasets", "ubody_test", "--json"]).stdout)
    assert (row["state"], row["never_train"]) == ("missing", True)
    wrong = CliRunner().invoke(app, ["datasets", "ubody"])
    assert wrong.exit_code == 2
    assert "There is no manifest 'ubody'" in wrong.stderr


def test_parts_are_trusted_where_data_sets_show_them():
    trusted = {name: set(load_manifest(name).trusted) for name in manifest_ids()}
    studio = ("human36m", "human36m_views", "mpi_inf_3dhp", "mpi_inf_3dhp_views")
    for name in (*studio, "mpii", "lsp_extended", "ai_challenger", "pw3d_test"):
        assert trusted[name].isdisjoint({"left_hand", "right_hand", "face"}), name
    assert "face" not in trusted["sa1b"] | trusted["sam3d_body"]
    assert "legs" not in trusted["ubody_test"]
    for name in ("ava", "instavariety", "coco_train2014"):
        assert trusted[name] == set(TRUSTED_PARTS), name


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "image_corrupt"), (..., "image_corrupt"), (b"<html>gone</html>", "image_unsupported")],
)
def test_photos_that_are_cut_short_are_told_where_they_are_decoded(tmp_path, content, code):
    manifest = write(tmp_path)
    photo = tmp_path / "2.jpg"
    photo.write_bytes(photo.read_bytes()[:-20] if content is ... else content)
    (listed,) = catalogue([manifest], folder=tmp_path)
    assert (listed.state, listed.problems) == ("found", {})
    (found,) = catalogue([manifest], folder=tmp_path, photos=True)
    assert (found.state, found.photos, dict(found.problems)) == ("incomplete", 2, {code: 1})
    assert found.next_step.startswith("1 of its files and annotations cannot be used: 2.jpg: ")
    said = CliRunner().invoke(app, ["datasets", manifest, "--photos", "--no-count"])
    assert (said.exit_code, "cannot be used: 2.jpg" in said.output) == (0, True)


def test_a_photo_that_is_not_there_is_told_once(tmp_path):
    (found,) = catalogue([write(tmp_path, gone=True)], folder=tmp_path, photos=True)
    assert (found.photos, dict(found.problems)) == (1, {"image_missing": 1})
