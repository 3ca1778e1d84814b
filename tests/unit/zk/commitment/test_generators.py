"""Generators: from a public string only, the same in both engines, kept with a checksum."""

from __future__ import annotations

import hashlib
import logging

import pytest

from fl_platform.errors import CurveEngineBroken
from tests.support.commitments import fast_generators, slow_generators
from zk.commitment import generators
from zk.curve import bn254
from zk.curve.engine import SlowEngine, default_engine

ENGINE = default_engine()


def test_both_engines_derive_the_same_points():
    assert fast_generators().digest == slow_generators().digest
    encoded = generators.derive(SlowEngine(), count=4)
    points = {encoded[i : i + 64] for i in range(0, len(encoded), 64)}
    assert len(points) == 5
    for point in points:
        bn254.decode(point)


def test_a_longer_list_begins_with_the_shorter_and_has_the_same_h():
    short, long = generators.derive(ENGINE, count=3), generators.derive(ENGINE, count=9)
    assert short[:192] == long[:192]
    assert short[-64:] == long[-64:]


def test_another_string_gives_other_points():
    assert not set(_points(generators.derive(ENGINE, count=3))) & set(
        _points(generators.derive(ENGINE, string="another", count=3))
    )


def _points(encoded):
    return [encoded[i : i + 64] for i in range(0, len(encoded), 64)]


def test_the_default_set_is_the_pinned_one_and_comes_back_from_its_file(tmp_path, monkeypatch):
    first = generators.load_generators(ENGINE, cache=tmp_path)
    assert first.digest.hex() == generators.DEFAULT_DIGEST
    assert first.count == generators.CHUNK
    monkeypatch.setattr(generators, "derive", lambda *_args, **_kw: pytest.fail("the file was not used"))
    assert generators.load_generators(ENGINE, cache=tmp_path).digest == first.digest


@pytest.mark.parametrize("damage", ["flip", "cut", "forge"])
def test_a_damaged_file_is_replaced(tmp_path, caplog, damage):
    wanted = generators.load_generators(ENGINE, cache=tmp_path, count=8).digest
    path = next(tmp_path.iterdir())
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[5] ^= 1
    elif damage == "cut":
        del data[-40:]
    else:
        data += bytes(64)
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING, logger=generators.__name__):
        assert generators.load_generators(ENGINE, cache=tmp_path, count=8).digest == wanted
    assert "damaged" in caplog.text
    assert hashlib.sha256(path.read_bytes()[:-32]).digest() == wanted


def test_a_forged_default_file_with_a_right_checksum_is_not_trusted(tmp_path):
    forged = bn254.encode(bn254.GENERATOR) * (generators.CHUNK + 1)
    name = generators._file_name(generators.DEFAULT_STRING, generators.CHUNK)
    (tmp_path / name).write_bytes(forged + hashlib.sha256(forged).digest())
    assert generators._read(tmp_path / name, string=generators.DEFAULT_STRING, count=generators.CHUNK) is None


def test_an_engine_that_derives_other_points_is_refused(monkeypatch):
    monkeypatch.setattr(generators, "derive", lambda *_args, **_kw: bn254.encode(bn254.GENERATOR) * 3)
    with pytest.raises(CurveEngineBroken, match="pinned"):
        generators.load_generators(ENGINE)


def test_an_unwritable_cache_costs_only_time(tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    with caplog.at_level(logging.WARNING, logger=generators.__name__):
        found = generators.load_generators(ENGINE, cache=tmp_path / "file" / "deeper", count=4)
    assert found.count == 4
    assert "could not be kept" in caplog.text


@pytest.mark.parametrize("count", [0, generators.MAX_COUNT + 1])
def test_impossible_counts(count):
    with pytest.raises(ValueError, match="possible"):
        generators.derive(ENGINE, count=count)


def test_cache_folder_follows_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert generators.default_cache_folder() == tmp_path / "fl-platform"


def test_every_power_of_two_is_pinned(tmp_path):
    full = generators.derive(ENGINE)
    for k, digest in enumerate(generators.DEFAULT_DIGESTS):
        assert hashlib.sha256(full[: 64 << k] + full[-64:]).hexdigest() == digest
    forged = bn254.encode(bn254.GENERATOR) * 5
    name = generators._file_name(generators.DEFAULT_STRING, 4)
    (tmp_path / name).write_bytes(forged + hashlib.sha256(forged).digest())
    assert generators.load_generators(ENGINE, cache=tmp_path, count=4).digest.hex() == generators.DEFAULT_DIGESTS[2]


def test_the_default_generators_are_made_once_and_kept_for_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    generators.generators_for.cache_clear()
    try:
        assert generators.generators_for(100).count == 64
        assert [path.name.rsplit("-", 1)[1] for path in (tmp_path / "fl-platform").iterdir()] == ["64.bin"]
        assert generators.generators_for(100) is generators.generators_for(100)
    finally:
        generators.generators_for.cache_clear()


def test_a_user_without_a_home_pays_with_time_only(monkeypatch):
    def nowhere():
        raise RuntimeError("no home")

    monkeypatch.setattr(generators, "default_cache_folder", nowhere)
    generators.generators_for.cache_clear()
    try:
        assert generators.generators_for(5).digest.hex() == generators.DEFAULT_DIGESTS[3]
    finally:
        generators.generators_for.cache_clear()


@pytest.mark.parametrize(("length", "count"), [(1, 1), (2, 2), (5, 8), (100, 64), (2_410, 256), (2**40, 2**16)])
def test_how_many_a_vector_needs(length, count):
    assert generators.count_for(length) == count


def test_an_empty_vector_needs_none():
    with pytest.raises(ValueError, match="one entry"):
        generators.count_for(0)
