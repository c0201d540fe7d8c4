"""Both loaders of the benchmark give the same people, and the program prints its table."""

import pytest
import torch

from benchmarks.data_loading import PlainDataset, main, write_people
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE
from model.body.assets import load_open_body
from model.regressor.augment import AugmentConfig
from model.regressor.config import RegressorConfig
from model.regressor.flip import CoefficientMirror
from tasks.training.regressor.dataset import RegressorDataset


@pytest.mark.long
def test_both_loaders_give_the_same_people(tmp_path):
    mirror = CoefficientMirror.of(load_open_body(), DEFAULT_SIZE)
    config = RegressorConfig(crop_px=64, side_px=8)
    dataset = RegressorDataset([write_people(tmp_path, 160, 120, 3, 2)], AugmentConfig(), config, 0, mirror=mirror)
    plain = PlainDataset(dataset)
    batch = dataset.batch(range(8))
    for k in range(8):
        sample = plain[k]
        assert sample["sample_id"] == batch.sample_ids[k]
        torch.testing.assert_close(sample["keypoints"], batch.keypoints_2d[k])
        for name, value in batch.target.named().items():
            torch.testing.assert_close(sample[name], value[k], msg=name)
        shown = sample["crop"] * torch.tensor([0.229, 0.224, 0.225])[:, None, None]
        shown = 255 * (shown + torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        assert (shown - batch.crops[k]).abs().mean() < 6


def test_the_program_prints_its_table(capsys):
    main(["--sizes", "96x96", "--people", "2", "--crops", "4", "--batch", "2", "--repeats", "1"])
    assert "| 96 x 96 |" in capsys.readouterr().out
