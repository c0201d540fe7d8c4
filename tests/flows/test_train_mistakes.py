"""What the user can mend ends a training in its own words, with a server as without."""

import logging
from pathlib import Path

import pytest

from flows import train as module
from flows.renderer import finetune
from flows.run.mistakes import MISTAKES
from tasks.training.regressor.settings import load_train_config

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_the_message_of_a_failed_run(mistake, monkeypatch):
    def refuse(*_args, **_named):
        raise mistake("no compiler: install one")

    monkeypatch.setattr(module, "run_training", refuse)
    monkeypatch.setattr(module, "ProgressBar", lambda: None)
    monkeypatch.setattr(module, "get_run_logger", lambda: logging.getLogger("test"))
    state = module.train(lambda: load_train_config(ROOT / "params.train.yaml", {"run.device": "cpu"}), lambda *_: None)
    assert state.is_failed()
    assert state.message == "no compiler: install one"


@pytest.mark.parametrize("flow", [module.train_regressor, module.train_photometric, finetune])
def test_so_is_a_mistake_in_the_settings(flow, tmp_path):
    state = flow.fn(params=str(tmp_path / "gone.yaml"))
    assert state.is_failed()
    assert state.message == f"settings file {tmp_path / 'gone.yaml'} does not exist; give its path with --params"
