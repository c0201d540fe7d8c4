"""Bodies that a backend states as SMPL are written as SMPL-X."""

from pathlib import Path

import numpy as np
import pytest
import torch
from upstream_checkpoints import write_checkpoint

from fitting.delta_theta import DeltaTheta
from model.estimators.base import BodyOutput
from model.rotations import rotvec_to_rotmat
from tasks.annotate.delta_theta import delta_theta
from tasks.annotate.provenance import step_config
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.steps.body import body_columns, smplx_output
from tasks.settings import EstimatorConfig


@pytest.fixture(scope="module")
def transfer(tmp_path_factory: pytest.TempPathFactory) -> DeltaTheta:
    return delta_theta(AnnotateConfig().body_model, tmp_path_factory.mktemp("work"))


def output(num: int) -> BodyOutput:
    generator = torch.Generator().manual_seed(0)
    turns = 0.4 * torch.randn(num, 22, 3, generator=generator)
    rotations = rotvec_to_rotmat(turns).double().numpy()
    return BodyOutput(
        valid=np.array([True] * num),
        score=np.ones(num),
        global_orient=rotations[:, 0],
        body_pose=rotations[:, 1:],
        betas=np.random.default_rng(0).normal(size=(num, 10)),
        sigma_rad=np.full((num, 22), 0.1),
        reasons=[None] * num,
    )


@pytest.mark.parametrize("composition", ["conjugate", "additive", "copy"])
def test_pose_and_shape_are_carried_over_and_the_rest_stays(transfer: DeltaTheta, composition: str) -> None:
    before = output(3)
    after = smplx_output(before, transfer, composition)  # pyright: ignore[reportArgumentType]
    assert np.array_equal(after.global_orient, before.global_orient)
    assert after.sigma_rad is before.sigma_rad
    turned = np.abs(after.body_pose - before.body_pose).max((0, 2, 3))
    assert (turned.max() > 0.05) == (composition != "copy")
    assert np.allclose(after.body_pose @ after.body_pose.transpose(0, 1, 3, 2), np.eye(3), atol=1e-6)
    assert after.betas.shape == (3, 10)
    assert np.abs(after.betas - before.betas).max() > 0.1
    assert {len(values) for values in body_columns(after).values()} == {3}


def test_the_footer_tells_of_the_weights_and_the_transfer_but_not_of_places(tmp_path: Path) -> None:
    def stated(name: str, seed: int = 0, batch_size: int = 8, **config: str) -> dict:
        path = tmp_path / name
        if not path.exists():
            write_checkpoint(path, "hmr2", seed=seed)
        body = EstimatorConfig(backend="hmr2", options={"checkpoint_path": str(path), "batch_size": batch_size})
        return step_config("body", AnnotateConfig(body=body, **config))  # pyright: ignore[reportArgumentType]

    here = stated("here.ckpt")
    (tmp_path / "there.ckpt").write_bytes((tmp_path / "here.ckpt").read_bytes())
    assert stated("there.ckpt") == here
    assert stated("here.ckpt", batch_size=3) == here
    assert stated("other.ckpt", seed=1) != here
    assert stated("here.ckpt", smpl_to_smplx="additive") != here
    assert here["smpl_to_smplx"]["composition"] == "conjugate"
    assert str(tmp_path) not in str(here)
    assert "smpl_to_smplx" not in step_config("body", AnnotateConfig())
