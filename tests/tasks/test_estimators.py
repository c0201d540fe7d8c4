"""The pool of a worker's estimators."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from face_checkpoints import face_tensors
from photo_people import people
from upstream_checkpoints import write_checkpoint

from model.estimators.registry import create, register
from model.licensed_files.networks import check_published
from model.licensed_files.table import BY_ID
from tasks.estimators import borrowed, checked_options, estimator_info
from tasks.settings import EstimatorConfig

BACKEND = EstimatorConfig(backend="test_pool")
SHARED = EstimatorConfig(backend="test_shared_pool")
THREADS = 4
DWPOSE = ["dwpose.pose", "dwpose.detector"]


@register("face", "test_pool")
class Counted:
    """Stands for a network that is slow to load."""

    built = 0

    def __init__(self) -> None:
        type(self).built += 1


@register("face", "test_shared_pool")
class Shared(Counted):
    """Stands for one that several threads may use at once, and that is still loading when they all come."""

    shareable = True

    def __init__(self) -> None:
        super().__init__()
        threading.Event().wait(0.05)


def ask_at_once(config: EstimatorConfig) -> list[object]:
    """What threads get that hold an estimator at the same time."""
    everyone = threading.Barrier(THREADS)

    def use() -> object:
        everyone.wait(10)
        with borrowed("face", config) as estimator:
            everyone.wait(10)
            return estimator

    with ThreadPoolExecutor(THREADS) as pool:
        return [future.result() for future in [pool.submit(use) for _ in range(THREADS)]]


def test_an_estimator_is_built_once_and_lent_again() -> None:
    Counted.built = 0
    with borrowed("face", BACKEND) as first:
        pass
    with borrowed("face", BACKEND) as second:
        assert second is first
        with borrowed("face", BACKEND) as third:
            assert third is not first


def test_an_estimator_that_raised_is_not_lent_again() -> None:
    with pytest.raises(RuntimeError, match="graph stopped"), borrowed("face", BACKEND) as broken:
        raise RuntimeError("graph stopped")
    with borrowed("face", BACKEND) as first, borrowed("face", BACKEND) as second:
        assert broken is not first
        assert broken is not second


def test_threads_that_ask_at_once_share_what_may_be_shared() -> None:
    Shared.built = 0
    assert len(set(map(id, ask_at_once(SHARED)))) == 1
    assert Shared.built == 1
    assert len(set(map(id, ask_at_once(BACKEND)))) == THREADS


def test_a_shared_estimator_that_raised_is_built_anew_for_those_who_come_later() -> None:
    with borrowed("face", SHARED) as held:
        with pytest.raises(RuntimeError, match="device lost"), borrowed("face", SHARED):
            raise RuntimeError("device lost")
        with borrowed("face", SHARED) as fresh:
            assert fresh is not held
    with borrowed("face", SHARED) as later:
        assert later is fresh


def test_threads_on_one_network_get_what_one_thread_gets(tmp_path) -> None:
    write_checkpoint(tmp_path / "checkpoint.pt", "prohmr")
    config = EstimatorConfig(
        backend="prohmr", options={"checkpoint_path": str(tmp_path / "checkpoint.pt"), "batch_size": 2}
    )
    batches = [people(3, seed) for seed in range(THREADS)]

    def betas(batch):
        with borrowed("body", config) as estimator:
            return id(estimator), estimator.estimate(batch).betas

    alone = [betas(batch) for batch in batches]
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(betas, batches))
    assert len({made_by for made_by, _ in alone + together}) == 1
    for (_, one), (_, other) in zip(alone, together, strict=True):
        assert abs(one - other).max() < 1e-6
    assert abs(alone[0][1] - alone[1][1]).max() > 1e-3


@pytest.mark.parametrize(
    ("part", "backend"),
    [("body", "prohmr"), ("body", "hmr2"), ("hands", "hamer"), ("face", "teaser"), ("face", "smirk")],
)
def test_a_footer_needs_the_hash_of_the_weights_not_the_network(part, backend, tmp_path, monkeypatch) -> None:
    path = tmp_path / "weights.pt"
    if part == "face":
        torch.save(face_tensors(backend), path)
    else:
        write_checkpoint(path, backend)
    config = EstimatorConfig(backend=backend, options={"checkpoint_path": str(path)})
    with monkeypatch.context() as nothing_is_built:
        nothing_is_built.setattr("tasks.estimators.create", None)
        told = estimator_info(part, config)
    assert told == create(part, backend, **config.options).info
    with pytest.raises(ValueError, match="does not exist"):
        estimator_info(part, EstimatorConfig(backend=backend, options={"checkpoint_path": str(tmp_path / "absent")}))


@pytest.mark.parametrize(
    ("backend", "options", "sentence"),
    [
        (
            "hmr2",
            {"checkpoint_path": "a", "batchsize": 3},
            "unknown setting batchsize; known are batch_size, checkpoint_path",
        ),
        ("hmr2", {"checkpoint_path": "a", "half": 1}, "half: expected true or false, got 1"),
        ("hmr2", {}, "checkpoint_path: is missing"),
        ("mediapipe", {"pose": {"min_scor": 0.5}}, "pose: unknown setting min_scor; known are"),
    ],
)
def test_an_option_that_a_backend_does_not_take_is_named_with_the_known_ones(backend, options, sentence):
    with pytest.raises(ValueError, match=rf"body\.options of {backend}: {sentence}"):
        checked_options("body", EstimatorConfig(backend=backend, options=options))


def test_only_a_backend_with_a_device_is_told_of_it():
    given = {"device": "auto", "checkpoint_path": "a"}
    expected = {"device": "cuda" if torch.cuda.is_available() else "cpu", "checkpoint_path": "a"}
    assert checked_options("body", EstimatorConfig(backend="hmr2", options=given)) == expected
    assert checked_options("body", EstimatorConfig(backend="mediapipe", options={"device": "auto"})) == {}


@pytest.mark.promise(13)
@pytest.mark.parametrize(("part", "backend", "ids"), [("face", "smirk", ["smirk"]), ("keypoints", "dwpose", DWPOSE)])
def test_a_file_in_the_place_of_published_weights_that_is_another_is_refused_before_it_is_read(
    tmp_path, part, backend, ids, monkeypatch, measured
):
    paths = {BY_ID[id].option: tmp_path / BY_ID[id].place for id in ids}
    for path in paths.values():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"weights of somebody else")
    config = EstimatorConfig(backend=backend, options={option: str(path) for option, path in paths.items()})
    got, asset = hashlib.sha256(b"weights of somebody else").hexdigest(), BY_ID[ids[0]]
    sentence = f"{asset.sha256}, got {got}; get it again from .*give the file another name and set {part}.options."
    for use in (lambda: borrowed(part, config).__enter__(), lambda: estimator_info(part, config)):
        monkeypatch.setattr("tasks.estimators.create", lambda *_, **__: pytest.fail("it was read"))
        with pytest.raises(ValueError, match=sentence):
            use()
    own = paths[asset.option].with_name("own" + paths[asset.option].suffix)
    for option, path in paths.items():
        config.options[option] = str(path.rename(own if option == asset.option else path.with_name("other.onnx")))
    check_published(part, backend, config.options)
    if backend == "smirk":  # It states its file without reading it.
        assert estimator_info(part, config).weights_sha256 == got
    measured(
        f"{Path(asset.place).name} of another sha256 is refused unread, one's own of another name stated by its hash"
    )


def test_a_file_is_hashed_once(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr("model.weights.file_sha256", lambda path: read.append(path) or "0" * 64)
    path = tmp_path / "smirk/SMIRK_em1.pt"
    path.parent.mkdir()
    path.write_bytes(b"")
    for _ in range(3):
        with pytest.raises(ValueError, match="is not the published"):
            check_published("face", "smirk", {"checkpoint_path": str(path)})
    assert read == [path]
