"""Fixtures that tests of several folders share."""

import gc
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest

_WAITING = {"flows", "test_examples.py", "test_snippets.py", "test_dvc_stages.py"}
"""Below tests/: files that mostly wait for servers and other processes."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What collecting imports lasts, so it is not searched for garbage, neither meanwhile nor by the tests."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that wait stand evenly among those that compute, so that processes side by side keep all cores busy.

    Those that use the real Prefect server follow each other, so that it need not run all the time.
    """
    for item in items:
        for promise in item.iter_markers("promise"):
            item.user_properties.append(("promise", promise.args[0]))
    root = Path(__file__).parent
    files = [list(tests) for _, tests in groupby(items, lambda item: item.path)]
    waiting = [tests[0].path.relative_to(root).parts[0] in _WAITING for tests in files]
    count = {kind: waiting.count(kind) for kind in (True, False)}
    seen = {True: 0.0, False: 0.0}
    places = []
    for kind, tests in zip(waiting, files, strict=True):
        use_server = any("project_with_server" in getattr(item, "fixturenames", ()) for item in tests)
        places.append(0.5 if use_server else (seen[kind] + 0.5) / count[kind])
        seen[kind] += 1
    in_order = sorted(zip(places, files, strict=True), key=lambda pair: pair[0])
    items[:] = [item for _, tests in in_order for item in tests]


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tells what a test of a promise measured, in words; `make reliability` puts it into docs/reliability.md."""
    return partial(record_property, "measured")


@pytest.fixture
def torch_as_before() -> Iterator[None]:
    """Number of threads and determinism, which a training inside this process sets, are afterwards what they were."""
    import torch

    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def plain_curves() -> Iterator[None]:
    """Curves of trainings are drawn as a square: the real ones, which are tested by themselves, take seconds."""
    import numpy as np

    from model.renderer.overlay import encode_png

    square = encode_png(np.full((8, 8, 3), 255, np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.training.engine.publish.curve_plot_png", lambda *_, **__: square)
        yield


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings file of a project folder whose data set is rendered and annotated once."""
    # Here, for tests that need no more than torch and numpy are run on machines that have no more.
    from annotated_project import annotate, write_project
    from small_pages import small_pages

    params = write_project(tmp_path_factory.mktemp("annotated"))
    with small_pages():
        result = annotate(params)
    assert not result.failed_parts, result.sentence
    return params
