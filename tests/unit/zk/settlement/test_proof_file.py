"""Proof files: what is written reads back; what is malformed, too long, too deep or of other keys is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import pytest

from fl_platform.errors import DocumentInvalid, PointInvalid
from tests.support.own_keys import own_key
from tests.support.settlements import proof, proof_file, provable
from zk import bounded_json
from zk.curve.bn254 import FIELD
from zk.settlement.proof_file import ProofFile


def made() -> ProofFile:
    return proof_file()


def changed(path: str, value: Any) -> bytes:
    body = json.loads(made().to_bytes())
    *groups, last = path.split("/")
    place = body
    for group in groups:
        place = place[group]
    if value is None:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return json.dumps(body).encode()


def test_a_file_reads_as_it_was_written_and_holds() -> None:
    assert ProofFile.from_bytes(made().to_bytes()) == made()
    assert made().context.key == made().key.digest == provable().key.digest
    assert made().holds()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format", "other"), ("format", None), ("chain_id", 1337), ("chain_id", "0x1"), ("chain_id", "1_0"),
        ("chain_id", " 1"), ("chain_id", "-1"), ("chain_id", "01"), ("task", str(1 << 256)), ("task", "9" * 80),
        ("round", None), ("contract", "0x12"), ("contract", "0x" + " 1" * 20), ("claimant", 5), ("claimant", None),
        ("settlement", []), ("settlement", None), ("settlement/values", "1"), ("settlement/values/0", 1.5),
        ("settlement/values/0", True), ("settlement/values/0", "١"), ("settlement/commitment", 7),
        ("settlement/proof/pi_a", ["1", "2", "0"]), ("settlement/proof/pi_b", []), ("settlement/proof/pi_c", {}),
        ("settlement/proof/pi_a/0", "-1"), ("key", None), ("key", 5), ("key", "xy"),
    ],
)  # fmt: skip
def test_what_is_no_proof_file_is_refused(path: str, value: Any) -> None:
    with pytest.raises(DocumentInvalid, match=r"no proof file|no settlement proof|no Groth16 proof"):
        ProofFile.from_bytes(changed(path, value))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"nonsense", b"\xff\xfe", b"NaN", b"1" * 5000, b'"x'])
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentInvalid, match="proof file"):
        ProofFile.from_bytes(data)


def test_too_long_and_too_deep_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(DocumentInvalid, match="limit 65536"):
        ProofFile.from_bytes(made().to_bytes() + b" " * bounded_json.MAX_BYTES)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)  # as py-evm does: the parser itself would kill the process
    try:
        with pytest.raises(DocumentInvalid, match="nested deeper"):
            ProofFile.from_bytes(b"[" * 60_000)
    finally:
        sys.setrecursionlimit(before)


def key_with(at: int, word: int) -> str:
    """The key's text with another word."""
    data = made().key.to_bytes()
    return (data[: 32 * at] + word.to_bytes(32, "big") + data[32 * (at + 1) :]).hex()


@pytest.mark.parametrize("text", ["", "00", "ab" * 32, "00" * 32 * 16, "00" * 32 * 24, "00" * 33], ids=len)
def test_a_key_of_another_length_is_none(text: str) -> None:
    with pytest.raises(DocumentInvalid, match="a verifying key has"):
        ProofFile.from_bytes(changed("key", text))


@pytest.mark.parametrize(("at", "word"), [(0, 0), (1, 5), (3, FIELD), (14, 1), (16, 0)])
def test_a_key_with_points_that_are_none_is_refused(at: int, word: int) -> None:
    with pytest.raises(PointInvalid):
        ProofFile.from_bytes(changed("key", key_with(at, word)))


def test_a_proof_under_another_key_does_not_hold() -> None:
    other = ProofFile.from_bytes(changed("key", own_key().to_bytes().hex()))
    assert other.context.key == own_key().digest  # the file's key is what its proof is bound to
    assert not other.holds()
    relabelled = ProofFile.from_bytes(changed("key", key_with(22, 7)))  # the same points, as if of a ceremony
    assert not relabelled.key.development
    assert not relabelled.holds()
    with pytest.raises(DocumentInvalid, match="the proof is bound to"):
        replace(made(), key=own_key()).holds()


@pytest.mark.parametrize("length", [0, 1, -1, 40])
def test_a_list_of_another_length_does_not_hold(length: int) -> None:
    values = (proof().values * 9)[: length if length >= 0 else len(proof().values) + length]
    assert not replace(made(), claimed=replace(proof(), values=values)).holds()
