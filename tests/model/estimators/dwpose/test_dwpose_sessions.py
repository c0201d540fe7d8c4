import hashlib
import sys
import types

import numpy as np
import pytest
from onnx_files import Graph, TensorProto, write_fixed_pose, write_mean_pose

from model.estimators.dwpose import sessions
from model.estimators.dwpose.files import POSE_FILE
from model.estimators.dwpose.sessions import OnnxNetwork, providers_of

SIZE = (48, 64)


def test_missing_file_says_where_it_comes_from(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.onnx is not a file: expected dw-ll_ucoco_384\.onnx .*http"):
        OnnxNetwork(tmp_path / "nothing.onnx", POSE_FILE)


def test_missing_option_is_named():
    with pytest.raises(ValueError, match=r"needs the option pose_path: expected dw-ll_ucoco_384\.onnx"):
        OnnxNetwork(None, POSE_FILE)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>sign in</html>", b"\x08\x08\x12\x04half of a file"])
def test_broken_file_is_named(tmp_path, content):
    (tmp_path / "broken.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"pose_path .*broken\.onnx: .*expected dw-ll_ucoco_384\.onnx.*http"):
        OnnxNetwork(tmp_path / "broken.onnx", POSE_FILE)


def test_file_cut_short_is_named(tmp_path):
    whole = write_fixed_pose(tmp_path / "whole.onnx", np.full((133, 2), 0.5), SIZE).read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.onnx: onnxruntime cannot open it"):
        OnnxNetwork(tmp_path / "cut.onnx", POSE_FILE)


def test_network_without_an_image_input_is_refused(tmp_path):
    graph = Graph()
    graph.add("Relu", "tokens", out="out")
    path = graph.write(tmp_path / "text.onnx", {"tokens": [1, 77]}, {"out": [1, 77]})
    with pytest.raises(ValueError, match=r"its inputs are tokens \[1, 77\].*expected one float image"):
        OnnxNetwork(path, POSE_FILE)


def test_network_of_any_size_is_refused(tmp_path):
    graph = Graph()
    graph.add("Relu", "x", out="out")
    path = graph.write(tmp_path / "free.onnx", {"x": [1, 3, "h", "w"]}, {"out": [1, 3, "h", "w"]})
    with pytest.raises(ValueError, match="fixed height and width"):
        OnnxNetwork(path, POSE_FILE)


@pytest.mark.parametrize("batch", ["batch", 1, 3])
def test_batches_of_any_kind_give_the_same(tmp_path, batch):
    network = OnnxNetwork(write_mean_pose(tmp_path / "m.onnx", SIZE, batch=batch), POSE_FILE)
    images = np.random.default_rng(0).normal(size=(5, 3, 64, 48)).astype(np.float32)
    both = network.run(images)
    single = [network.run(image[None]) for image in images]
    for k in (0, 1):
        assert both[k].shape[0] == 5
        np.testing.assert_allclose(both[k], np.concatenate([one[k] for one in single]), atol=1e-6)


def test_half_precision_file_is_fed_halves(tmp_path):
    graph = Graph()
    graph.add("Relu", "input", out="out")
    shape = [1, 3, 64, 48]
    path = graph.write(tmp_path / "half.onnx", {"input": shape}, {"out": shape}, TensorProto.FLOAT16)
    (out,) = OnnxNetwork(path, POSE_FILE).run(np.full(shape, 0.1, np.float32))
    assert out.dtype == np.float32
    assert out[0, 0, 0, 0] == np.float32(np.float16(0.1))


def test_hash_is_that_of_the_file(tmp_path):
    path = write_mean_pose(tmp_path / "m.onnx", SIZE)
    assert OnnxNetwork(path, POSE_FILE).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_providers_of_each_device():
    cuda = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert providers_of("cpu", cuda) == ["CPUExecutionProvider"]
    assert providers_of("cuda", cuda)[0] == ("CUDAExecutionProvider", {"device_id": 0})
    assert providers_of("cuda:2", cuda)[0] == ("CUDAExecutionProvider", {"device_id": 2})
    with pytest.raises(ValueError, match=r"has no CUDA.*onnxruntime-gpu"):
        providers_of("cuda", ["CPUExecutionProvider"])
    with pytest.raises(ValueError, match=r"'cpu', 'cuda' or 'cuda:N', got 'tpu'"):
        providers_of("tpu", cuda)


def test_silent_fall_back_to_the_cpu_is_an_error(tmp_path, monkeypatch):
    real = sessions.import_onnxruntime()

    class Fallen(real.InferenceSession):
        def __init__(self, path, sess_options, providers):
            super().__init__(path, sess_options=sess_options, providers=["CPUExecutionProvider"])

    fake = types.SimpleNamespace(
        capi=real.capi,
        SessionOptions=real.SessionOptions,
        InferenceSession=Fallen,
        get_available_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    monkeypatch.setattr(sessions, "import_onnxruntime", lambda: fake)
    with pytest.raises(ValueError, match="could not start CUDA and fell back to CPUExecutionProvider"):
        OnnxNetwork(write_mean_pose(tmp_path / "m.onnx", SIZE), POSE_FILE, device="cuda")


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"\.\[dwpose\]"):
        sessions.import_onnxruntime()
