"""The kept transfer: computed once, belongs to its bodies, survives broken files and workers that start together."""

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest

from fitting.delta_theta import DeltaTheta, cache_key
from fitting.rest_alignment import AlignConfig
from model.body.asset_files import save_body
from model.body.assets import BodyAssets, load_open_part
from model.body.surface_map import SurfaceMap, load_open_surface_map, save_surface_map
from tasks.annotate import delta_theta as cache
from tasks.settings import BodyModelConfig


def made_up(smpl: BodyAssets, smplx: BodyAssets, surface: SurfaceMap, config: AlignConfig, seed: int) -> DeltaTheta:
    """Right in form, random in content."""
    rng = np.random.default_rng(seed)
    return DeltaTheta(
        key=cache_key(smpl, smplx, surface, config),
        smpl_sha256=smpl.sha256,
        smplx_sha256=smplx.sha256,
        surface_sha256=surface.sha256,
        alignment=rng.normal(size=(22, 3, 3)),
        dtheta_rad=rng.normal(size=(21, 3)),
        betas_offset=rng.normal(size=10),
        betas_matrix=rng.normal(size=(10, 10)),
        smpl_pelvis_m=rng.normal(size=(3, 11)),
        smplx_pelvis_m=rng.normal(size=(3, 11)),
        pelvis_offset_m=rng.normal(size=3),
        copied_error_m=0.02,
        aligned_error_m=0.001,
    )


@pytest.fixture
def bodies() -> tuple[BodyAssets, BodyAssets, SurfaceMap]:
    return load_open_part("smpl"), load_open_part("smplx"), load_open_surface_map()


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[DeltaTheta]:
    """What was computed, in order; the alignment itself is tested elsewhere."""
    found: list[DeltaTheta] = []

    def compute(smpl, smplx, surface, config):
        found.append(made_up(smpl, smplx, surface, config, seed=len(found)))
        return found[-1]

    monkeypatch.setattr(cache, "compute_delta_theta", compute)
    return found


def same(a: DeltaTheta, b: DeltaTheta) -> bool:
    first, second = a.to_arrays(), b.to_arrays()
    return all(np.array_equal(first[name], second[name]) for name in first)


def test_computed_once(tmp_path: Path, bodies, computed):
    first = cache.load_or_compute(tmp_path, *bodies)
    again = cache.load_or_compute(tmp_path, *bodies)
    assert len(computed) == 1
    assert same(first, again)
    name = cache.cache_path(tmp_path, *bodies[:2]).name
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert bodies[0].sha256[:16] in name


@pytest.mark.parametrize("which", [0, 1])
def test_another_body_gets_a_file_of_its_own(tmp_path: Path, bodies, computed, which):
    cache.load_or_compute(tmp_path, *bodies)
    smpl, smplx = (dataclasses.replace(b, sha256="0" * 64) if k == which else b for k, b in enumerate(bodies[:2]))
    found = cache.load_or_compute(tmp_path, smpl, smplx, bodies[2])
    assert len(computed) == len(list(tmp_path.iterdir())) == 2
    assert (found.smpl_sha256, found.smplx_sha256)[which] == "0" * 64
    assert same(cache.load_or_compute(tmp_path, *bodies), computed[0])
    assert len(computed) == 2


def test_a_file_of_other_bodies_under_this_name_is_not_believed(tmp_path: Path, bodies, computed):
    """The name holds the first characters of the hashes only; the content decides."""
    near = dataclasses.replace(bodies[1], sha256=bodies[1].sha256[:16] + "0" * 48)
    cache.load_or_compute(tmp_path, bodies[0], near, bodies[2])
    assert cache.load_or_compute(tmp_path, *bodies).smplx_sha256 == bodies[1].sha256
    assert len(computed) == 2


def test_other_settings_or_another_correspondence_are_computed_anew(tmp_path: Path, bodies, computed):
    smpl, smplx, surface = bodies
    cache.load_or_compute(tmp_path, *bodies)
    cache.load_or_compute(tmp_path, smpl, smplx, surface, AlignConfig(limb_weight=2.0))
    fewer = SurfaceMap(
        smplx_ids=surface.smplx_ids[1:], smpl_ids=surface.smpl_ids[1:], smpl_weights=surface.smpl_weights[1:]
    )
    cache.load_or_compute(tmp_path, smpl, smplx, fewer)
    assert len(computed) == 3


