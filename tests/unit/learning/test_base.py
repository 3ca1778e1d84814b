"""The frozen base: any dtype, exact, each parameter once; and nothing of a peer's bytes taken unchecked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fl_platform.errors import ConfigError, DocumentInvalid
from fl_platform.learning import base as base_module
from fl_platform.learning.base import base_digest, base_limit, check_buffers, encode_base, load_base
from fl_platform.learning.parameters import frozen, initial_module, learned
from fl_platform.protocol.spec import NO_BASE
from fl_platform.store.unixfs import cid_of


class Adapted(nn.Module):
    """A frozen table of several dtypes, tied in part, under one learned layer."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        values = torch.randn(4, 6, generator=generator)
        self.embed = nn.Embedding(4, 6)
        self.embed.weight = nn.Parameter(values.t().contiguous().t(), requires_grad=False)
        self.head = nn.Linear(6, 4, bias=False)
        self.head.weight = self.embed.weight
        for name, dtype in (
            ("w_half", torch.bfloat16), ("w_byte", torch.uint8), ("w_long", torch.int64), ("w_double", torch.float64),
        ):  # fmt: skip
            self.register_parameter(name, nn.Parameter((values[0] * 100).abs().to(dtype), requires_grad=False))
        self.flag = nn.Parameter(values[1] > 0, requires_grad=False)
        self.scale = nn.Parameter(torch.tensor(float("-inf")), requires_grad=False)
        self.none = nn.Parameter(torch.empty(0, 3), requires_grad=False)
        self.register_buffer("steps", torch.tensor(seed))
        self.out = nn.Linear(6, 2)


NAMES = ["w_half", "w_byte", "w_long", "w_double", "flag", "scale", "steps", "embed.weight"]


def same(one: nn.Module, other: nn.Module) -> bool:
    left, right = frozen(one), frozen(other)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_every_dtype_comes_back_exactly_and_each_parameter_once() -> None:
    owner, party = Adapted(1), Adapted(2)
    data = encode_base(owner)
    assert data is not None
    assert list(frozen(owner)) == NAMES
    assert not same(owner, party)
    kept = {name: value.clone() for name, value in learned(party).items()}
    load_base(party, data)
    assert same(owner, party)
    assert party.head.weight is party.embed.weight
    assert all(torch.equal(value, kept[name]) for name, value in learned(party).items())
    assert len(data) <= base_limit(party) <= len(data) + 300 * len(NAMES)
    assert encode_base(party) == data


def test_the_library_reads_the_file_and_the_digest_is_the_contents() -> None:
    from safetensors.torch import load

    data = encode_base(Adapted(1))
    assert data is not None
    assert {name: tuple(value.shape) for name, value in load(data).items()} == {
        name: tuple(value.shape) for name, value in frozen(Adapted(1)).items()
    }
    assert base_digest(data) == cid_of(data).digest
    assert base_digest(data) != base_digest(encode_base(Adapted(2)))


def test_a_pretrained_batch_norm_comes_with_its_statistics() -> None:
    def factory() -> nn.Module:
        return nn.Sequential(nn.BatchNorm1d(3).requires_grad_(requires_grad=False), nn.Linear(3, 2))

    owner, party = factory(), factory()
    owner(torch.arange(12.0).reshape(4, 3))
    load_base(party, encode_base(owner) or b"")
    assert torch.equal(party[0].running_var, owner[0].running_var)
    assert int(party[0].num_batches_tracked) == 1


class Features(nn.Module):
    """Random features in a buffer, drawn as `how` says."""

    def __init__(self, how: str) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0) if how == "seeded" else None
        drawn = torch.randn(3, 4, generator=generator)
        self.norm, self.out = nn.BatchNorm1d(4), nn.Linear(4, 2)
        self.register_buffer("mask", torch.full((2,), float("nan")))
        if how == "parameter":
            self.drawn = nn.Parameter(drawn, requires_grad=False)
        else:
            self.register_buffer("drawn", drawn, persistent=how != "passing")


