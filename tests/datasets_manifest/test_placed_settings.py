"""Paths in settings: those of a file belong to its folder, those that were typed to the working folder."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from datasets_manifest.placed_settings import PathText, placed_overrides, with_places
from datasets_manifest.settings import Text, read_settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """A group."""

    work: PathText = "work"
    name: Text = "work"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Every kind of place for a path."""

    weights: PathText | None = None
    title: str = "plain"
    sources: tuple[PathText, ...] = ()
    sizes: tuple[int, int] = (1, 2)
    roots: dict[str, PathText] = field(default_factory=dict)
    output: Output = field(default_factory=Output)


FOLDER = Path("/projects/one")
STATED = {"weights": "w.pt", "sources": ["a", "/b", "../c"], "roots": {"x.y": "z"}, "output": {"name": "n"}}


def test_paths_are_placed_and_nothing_else():
    config = with_places(read_settings(Settings, STATED, "test"), Settings, FOLDER)
    assert config == Settings(
        weights="/projects/one/w.pt",
        sources=("/projects/one/a", "/b", "/projects/one/../c"),
        roots={"x.y": "/projects/one/z"},
        output=Output(work="/projects/one/work", name="n"),
    )
    assert with_places(config, Settings, Path("/elsewhere")) == config


def test_plain_values_are_placed_as_their_settings_are():
    placed = with_places(STATED, Settings, FOLDER)
    assert read_settings(Settings, placed, "test") == dataclasses.replace(
        with_places(read_settings(Settings, STATED, "test"), Settings, FOLDER), output=Output(name="n")
    )


@pytest.mark.parametrize("wrong", [{"weights": 1}, {"sources": "a"}, {"output": "a"}, {"other": "a"}, {"roots": None}])
def test_what_is_no_path_is_left_for_the_reader_to_refuse(wrong):
    assert with_places(wrong, Settings, FOLDER) == wrong


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        ({"weights": "s3://b/w"}, "weights"),
        ({"sources": ["a", "s3:/b"]}, r"sources\[1\]"),
        ({"roots": {"x.y": "gs://b"}}, r"roots\.x\.y"),
        ({"output": {"work": "s3://b"}}, r"output\.work"),
    ],
)
def test_an_address_is_refused_by_the_name_of_its_setting(stated, name):
    for value in (stated, read_settings(Settings, stated, "test")):
        with pytest.raises(ValueError, match=f"^{name}: Expected a file or folder of this machine"):
            with_places(value, Settings, FOLDER)


def test_replacements_are_placed_by_their_dotted_names():
    typed = {
        "weights": None,
        "output.work": "w",
        "output": {"work": "v"},
        "roots.x.y": "~/z",
        "title": "t",
        "no.no": "n",
    }
    assert placed_overrides(typed, Settings, FOLDER) == {
        "weights": None,
        "output.work": "/projects/one/w",
        "output": {"work": "/projects/one/v"},
        "roots.x.y": str(Path.home() / "z"),
        "title": "t",
        "no.no": "n",
    }