def broken(content: bytes) -> dict[str, bytes]:
    middle = len(content) // 2
    return {
        "empty": b"",
        "cut short": content[:middle],
        "no archive": b"x" * 500,
        "flipped bytes": content[:middle]
        + bytes(b ^ 0xFF for b in content[middle : middle + 64])
        + content[middle + 64 :],
        "too large": content + b"\0" * cache.MAX_CACHE_BYTES,
    }


@pytest.mark.parametrize("damage", list(broken(b"")))
def test_a_broken_file_is_replaced(tmp_path: Path, bodies, computed, damage):
    cache.load_or_compute(tmp_path, *bodies)
    path = cache.cache_path(tmp_path, *bodies[:2])
    path.write_bytes(broken(path.read_bytes())[damage])
    assert same(cache.load_or_compute(tmp_path, *bodies), computed[1])
    assert same(cache.load_or_compute(tmp_path, *bodies), computed[1])
    assert len(computed) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"alignment": None},
        {"dtheta_rad": np.zeros((3, 3))},
        {"betas_offset": np.array(1.0)},
        {"copied_error_m": np.array("far")},
        {"alignment": np.array([{"a": 1}], dtype=object)},
    ],
    ids=["missing", "shape", "scalar", "text", "pickled"],
)
def test_a_file_with_wrong_content_is_replaced(tmp_path: Path, bodies, computed, change):
    arrays = cache.load_or_compute(tmp_path, *bodies).to_arrays() | change
    path = cache.cache_path(tmp_path, *bodies[:2])
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    cache.load_or_compute(tmp_path, *bodies)
    assert len(computed) == 2


def test_workers_that_start_together_all_get_a_whole_one(tmp_path: Path, bodies, monkeypatch: pytest.MonkeyPatch):
    barrier, results = threading.Barrier(8), []

    def compute(smpl, smplx, surface, config):
        barrier.wait(timeout=30)
        return made_up(smpl, smplx, surface, config, seed=0)

    monkeypatch.setattr(cache, "compute_delta_theta", compute)
    workers = [
        threading.Thread(target=lambda: results.append(cache.load_or_compute(tmp_path, *bodies))) for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 8
    assert all(same(result, results[0]) for result in results)
    assert len(list(tmp_path.iterdir())) == 1, "no temporary file is left"
    assert same(cache.load_or_compute(tmp_path, *bodies), results[0])


def test_threads_of_a_worker_compute_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Torch keeps the state of forward differentiation for the process: two alignments at once break each other."""
    at_once, most, results = [], [], []

    def compute(smpl, smplx, surface, config):
        at_once.append(1)
        most.append(len(at_once))
        threading.Event().wait(0.05)
        at_once.pop()
        return made_up(smpl, smplx, surface, config, seed=0)

    monkeypatch.setattr(cache, "compute_delta_theta", compute)

    def ask(work: Path) -> None:
        results.append(cache.delta_theta(BodyModelConfig(), work))

    # Two work folders: even those who compute different files must wait.
    threads = [threading.Thread(target=ask, args=(tmp_path / str(k % 2),)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert most == [1, 1]


def test_licensed_folder_is_read_by_its_names(tmp_path: Path, bodies):
    config = BodyModelConfig(path=str(tmp_path))
    with pytest.raises(ValueError, match=r"smpl\.npz does not exist"):
        cache.bodies(config)
    smpl, smplx, surface = bodies
    save_body(tmp_path / "smpl.npz", smpl)
    save_body(tmp_path / "smplx.npz", dataclasses.replace(smplx, shapedirs=smplx.shapedirs[..., :2]))
    with pytest.raises(ValueError, match=r"smpl_to_smplx\.npz does not exist.*--smpl-to-smplx"):
        cache.bodies(config)
    save_surface_map(tmp_path / "smpl_to_smplx.npz", surface)
    found = cache.bodies(config)
    assert found[0].kind == "smpl"
    assert found[1].shapedirs.shape[-1] == 2
    assert found[2].sha256 == surface.sha256


@pytest.mark.slow
def test_open_body_end_to_end(tmp_path: Path):
    first = cache.delta_theta(BodyModelConfig(), tmp_path)
    assert first.aligned_error_m < 1e-3 < first.copied_error_m
    cache._delta_theta.cache_clear()
    assert same(cache.delta_theta(BodyModelConfig(), tmp_path), first)