@pytest.mark.parametrize("how", ["buffer", "passing"])
def test_buffers_drawn_at_random_are_refused(how: str) -> None:
    module = initial_module(lambda: Features(how), seed=1)
    with pytest.raises(ConfigError, match=r"buffer 'drawn' .* requires_grad=False, or build that layer") as caught:
        check_buffers(module, lambda: Features(how), seed=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", ["seeded", "parameter"])
def test_constant_buffers_and_frozen_parameters_are_not(how: str) -> None:
    check_buffers(initial_module(lambda: Features(how), seed=1), lambda: Features(how), seed=1)


def test_the_old_spectral_norm_is_refused_with_the_one_that_works() -> None:
    def old() -> nn.Module:
        return nn.Sequential(nn.utils.spectral_norm(nn.Linear(3, 4)))

    with pytest.raises(ConfigError, match=r"layer '0' is under .*use torch\.nn\.utils\.parametrizations"):
        check_buffers(initial_module(old, seed=1), old, seed=1)

    def new() -> nn.Module:
        return nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)))

    check_buffers(initial_module(new, seed=1), new, seed=1)


def test_a_layer_built_under_a_seed_is_constant_as_the_remedy_says() -> None:
    def orthogonal() -> nn.Module:
        return nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(3, 3)))

    def seeded() -> nn.Module:
        torch.manual_seed(7)
        return orthogonal()

    with pytest.raises(ConfigError, match=r"'0\.parametrizations\.weight\.0\.base' .* right after torch\.manual_seed"):
        check_buffers(initial_module(orthogonal, seed=1), orthogonal, seed=1)
    check_buffers(initial_module(seeded, seed=1), seeded, seed=1)


def test_only_a_model_with_constants_is_built_again() -> None:
    def again() -> nn.Module:
        raise AssertionError("built")

    for module in (nn.Linear(2, 2), nn.BatchNorm1d(2), nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2))):
        check_buffers(module, again, seed=1)


def test_a_model_that_learns_everything_has_no_base() -> None:
    assert encode_base(nn.Linear(2, 2)) is None
    assert base_digest(None) == NO_BASE


def test_wrappers_leave_no_trace_in_a_base() -> None:
    wrapped = nn.DataParallel(torch.compile(Adapted(1), backend="eager"))  # type: ignore[arg-type]
    assert encode_base(wrapped) == encode_base(Adapted(1))
    party = nn.DataParallel(Adapted(2))
    load_base(party, encode_base(Adapted(1)) or b"")
    assert same(party.module, Adapted(1))


