"""The converter reads what the published files hold and runs nothing that a hostile file asks for."""

import io
import os
import pickle
import subprocess
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch
from hostile_pickles import Call, hostile_pickles

from datasets_manifest.restricted_pickle import PickleError, RefusedName
from model.body.asset_files import load_body, load_ehm_assets
from model.body.assets import load_open_body
from model.body.convert import convert_model, main
from model.body.ehms import EHMs
from model.body.official_files import ConvertError, read_source, sha256_of
from model.body.open_body.builder.layout import model_dict
from model.body.parameters import EhmParameters

ROOT = Path(__file__).parents[3]


# --- hostile files ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(hostile_pickles(Path("x"))))
def test_a_hostile_pickle_runs_nothing(tmp_path: Path, name: str) -> None:
    sentinel, path = tmp_path / "sentinel", tmp_path / "model.pkl"
    path.write_bytes(hostile_pickles(sentinel)[name])
    with pytest.raises(PickleError, match=r"model\.pkl"):
        read_source(path)
    assert not sentinel.exists()


def test_the_hostile_pickles_would_have_run(tmp_path: Path) -> None:
    """The test above proves something only if an ordinary unpickler does fall for these files."""
    sentinel, path = tmp_path / "sentinel", tmp_path / "model.pkl"
    path.write_bytes(hostile_pickles(sentinel)["protocol_0"])
    reader = f"import pickle; pickle.Unpickler(open({str(path)!r}, 'rb')).load()"
    subprocess.run([sys.executable, "-c", reader], check=True)
    assert sentinel.exists()


def test_a_hostile_object_array_in_an_npz_runs_nothing(tmp_path: Path) -> None:
    sentinel, path = tmp_path / "sentinel", tmp_path / "SMPLX_NEUTRAL.npz"
    hostile = np.array(Call(os.system, f"touch {sentinel}"), dtype=object)
    np.savez(path, v_template=np.zeros((3, 3)), joint2num=hostile)
    with pytest.raises(RefusedName, match="nothing was run"):
        read_source(path)
    assert not sentinel.exists()


def test_an_array_cannot_smuggle_object_pointers(tmp_path: Path) -> None:
    record = np.dtype([("a", "O")])
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(np.zeros(2, record), protocol=2))
    with pytest.raises(PickleError):
        read_source(path)


def test_a_false_length_allocates_nothing(tmp_path: Path) -> None:
    path, buffer = tmp_path / "big.npy", io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**13,)}
    np.lib.format.write_array_header_1_0(buffer, header)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="corrupt"):
        read_source(path)


# --- official layouts -------------------------------------------------------------------------------------------------
def _official(part: str, **changes: object) -> dict:
    model = model_dict(part)
    num_joints = model["kintree_table"].shape[1]
    posedirs = np.zeros((*model["v_template"].shape, 9 * (num_joints - 1)), np.float32)
    return {**model, "posedirs": posedirs, "bs_style": "lbs", **changes}


def _chumpy_classes() -> tuple[type, type]:
    """Classes that pickle under chumpy's names, as the published files do."""
    ch = type("Ch", (), {"__module__": "chumpy.ch"})
    select = type("Select", (), {"__module__": "chumpy.reordering"})
    for module, cls in (("chumpy", None), ("chumpy.ch", ch), ("chumpy.reordering", select)):
        sys.modules[module] = types.ModuleType(module)
        if cls is not None:
            setattr(sys.modules[module], cls.__name__, cls)
    return ch, select


