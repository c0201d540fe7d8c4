"""What the commands of ``pear`` share: settings on the command line, one-sentence errors, the log."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from datasets_manifest.files import WriteError
from datasets_manifest.settings import read_sections, value_of
from datasets_manifest.yaml_values import parse_yaml
from flows.run.mistakes import MISTAKES

Params = Annotated[Path, typer.Option("--params", help="Settings file.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Setting to replace, for example keypoints.backend=annotations.")
]


_CONFIGS = {
    "annotate": ("tasks.annotate.settings", "AnnotateConfig"),
    "train": ("tasks.training.regressor.settings", "TrainConfig"),
    "train_photometric": ("tasks.training.photometric.settings", "PhotometricTrainConfig"),
    "renderer": ("tasks.training.renderer.settings", "RendererConfig"),
    "renderer/guava": ("tasks.training.guava.settings", "GuavaTrainConfig"),
    "predict": ("tasks.predict.settings", "PredictConfig"),
}
"""Section of a settings file, or section and kind, to module and class of its settings."""


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Turns an error that the user can mend, or of a disk, into its sentence; anything else keeps its trace."""
    try:
        yield
    except MISTAKES as error:
        logging.getLogger("pear").debug("trace of the error below", exc_info=True)
        typer.echo(f"pear: {error}", err=True)
        raise typer.Exit(2) from None
    except BrokenPipeError:  # Whoever read the output has enough of it.
        raise
    except OSError as error:
        logging.getLogger("pear").debug("trace of the error below", exc_info=True)
        where = f": {error.filename}" if error.filename else ""
        sentence = error if isinstance(error, WriteError) else f"{error.strerror or error}{where}"
        typer.echo(f"pear: {sentence}", err=True)
        raise typer.Exit(1) from None


def split_pairs(pairs: list[str] | None, option: str = "--set", example: str = "run.workers=4") -> dict[str, str]:
    """``["a.b=1"]`` to ``{"a.b": "1"}``.

    Raises:
        ValueError: A pair has no ``=``.
    """
    texts = {}
    for pair in pairs or []:
        name, equals, text = pair.partition("=")
        if not equals:
            raise ValueError(f"{option} {pair!r}: expected <name>=<value>, for example {example}")
        texts[name.strip()] = text
    return texts


def parse_settings(pairs: list[str] | None, params: Path | None) -> dict[str, Any]:
    """``["run.workers=1"]`` to ``{"run.workers": 1}``: see ``typed_settings``."""
    return typed_settings(split_pairs(pairs), params)


def typed_settings(texts: dict[str, str], params: Path | None, section: str = "annotate") -> dict[str, Any]:
    """Settings of the command line as values: texts stay what was typed, all else is YAML.

    Args:
        texts: By the dotted name of the setting.
        params: Settings file, which may name the backend that an option is of, and whose section, if it has but one,
            says whose settings these are.
        section: Whose they are otherwise; one of ``_CONFIGS``.

    Raises:
        ValueError: A value is not YAML, the file cannot be read, or there is no such backend.
    """
    if not texts:
        return {}
    sections = {} if params is None else read_sections(params)
    if len(sections) == 1 and set(sections) <= set(_CONFIGS):
        (section,) = sections
    stated = sections.get(section, {})
    kind = texts.get("kind", stated.get("kind"))
    module, name = _CONFIGS.get(f"{section}/{kind}", _CONFIGS[section])
    config = getattr(importlib.import_module(module), name)
    return {name: _value(text, config, name, texts, stated) for name, text in texts.items()}


def _value(text: str, config: type, name: str, texts: dict[str, str], stated: dict[str, Any]) -> Any:
    from model.estimators.base import PARTS
    from model.estimators.registry import options_of
    from tasks.settings import EstimatorConfig

    where = f"the value of {name}"
    part, _, option = name.partition(".options.")
    if not option or part not in PARTS:
        return value_of(text, config, name, where)
    backend, in_file = EstimatorConfig().backend, stated.get(part)
    if isinstance(in_file, dict):
        backend = in_file.get("backend", backend)
    known = options_of(part, texts.get(f"{part}.backend", backend))
    names = {field.name for field in dataclasses.fields(known)} if known is not None else set()
    if option.endswith("_path") and option not in names:
        return text
    return parse_yaml(text, where) if known is None else value_of(text, known, option, where)


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what ``sys.stderr`` is at the time of a line: while a bar is shown, it takes the lines above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def command_log() -> logging.Logger:
    """The log of a command, on standard error; the steps of ``tasks`` write into it as well."""
    logging.basicConfig(
        format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING, handlers=[_StandardError()]
    )
    log = logging.getLogger("pear")
    # PEAR_DEBUG=1 shows the trace of what ends in one sentence.
    log.setLevel(logging.DEBUG if os.environ.get("PEAR_DEBUG") else logging.INFO)
    logging.getLogger("tasks").setLevel(logging.INFO)
    return log


def has_server() -> bool:
    """Whether a Prefect server is up for this folder or named by the environment."""
    from flows.server.local_server import forget_dead_server

    forget_dead_server(Path.cwd())
    return bool(os.environ.get("PREFECT_API_URL")) or Path("prefect.toml").is_file()
