"""Proof files: what is written reads back; what is malformed, too long, too deep or of other keys is refused."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import pytest

from fl_platform.errors import DocumentInvalid
from tests.support.settlement_vectors import context, vector
from zk import bounded_json
from zk.settlement.proof_file import ProofFile, key_of


def made() -> ProofFile:
    return ProofFile(context(), vector(4).claimed, key_of(4))


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
    assert made().slots == 4
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
        ("settlement/proof/pi_a/0", "-1"), ("key", None),
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


def test_a_proof_of_other_keys_says_so() -> None:
    for key in ("", "ab" * 32):
        with pytest.raises(DocumentInvalid, match=r"keys or circuit were replaced since"):
            replace(made(), key=key).holds()


@pytest.mark.parametrize("length", [0, 1, 8, 10, 33])
def test_a_list_of_no_circuit_or_of_anothers_length(length: int) -> None:
    values = (vector(4).claimed.values * 4)[:length]
    file = replace(made(), claimed=replace(vector(4).claimed, values=values))
    if length == 33:
        assert not replace(file, key=key_of(16)).holds()
        return
    with pytest.raises(DocumentInvalid, match="circuits have 9, 33, 129"):
        file.holds()