def _forget_chumpy() -> None:
    for module in ("chumpy", "chumpy.ch", "chumpy.reordering"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_chumpy_sparse_and_ordered_members_are_decoded(tmp_path: Path, protocol: int) -> None:
    plain = _official("mano_left")
    ch, select = _chumpy_classes()
    try:
        shaped, rest = ch(), select()
        shaped.__dict__ = {"x": plain["shapedirs"], "_dirty_vars": {"x"}, "_itr": None}
        inner = ch()
        inner.__dict__ = {"x": plain["v_template"][::-1].copy()}
        ids = np.arange(plain["v_template"].size).reshape(-1, 3)[::-1].ravel()
        rest.__dict__ = {"a": inner, "idxs": ids, "preferred_shape": plain["v_template"].shape}
        model = OrderedDict(
            plain, shapedirs=shaped, v_template=rest, J_regressor=scipy.sparse.csc_matrix(plain["J_regressor"]),
            weights=np.asfortranarray(plain["weights"]),
        )  # fmt: skip
        data = pickle.dumps(model, protocol=protocol)
    finally:
        _forget_chumpy()
    path = tmp_path / "MANO_LEFT.pkl"
    path.write_bytes(data)
    found = convert_model("mano", path)
    np.testing.assert_allclose(found.shapedirs, plain["shapedirs"], atol=1e-7)
    np.testing.assert_allclose(found.v_template, plain["v_template"], atol=1e-7)
    np.testing.assert_allclose(found.joint_regressor, plain["J_regressor"], atol=1e-7)
    np.testing.assert_allclose(found.skin_weights, plain["weights"], atol=1e-7)


def test_a_pickle_of_python_2_is_decoded(tmp_path: Path) -> None:
    """Protocol 2 as Python 2 wrote it: array bytes are byte strings (`S`/`U` opcodes), not encoded text."""
    values = np.arange(6, dtype="<f8").reshape(2, 3) - 2.5
    raw = values.tobytes()
    data = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87R"
        b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        b"K\x00tb\x89T" + len(raw).to_bytes(4, "little") + raw + b"tb."
    )
    path = tmp_path / "array.pkl"
    path.write_bytes(data)
    np.testing.assert_array_equal(read_source(path), values)


def test_rows_and_columns_of_sparse_matrices(tmp_path: Path) -> None:
    dense = np.random.default_rng(0).normal(size=(7, 5)) * (np.random.default_rng(1).random((7, 5)) < 0.4)
    for name in ("csc_matrix", "csr_matrix"):
        path = tmp_path / f"{name}.pkl"
        path.write_bytes(pickle.dumps(getattr(scipy.sparse, name)(dense), protocol=2))
        np.testing.assert_array_equal(read_source(path), dense)


def test_object_members_of_an_npz_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "SMPLX_NEUTRAL.npz"
    np.savez(
        path, joint2num=np.array({"pelvis": 0, "jaw": 22}, dtype=object), names=np.array(["a", None], dtype=object)
    )
    found = read_source(path)
    assert found["joint2num"] == {"pelvis": 0, "jaw": 22}
    assert list(found["names"]) == ["a", None]


# --- errors -----------------------------------------------------------------------------------------------------------
def _message(kind: str, path: Path) -> str:
    with pytest.raises((ConvertError, PickleError)) as caught:
        convert_model(kind, path)  # type: ignore[arg-type]
    return str(caught.value)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    assert "does not exist" in _message("smplx", tmp_path / "SMPLX_NEUTRAL.npz")


@pytest.mark.parametrize("keep", [0, 5, 1000])
def test_a_cut_file_is_named_corrupt(tmp_path: Path, keep: int) -> None:
    whole = pickle.dumps(_official("mano_left"), protocol=2)
    path = tmp_path / "MANO_LEFT.pkl"
    path.write_bytes(whole[:keep])
    assert "MANO_LEFT.pkl is corrupt" in _message("mano", path)


@pytest.mark.parametrize("keep", [10, 3000])
def test_a_cut_npz_is_named_corrupt(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "SMPLX.npz"
    np.savez(path, v_template=np.zeros((900, 3)))
    path.write_bytes(path.read_bytes()[:keep])
    assert "SMPLX.npz is corrupt" in _message("smplx", path)


def test_a_damaged_member_is_named_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "SMPLX.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("v_template.npy", b"<html>not found</html>")
    assert "v_template.npy is corrupt" in _message("smplx", path)


def test_missing_keys_are_listed_with_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, poses=np.zeros((4, 165)), trans=np.zeros((4, 3)))
    text = _message("smplx", path)
    assert "expected the keys v_template" in text
    assert "found poses, trans" in text


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(_official("smpl"), protocol=2))
    assert "expected skin weights for 5 joints" in _message("flame", path)


def test_half_a_model_is_refused(tmp_path: Path) -> None:
    model = _official("mano_left")
    path = tmp_path / "MANO_LEFT.pkl"
    path.write_bytes(pickle.dumps(model | {"weights": model["weights"][:100]}, protocol=2))
    assert "skin_weights has shape" in _message("mano", path)


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = _official("mano_left")
    template = model["v_template"].copy()
    template[7] = np.nan
    path = tmp_path / "MANO_LEFT.pkl"
    path.write_bytes(pickle.dumps(model | {"v_template": template}, protocol=2))
    assert "v_template holds values that are not finite" in _message("mano", path)


