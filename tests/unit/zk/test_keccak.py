"""The compiled Keccak of many messages and its plain twin, both against the library."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from eth_hash.auto import keccak
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zk.keccak import _compile, _padded, _plain_many, keccak256, keccak256_many

EDGES = (0, 1, 7, 8, 9)  # messages: none, and around one full group


def messages_of(count, length, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (count, length), np.uint8)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 40), length=st.integers(0, 600), seed=st.integers(0, 2**32))
@example(count=1025, length=165, seed=0)
def test_compiled_and_plain_are_each_the_librarys(count, length, seed):
    messages = messages_of(count, length, seed)
    expected = [keccak(row.tobytes()) for row in messages]
    for digests in (_compile()(_padded(messages)), _plain_many(_padded(messages)), keccak256_many(messages)):
        assert [bytes(digest) for digest in digests] == expected
    assert [keccak256(row.tobytes()) for row in messages] == expected


@pytest.mark.parametrize("count", EDGES)
@pytest.mark.parametrize("length", [0, 1, 65, 134, 135, 136, 137, 271, 272])
def test_around_a_group_and_a_block(count, length):
    messages = messages_of(count, length)
    expected = [keccak(row.tobytes()) for row in messages]
    assert [bytes(digest) for digest in _compile()(_padded(messages))] == expected
    assert [bytes(digest) for digest in _plain_many(_padded(messages))] == expected


def test_messages_of_zeros_end_where_they_end():
    """The plain twin takes the padding off again."""
    for length in (1, 134, 135, 136, 137):
        padded = _padded(np.zeros((1, length), np.uint8))
        assert bytes(_plain_many(padded)[0]) == keccak256(bytes(length))


def test_a_process_that_hashes_little_does_not_load_the_compiler() -> None:
    program = """
import sys
import numpy as np
from zk import keccak
for _ in range(2):
    half = np.zeros((keccak._FEW // 2, 1), np.uint8)
    assert bytes(keccak.keccak256_many(half)[-1]) == keccak.keccak256(bytes(1))
    print("numba" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"]
