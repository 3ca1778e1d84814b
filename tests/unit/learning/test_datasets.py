"""Data sets: real shapes, and idx files that lie are refused before they cost anything."""

from __future__ import annotations

import gzip
import importlib.util
import tracemalloc
import zlib
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fl_platform.errors import ConfigError, DocumentInvalid
from fl_platform.learning.datasets import (
    MNIST_FILES,
    MNIST_VARIABLE,
    Labelled,
    fetch_mnist,
    load_digits_split,
    load_mnist_split,
    mnist_folder,
    read_idx,
    write_idx,
)


def test_digits_are_split_without_overlap() -> None:
    split = load_digits_split(seed=3)
    assert split.train.x.shape == (1437, 1, 8, 8)
    assert split.test.x.shape == (360, 1, 8, 8)
    assert split.train.x.dtype == np.float32
    assert float(split.train.x.min()) == 0.0
    assert float(split.train.x.max()) == 1.0
    assert set(np.unique(split.test.y)) == set(range(10))
    assert not np.array_equal(split.test.x, load_digits_split(seed=4).test.x)
    assert np.array_equal(split.test.x, load_digits_split(seed=3).test.x)


def test_digits_are_those_of_sklearns_own_loader() -> None:
    bunch = load_digits()
    order = np.random.Generator(np.random.Philox(0)).permutation(len(bunch.target))
    split = load_digits_split()
    x, y = (np.concatenate([getattr(part, name) for part in (split.test, split.train)]) for name in "xy")
    assert x.tobytes() == (bunch.images[order].astype(np.float32) / np.float32(16)).tobytes()
    assert (y.dtype, y.tolist()) == (np.int64, bunch.target[order].tolist())


@pytest.mark.parametrize("spec", [None, ModuleSpec("sklearn", None, origin="/nowhere/sklearn/__init__.py")])
def test_digits_without_scikit_learn_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch, spec: ModuleSpec | None
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    with pytest.raises(ConfigError, match="make setup"):
        load_digits_split()


def small_mnist(folder: Path) -> None:
    """Write files of MNIST's exact shapes, cheaply compressible."""
    folder.mkdir()
    for name, (file, shape) in MNIST_FILES.items():
        array = np.zeros(shape, dtype=np.uint8)
        array[0] = 255 if name.endswith("images") else 7
        write_idx(folder / file, array)


def test_mnist_loads_from_a_named_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_mnist(tmp_path / "mnist")
    split = load_mnist_split(tmp_path / "mnist")
    assert split.train.x.shape == (60_000, 1, 28, 28)
    assert split.test.x.shape == (10_000, 1, 28, 28)
    assert split.test.y[0] == 7
    assert split.test.x.max() == pytest.approx((1 - 0.1307) / 0.3081, rel=1e-6)
    monkeypatch.setenv(MNIST_VARIABLE, str(tmp_path / "mnist"))
    assert mnist_folder() == tmp_path / "mnist"


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=MNIST_VARIABLE):
        load_mnist_split(tmp_path)


def test_idx_round_trip_is_deterministic(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / "a.gz", array)
    write_idx(tmp_path / "b.gz", array)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    np.testing.assert_array_equal(read_idx(tmp_path / "a.gz", (2, 3, 4)), array)


HEADER = bytes((0, 0, 8, 1)) + (10).to_bytes(4, "big")


@pytest.mark.parametrize(
    "body",
    [
        HEADER + bytes(9),  # one byte short
        HEADER + bytes(11),  # one too many
        HEADER[:-1],
        b"",
        bytes((0, 0, 13, 1)) + HEADER[4:] + bytes(10),  # another type
        bytes((0, 0, 8, 2)) + HEADER[4:] + bytes(10),  # another number of dimensions
        bytes((0, 0, 8, 1)) + (2**31).to_bytes(4, "big") + bytes(10),  # 2 GiB claimed, 10 bytes behind
    ],
)
def test_a_malformed_idx_file_is_refused(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "f.gz").write_bytes(gzip.compress(body))
    with pytest.raises(DocumentInvalid, match=r"f\.gz"):
        read_idx(tmp_path / "f.gz", (10,))

    (tmp_path / "f.gz").write_bytes(body)  # unpacked
    with pytest.raises(DocumentInvalid, match=r"f\.gz"):
        read_idx(tmp_path / "f.gz", (10,))


