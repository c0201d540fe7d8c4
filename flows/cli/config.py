"""``pear config``: every setting, its value, where that came from, and what it means."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from flows.cli.command_line import Settings, one_sentence, parse_settings

if TYPE_CHECKING:
    from tasks.setting_rows import SettingRow


def config(
    params: Annotated[
        Path, typer.Option("--params", help="Settings file; its section says whose settings it has.")
    ] = Path("params.yaml"),
    settings: Settings = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As a table for a page.")] = False,
) -> None:
    """Print every setting of a file: its value, where that came from, and what it means."""
    with one_sentence():
        from tasks.setting_rows import setting_rows

        loaded, stated, overrides = _loaded(params, parse_settings(settings, params))
        rows = [row for row in setting_rows(loaded, stated, overrides) if not row.is_group]
        rows = [shown for row in rows for shown in _option_rows(row, loaded, stated, overrides)]
        if markdown:
            typer.echo("| setting | value | from | meaning |\n|---|---|---|---|")
        for row in rows:
            value = "required" if row.value is dataclasses.MISSING else _yaml(row.value)
            if markdown:
                cells = (f"`{row.name}`", f"`{value}`", row.source, row.sentence.replace("|", "\\|"))
                typer.echo(f"| {' | '.join(cells)} |")
            else:
                typer.echo(f"{row.name} = {value}  ({row.source})\n    {row.sentence}")


def _loaded(params: Path, overrides: dict[str, Any]) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The settings, what the file says, and the overrides."""
    from datasets_manifest.settings import read_sections

    sections = read_sections(params)
    if set(sections) == {"train"}:
        from tasks.training.regressor.settings import load_train_config

        return load_train_config(params, overrides), sections["train"], overrides
    if set(sections) == {"renderer"}:
        from tasks.training.guava.settings import is_guava, load_guava_config

        if is_guava(params, overrides):
            return load_guava_config(params, overrides), sections["renderer"], overrides
        from tasks.training.renderer.settings import load_renderer_config

        return load_renderer_config(params, overrides), sections["renderer"], overrides
    if set(sections) == {"train_photometric"}:
        from tasks.training.photometric.settings import load_photometric_config

        return load_photometric_config(params, overrides), sections["train_photometric"], overrides
    if set(sections) == {"predict"}:
        from tasks.predict.settings import load_predict_config

        return load_predict_config(params, overrides), sections["predict"], overrides
    from tasks.annotate.settings import load_config

    return load_config(params, overrides), sections.get("annotate", {}), overrides


def _option_rows(
    row: SettingRow, loaded: Any, stated: dict[str, Any], overrides: dict[str, Any]
) -> Iterator[SettingRow]:
    """A row for each option that the chosen backend has, in place of the one for all of them; any other row itself."""
    from datasets_manifest.settings import read_settings
    from model.estimators.registry import options_of
    from tasks.setting_rows import SettingRow, option_sentences, setting_rows

    part, _, last = row.name.rpartition(".")
    if last != "options" or "." in part:
        yield row
        return
    backend = getattr(loaded, part).backend
    known, said = options_of(part, backend), option_sentences(part, backend)
    in_file = stated.get(part, {}).get("options", {})
    for field in dataclasses.fields(known) if known is not None else ():
        name, value = f"{row.name}.{field.name}", row.value.get(field.name, field.default)
        nested: list[Any] = [kind for kind in (field.type, *get_args(field.type)) if dataclasses.is_dataclass(kind)]
        if nested and all(_has_default(inner) for inner in dataclasses.fields(nested[0])):
            inner = read_settings(nested[0], value or {}, name)
            found = setting_rows(inner, in_file.get(field.name), overrides, f"{name}.")
            yield from (inside for inside in found if not inside.is_group)
        elif not nested and field.name != "device":
            source = "command line" if name in overrides else "file" if field.name in in_file else "default"
            sentence = said.get(field.name) or f"Option of {backend}."
            yield SettingRow(name=name, value=value, source=source, sentence=sentence)


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _yaml(value: Any) -> str:
    """A value as one line of YAML, as ``--set`` takes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=dataclasses.asdict)