# --- the whole way ----------------------------------------------------------------------------------------------------
@pytest.mark.long
def test_converted_files_give_the_body_that_was_converted(
    package_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    source, out = package_files, tmp_path / "out"
    code = main([
        "--smplx", f"{source}/smplx/SMPLX_NEUTRAL.npz", "--flame", f"{source}/flame/FLAME_NEUTRAL.pkl",
        "--flame-static", f"{source}/flame/flame_static_embedding.pkl",
        "--flame-dynamic", f"{source}/flame/flame_dynamic_embedding.npy",
        "--left-eyelid", f"{source}/flame/l_eyelid.npy", "--right-eyelid", f"{source}/flame/r_eyelid.npy",
        "--head-ids", f"{source}/smplx/SMPL-X__FLAME_vertex_ids.npy",
        "--hand-ids", f"{source}/smplx/MANO_SMPLX_vertex_ids.pkl",
        "--lower-head", f"{source}/flame/selected_lowerhead.npy",
        "--flame-masks", f"{source}/flame/FLAME_masks.pkl",
        "--kid-template", f"{source}/smplx/smplx_kid_template.npy",
        "--mano-left", f"{source}/mano/MANO_LEFT.pkl", "--out", str(out),
    ])  # fmt: skip
    assert code == 0
    said = capsys.readouterr().out
    assert "smplx.npz" in said
    ours, opened = load_ehm_assets(out), load_open_body()
    assert f"{len(ours.keep_body_ids)} of them stay with the body" in said
    lower = np.load(source / "flame/selected_lowerhead.npy")
    assert len(lower)
    assert set(ours.keep_body_ids) == set(opened.head_vertex_ids[lower])
    assert np.array_equal(ours.regions["lips"], opened.regions["lips"])
    assert ours.smplx.name == "SMPLX_NEUTRAL"
    assert ours.smplx.sha256 == sha256_of(source / "smplx/SMPLX_NEUTRAL.npz", source / "smplx/smplx_kid_template.npy")
    assert load_body(out / "mano_left.npz", "mano").num_vertices == len(opened.hand_vertex_ids["left"])
    people = EhmParameters.neutral(betas=torch.ones(10), flame_shape=torch.ones(10), eyelids=torch.ones(2))
    found, expected = EHMs(ours)(people), EHMs(opened)(people)
    assert (found.vertices - expected.vertices).abs().max() < 1e-6
    assert (found.keypoints - expected.keypoints).abs().max() < 1e-6
    with pytest.raises(ValueError, match="expected 'flame'"):
        load_body(out / "smplx.npz", "flame")


def test_a_correspondence_says_what_it_was_made_without(
    package_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    head_ids = f"{package_files}/smplx/SMPL-X__FLAME_vertex_ids.npy"
    assert main(["--head-ids", head_ids, "--out", str(tmp_path)]) == 0
    assert "without --hand-ids, --lower-head, --flame-masks" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["--lower-head", "--flame-masks"])
def test_vertices_that_are_none_of_the_head_are_refused(
    package_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture, flag: str
) -> None:
    head_ids, foreign = package_files / "smplx/SMPL-X__FLAME_vertex_ids.npy", tmp_path / "foreign.npy"
    ids = np.array([len(np.load(head_ids))])
    if flag == "--lower-head":
        np.save(foreign, ids)
    else:
        foreign.write_bytes(pickle.dumps({"lips": ids}, protocol=2))
    assert main(["--head-ids", str(head_ids), flag, str(foreign), "--out", str(tmp_path)]) == 2
    assert "should name vertices of FLAME" in capsys.readouterr().err
    assert main(["--smplx", str(head_ids), flag, str(foreign), "--out", str(tmp_path)]) == 2
    assert "Pass --head-ids as well" in capsys.readouterr().err


def test_the_command_reports_an_error_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["--smplx", str(tmp_path / "absent.npz"), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("convert: ")
    assert error.count("\n") == 1
    assert not list(tmp_path.rglob("*.partial"))


def test_missing_converted_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"smplx\.npz does not exist"):
        load_ehm_assets(tmp_path)
    (tmp_path / "smplx.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ValueError, match=r"smplx\.npz is not a readable npz file"):
        load_ehm_assets(tmp_path)


def test_a_file_in_place_of_the_folder_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("a file")
    assert main(["--smplx", str(tmp_path / "any.npz"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said == f"convert: {tmp_path / 'out'} is a file, --out takes a folder; name another one.\n"
