"""Writes what the code itself says into the pages: `python docs/generate.py`, or `--check` that they are current.

Made are the pages in docs/reference, and the table of rooms in docs/architecture.md. Their text lies beside the code:
in the metadata of columns, behind the fields of settings, in the table of error codes, in the help of commands and at
the top of each package.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import typer
from typer.cli import get_docs_for_click

from datasets_manifest.schema import predictions
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.fields import field_note
from datasets_manifest.schema.labels import SCHEMA_VERSION, label_schema
from datasets_manifest.schema.part_files import PART_SCHEMAS
from flows.cli.app import app
from tasks.annotate.settings import AnnotateConfig
from tasks.predict.settings import PredictConfig
from tasks.setting_rows import setting_rows
from tasks.training.guava.settings import GuavaTrainConfig
from tasks.training.photometric.settings import PhotometricTrainConfig
from tasks.training.regressor.settings import TrainConfig
from tasks.training.renderer.settings import RendererConfig

DOCS = Path(__file__).parent
FLOORS = ("flows", "tasks", "fitting", "model", "datasets_manifest", "benchmarks")
TABLES = {
    "Labels": (
        "`labels/`: one row a person, also one who failed. Only labels that pixels refined have the columns from "
        "`photometric_gain` to `before_pixels_shape`, only videos and several cameras the ones from `group` on.",
        label_schema(by_pixels=True, in_groups=True, has_truth=True, has_mask=True),
    ),
    "Predictions": ("`predictions/people/`: one row a person.", predictions.prediction_schema()),
    "Rotations": ("`pear predict --rotations-only`.", predictions.rotations_schema()),
    "Plan": ("`work/plan/`: what is to be annotated, before any photo is read.", PART_SCHEMAS["plan"]),
    "Keypoints": ("`work/parts/keypoints/`.", PART_SCHEMAS["keypoints"]),
    "Body": ("`work/parts/body/`.", PART_SCHEMAS["body"]),
    "Hands": ("`work/parts/hands/`.", PART_SCHEMAS["hands"]),
    "Face": ("`work/parts/face/`.", PART_SCHEMAS["face"]),
}
"""Title -> what the file is, and its schema."""
SETTINGS = {
    "Annotation": AnnotateConfig,
    "Training": TrainConfig,
    "Renderer": RendererConfig,
    "Renderer of the kind guava": GuavaTrainConfig,
    "Prediction": PredictConfig,
}
STAGE_2 = "Training by pixels (stage 2)"


def label_columns() -> str:
    """Every column of every file, from the metadata of its Arrow field."""
    page = [
        "# Label columns",
        f"Schema version {SCHEMA_VERSION}. Behind a type stands the shape of a list of fixed length, in C order; "
        "columns without *null* are never null. Frames:",
        "\n".join(f"- {frame}" for frame in sorted(_frames()) if ":" in frame),
    ]
    for title, (what, schema) in TABLES.items():
        page += [f"## {title}", what, _table("column | type | unit | frame | meaning", map(_column, schema))]
    return "\n\n".join(page)


def _column(field: pa.Field) -> tuple[str, ...]:
    values = field.type.value_type if pa.types.is_list(field.type) or pa.types.is_dictionary(field.type) else field.type
    kind = {"float": "float32", "double": "float64"}.get(str(values), str(values).partition("<")[0])
    shape, unit, frame, meaning = (field_note(field, key) for key in ("shape", "unit", "frame", "description"))
    null = ", null" if field.nullable else ""
    return f"`{field.name}`", kind + (f"[{shape}]" if shape else "") + null, unit, frame.partition(":")[0], meaning


def _frames() -> set[str]:
    return {field_note(field, "frame") for _, schema in TABLES.values() for field in schema}


def settings() -> str:
    """Every setting of the settings files, with its default and the sentence behind its field."""
    page = ["# Settings", "Dotted names, as `--set` takes them. A setting that a file leaves out has its default."]
    for title, config in SETTINGS.items():
        page += [f"## {title}", _table("setting | default | meaning", _settings(config))]
    known = set(_settings(TrainConfig))
    own = (row for row in _settings(PhotometricTrainConfig) if row not in known)
    page += [f"## {STAGE_2}", "Those of the training, and:", _table("setting | default | meaning", own)]
    return "\n\n".join(page)


def _settings(config: type) -> Iterator[tuple[str, str, str]]:
    for row in setting_rows(config):
        value = "required" if row.value is dataclasses.MISSING else f"`{row.value!r}`"
        yield (f"**`{row.name}`**", "", row.sentence) if row.is_group else (f"`{row.name}`", value, row.sentence)


def error_codes() -> str:
    """The closed set of reasons."""
    intro = "Values of `error_code` in every file. `error_detail` beside it is about the one row."
    return f"# Error codes\n\n{intro}\n\n" + _table(
        "code | what happened, and what to do", ((f"`{code}`", code.sentence) for code in ErrorCode)
    )


def commands() -> str:
    """The help of `pear`."""
    group = typer.main.get_command(app)
    page = ["# Commands", " ".join((group.help or "").split())]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        context = typer.Context(command, info_name=name)
        page.append(get_docs_for_click(obj=command, ctx=context, name=name, indent=1, call_prefix="pear"))
    outside_code = re.compile(r"(`+).*?\1|<", re.DOTALL)  # where <id> would be a tag
    return outside_code.sub(lambda at: "&lt;" if at[0] == "<" else at[0], "\n\n".join(map(str.strip, page)))


def architecture() -> str:
    """The page by hand, with the table of rooms as their packages describe themselves."""
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rooms = _table("room | what is in it", _rooms())
    return re.sub(r"(?s)(<!-- rooms -->\n\n).*?(\n\n<!-- end -->)", lambda at: at[1] + rooms + at[2], page)


def _rooms() -> Iterator[tuple[str, str]]:
    for floor in FLOORS:
        for package in sorted((DOCS.parent / floor).rglob("__init__.py")):
            said = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or ""
            sentence = re.split(r"(?<=[.!?])\s", said.replace("``", "`"), maxsplit=1)[0]
            yield f"`{package.parent.relative_to(DOCS.parent)}/`", " ".join(sentence.split())


def _table(head: str, rows: Iterator[tuple[str, ...]] | map[tuple[str, ...]]) -> str:
    lines = [f"| {head} |", "|" + "---|" * (head.count("|") + 1)]
    return "\n".join(lines + ["| " + " | ".join(map(_cell, row)) + " |" for row in rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


PAGES = {
    "reference/label_columns.md": label_columns,
    "reference/settings.md": settings,
    "reference/error_codes.md": error_codes,
    "reference/commands.md": commands,
    "architecture.md": architecture,
}
"""Page -> what it says."""


def main() -> None:
    """Writes the pages that are not current; with `--check` names them and ends with 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="Write nothing.")
    check = parser.parse_args().check
    texts = {DOCS / name: make().rstrip() + "\n" for name, make in PAGES.items()}
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(texts[path], encoding="utf-8")
        print(f"{path.relative_to(DOCS.parent)}: {'not current; run python docs/generate.py' if check else 'written'}")
    sys.exit(check and bool(stale))


if __name__ == "__main__":
    main()