@pytest.mark.parametrize(("level", "strategy", "block"), [(0, 0, 0), (9, zlib.Z_FIXED, 1), (9, 0, 2)])
def test_a_flipped_bit_never_changes_what_is_read(tmp_path: Path, level: int, strategy: int, block: int) -> None:
    """Every bit of a gzip with a stored, a fixed and a dynamic block: refused, or without a meaning (time, system)."""
    array = np.random.default_rng(0).integers(0, 7, (5, 8), dtype=np.uint8)
    array[:2] = 3
    packer = zlib.compressobj(level, wbits=31, strategy=strategy)
    header = bytes((0, 0, 8, 2)) + (5).to_bytes(4, "big") + (8).to_bytes(4, "big")
    good = packer.compress(header + array.tobytes()) + packer.flush()
    assert good[10] >> 1 & 3 == block
    unnoticed = 0
    for bit in range(8 * len(good)):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        (tmp_path / "f.gz").write_bytes(flipped)
        with suppress(DocumentInvalid):
            assert np.array_equal(read_idx(tmp_path / "f.gz", (5, 8)), array)
            unnoticed += 1
    assert unnoticed < 64  # flags, time and system in the header, and the padding of a stored block


def test_mnist_loads_unpacked_files(tmp_path: Path) -> None:
    small_mnist(tmp_path / "mnist")
    for file in list((tmp_path / "mnist").iterdir())[:3]:
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    split = load_mnist_split(tmp_path / "mnist")
    assert [(part.x.shape, part.y[0]) for part in (split.train, split.test)] == [
        ((60_000, 1, 28, 28), 7),
        ((10_000, 1, 28, 28), 7),
    ]


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.gz").write_bytes(gzip.compress(HEADER + bytes(10))[:-6])
    with pytest.raises(DocumentInvalid):
        read_idx(tmp_path / "cut.gz", (10,))


def test_a_zip_bomb_is_not_inflated(tmp_path: Path) -> None:
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(HEADER + bytes(64 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(DocumentInvalid, match="body"):
            read_idx(tmp_path / "bomb.gz", (10,))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_fetching_without_a_fetcher_names_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)
    monkeypatch.setitem(__import__("sys").modules, "flwr_datasets", None)
    with pytest.raises(ConfigError, match=r"flwr-datasets or torchvision"):
        fetch_mnist(tmp_path / "new")


def test_rows_and_labels_must_agree() -> None:
    with pytest.raises(ConfigError, match="3 rows of data have 2 labels"):
        Labelled(np.zeros((3, 1), dtype=np.float32), np.zeros(2, dtype=np.int64))


@pytest.mark.parametrize("x", [np.int64, np.float64, np.uint8])
@pytest.mark.parametrize("y", [np.int32, np.float64])
def test_rows_keep_their_dtypes(x: type, y: type) -> None:
    part = Labelled(np.zeros((3, 2), x), np.zeros(3, y)).take(np.array([2, 0]))
    assert (part.x.dtype, part.y.dtype, len(part)) == (x, y, 2)


def test_rows_of_several_inputs_are_taken_together() -> None:
    ids, lengths, y = np.arange(12).reshape(4, 3), np.array([1, 3, 2, 3]), np.array([0, 1, 1, 0])
    rows = Labelled({"ids": ids, "more": (lengths, ids)}, y).take(np.array([2, 0]))
    assert len(rows) == 2
    assert rows.x["ids"].tolist() == [[6, 7, 8], [0, 1, 2]]
    assert rows.x["more"][0].tolist() == [2, 1]
    assert rows.y.tolist() == [1, 0]
    with pytest.raises(ConfigError, match="3 rows of data have 4 labels"):
        Labelled({"ids": ids, "lengths": lengths[:3]}, y)
