"""Tensors and metadata as bytes: what comes back is what went in, and every wrong file is one clear sentence."""

import random

import pytest
import safetensors.torch
import torch

from model.tensor_file import pack, unpack


def test_pack_keeps_every_kind_of_tensor():
    torch.manual_seed(0)
    base = torch.randn(6, 4)
    tensors = {
        "view": base[1:3], "base": base, "transposed": base.T, "again": base, "expanded": base[:1].expand(5, 4),
        "number": torch.tensor(3.5), "empty": torch.zeros(0, 3), "empty too": torch.zeros(0),
        "rng": torch.get_rng_state(), "steps": torch.tensor([2**40]),
        "flags": torch.tensor([True, False]), "half": base.half(), "bfloat": base.bfloat16(), "double": base.double(),
        "parameter": torch.nn.Parameter(base.clone()), "strided": torch.randn(2, 3, 4, 5)[:, ::2, 1:],
    }  # fmt: skip
    metadata = {"step": 3, "nested": {"list": [1, 2.5, None, "ä"], "flag": True}}
    found, told = unpack(pack(tensors, metadata), "x")
    assert told == metadata
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor.detach()), name


def test_pack_without_tensors():
    assert unpack(pack({}, {"step": 0}), "x") == ({}, {"step": 0})


def test_what_comes_back_can_be_written_to():
    tensors, _ = unpack(pack({"a": torch.zeros(3)}, {}), "x")
    tensors["a"].add_(1)
    assert tensors["a"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("value", [float("nan"), object()])
def test_metadata_is_plain_and_finite(value):
    with pytest.raises(ValueError, match="loss"):
        pack({}, {"loss": value})


@pytest.mark.parametrize(
    "data", [b"hello, this is text and no tensors", b"\x80\x02}q\x00.", b"PK\x03\x04" + bytes(500)]
)
def test_other_files(data):
    with pytest.raises(ValueError, match="x is no safetensors file"):
        unpack(data, "x")


def test_damaged_headers_are_one_sentence():
    """Whatever bit of the header flips, either the same kind of error or a readable file comes out."""
    data = pack({"weight": torch.arange(4.0), "bias": torch.zeros(2)}, {"format": "y", "step": 1})
    length = int.from_bytes(data[:8], "little")
    draw, messages = random.Random(0), []
    for _ in range(400):
        damaged = bytearray(data)
        damaged[draw.randrange(8 + length)] ^= 1 << draw.randrange(8)
        try:
            unpack(bytes(damaged), "x")
        except ValueError as error:
            messages.append(str(error))
    assert len(messages) > 200
    assert {message.partition(" has ")[0].partition(" is no safetensors ")[0] for message in messages} == {"x"}


def test_tensors_of_somebody_else():
    with pytest.raises(ValueError, match="has tensors but not the metadata 'pear'"):
        unpack(safetensors.torch.save({"a": torch.zeros(1)}), "x")
    with pytest.raises(ValueError, match="has tensors but not the metadata 'pear'"):
        unpack(safetensors.torch.save({"a": torch.zeros(1)}, {"format": "pt"}), "x")
