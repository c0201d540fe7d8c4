"""What is lacking is said before anything is predicted."""

import numpy as np
import pytest
from grey_renderer import grey_renderer
from stub_estimators import StubKeypoints
from texture_renderers import ball_renderer

from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.renderer.texture.file import RendererMeta, save_renderer
from tasks.predict.avatar.predicted import PredictedAvatars, distance
from tasks.predict.people import find_people, whole_image
from tasks.predict.settings import AvatarConfig
from tasks.settings import BodyModelConfig

OPEN = BodyModelConfig()


@pytest.fixture(scope="module")
def body():
    return EHMs(load_open_body())


def written(path, renderer):
    path.write_bytes(save_renderer(renderer, RendererMeta(body_model={"name": "its own"})))
    return str(path)


def test_a_renderer_of_the_body_and_a_motion_are_all_it_needs(body, tmp_path):
    path = written(tmp_path / "r.safetensors", grey_renderer(body.assets))
    assert PredictedAvatars(AvatarConfig(renderer=path), OPEN, body)


def test_without_a_renderer_the_command_that_makes_one_is_named(body, tmp_path):
    with pytest.raises(ValueError, match=r"avatar.renderer: there is no file .*gone; `pear finetune-renderer` makes"):
        PredictedAvatars(AvatarConfig(renderer=str(tmp_path / "gone")), OPEN, body)


def test_a_renderer_of_another_body_is_refused(body, tmp_path):
    path = written(tmp_path / "r.safetensors", ball_renderer())
    with pytest.raises(ValueError, match="learnt on the mesh of its own, the body to draw has another"):
        PredictedAvatars(AvatarConfig(renderer=path), OPEN, body)
    (tmp_path / "text").write_text("no renderer")
    with pytest.raises(ValueError, match="text is no safetensors file"):
        PredictedAvatars(AvatarConfig(renderer=str(tmp_path / "text")), OPEN, body)


def test_a_prediction_is_as_far_off_as_its_body_points_are_from_those_that_were_seen():
    rgb = np.zeros((100, 80, 3), np.uint8)
    people = find_people(StubKeypoints(), ["a.png"], [rgb])[0]
    points = people.output.keypoints[:, :, :2].astype(np.float64)
    points[0, :11, 1] += 20.0  # more than half of the body's 17
    points[0, 17:] = 1000.0  # not seen

    class Predicted:
        keypoints_px = points

        def __len__(self):
            return 1

    assert distance(people, Predicted()) == pytest.approx([0.2])
    assert distance(whole_image(rgb), Predicted()) == [0.0]
    people.output.sigma_px[:] = np.inf
    assert distance(people, Predicted()) == [0.0]