@pytest.mark.parametrize("dtype", sorted(base_module._DTYPES, key=str), ids=str)
def test_each_dtype_that_is_named_is_the_librarys(dtype: torch.dtype) -> None:
    module = nn.Module()
    module.w = nn.Parameter(torch.arange(6).reshape(2, 3).to(dtype), requires_grad=False)
    data = encode_base(module)
    assert data is not None
    with torch.no_grad():
        module.w.copy_(torch.zeros(2, 3))
    load_base(module, data)
    assert torch.equal(module.w.view(torch.uint8), torch.arange(6).reshape(2, 3).to(dtype).view(torch.uint8))


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a base with another header over the same payload."""
    data = encode_base(Adapted(1)) or b""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header = change(header) or header
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[start:]


def other_dtype(header: dict[str, Any]) -> None:
    header["w_half"]["dtype"] = "F16"


def no_dtype(header: dict[str, Any]) -> None:
    header["w_half"]["dtype"] = ["BF16"]


def other_shape(header: dict[str, Any]) -> None:
    header["embed.weight"]["shape"] = [6, 4]


def other_name(header: dict[str, Any]) -> None:
    header["more"] = header.pop("scale")


def one_more(header: dict[str, Any]) -> None:
    header["more"] = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}


def overlapping(header: dict[str, Any]) -> None:
    header["w_byte"]["data_offsets"] = header["flag"]["data_offsets"]


def far_away(header: dict[str, Any]) -> None:
    header["w_byte"]["data_offsets"] = [2**62, 2**62 + 6]


def backwards(header: dict[str, Any]) -> None:
    header["w_byte"]["data_offsets"].reverse()


def no_numbers(header: dict[str, Any]) -> None:
    header["w_byte"]["data_offsets"] = ["0", 1.5]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_dtype, r"'w_half' is not BF16 of shape \(6,\)"),
        (no_dtype, r"'w_half' is not BF16 of shape \(6,\)"),
        (other_shape, r"'embed\.weight' is not F32 of shape \(4, 6\)"),
        (other_name, "'scale' is not in the task's"),
        (one_more, "has 9 tensors, this party's model 8"),
        (overlapping, "lies elsewhere"),
        (far_away, "lies elsewhere"),
        (backwards, "lies elsewhere"),
        (no_numbers, "'w_byte' has no two offsets"),
        (lambda _: [1, 2], "no table"),
        (lambda header: dict.fromkeys(header, 3), "is not in the task's"),
    ],
)
def test_another_header_is_refused_and_changes_nothing(change: Callable[[dict[str, Any]], object], words: str) -> None:
    party = Adapted(2)
    with pytest.raises(DocumentInvalid, match=words) as caught:
        load_base(party, changed(change))
    assert "\n" not in str(caught.value)
    assert same(party, Adapted(2))


def test_the_lengths_are_checked_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_base(Adapted(1)) or b""
    monkeypatch.setattr(json, "loads", lambda _: pytest.fail("parsed"))
    huge = (2**40).to_bytes(8, "little")
    much = data + bytes(base_limit(Adapted(2)))
    for wrong in (b"", bytes(7), huge + data[8:], bytes(8) + data[8:], (2**20).to_bytes(8, "little"), much):
        with pytest.raises(DocumentInvalid, match="of this party's model"):
            load_base(Adapted(2), wrong)


def test_a_header_as_long_as_a_large_payload_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = nn.Sequential(nn.Linear(300, 300), nn.Linear(300, 2))
    module[0].requires_grad_(False)
    monkeypatch.setattr(json, "loads", lambda _: pytest.fail("parsed"))
    text = b"[" + b"0," * 100_000 + b"0]"
    with pytest.raises(DocumentInvalid, match="a header to"):
        load_base(module, len(text).to_bytes(8, "little") + text)


@pytest.mark.parametrize("change", [-1, 1, 100])
def test_a_payload_of_another_length_is_refused(change: int) -> None:
    data = encode_base(Adapted(1)) or b""
    with pytest.raises(DocumentInvalid, match=r"end at \d+ of \d+ bytes"):
        load_base(Adapted(2), data[:change] if change < 0 else data + bytes(change))


def test_a_wider_module_takes_a_narrower_base_and_no_other_way_round() -> None:
    owner, party, narrow = Adapted(1), Adapted(2), Adapted(3)
    party.w_half.data = party.w_half.data.float()  # as load_state leaves a half-precision module
    load_base(party, encode_base(owner) or b"")
    assert party.w_half.dtype == torch.float32
    assert torch.equal(party.w_half, owner.w_half.float())
    narrow.w_double.data = narrow.w_double.data.float()
    with pytest.raises(DocumentInvalid, match="'w_double' is not F32"):
        load_base(narrow, encode_base(owner) or b"")


def test_no_flipped_header_byte_gets_further_than_a_refusal() -> None:
    data = encode_base(Adapted(1)) or b""
    start = 8 + int.from_bytes(data[:8], "little")
    party, taken = Adapted(2), []
    for index in range(start):
        for flip in (1, 0x20, 0x80):
            bad = bytearray(data)
            bad[index] ^= flip
            try:
                load_base(party, bytes(bad))
            except DocumentInvalid:
                continue
            taken.append(bytes(bad[8:start]))
    # Only what says the same in other words is taken: padding, and nothing that names, places or types a tensor.
    assert all(json.loads(text) == json.loads(data[8:start]) for text in taken)


def test_truth_values_are_zero_or_one() -> None:
    data = bytearray(encode_base(Adapted(1)) or b"")
    start = 8 + int.from_bytes(data[:8], "little")
    data[start + json.loads(bytes(data[8:start]))["flag"]["data_offsets"][0]] = 2
    with pytest.raises(DocumentInvalid, match="'flag' holds truth values"):
        load_base(Adapted(2), bytes(data))


def test_a_base_that_no_file_can_hold_is_refused_by_name() -> None:
    module = nn.Linear(2, 2)
    module.phase = nn.Parameter(torch.zeros(2, dtype=torch.complex64), requires_grad=False)
    with pytest.raises(ConfigError, match="'phase' is complex"):
        encode_base(module)


def test_loading_leaves_the_bytes_alone() -> None:
    data = encode_base(Adapted(1)) or b""
    before, party = bytes(data), Adapted(2)
    load_base(party, data)
    with torch.no_grad():
        party.w_half.fill_(9)
    assert data == before
    assert np.frombuffer(data, np.uint8).size == len(before)
