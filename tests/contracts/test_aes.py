"""The contract's AES-256 is the one that seals updates: FIPS 197 vectors, random blocks, and counter mode."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fl_platform.store.envelope import encrypt
from tests.support.contracts import World
from tests.support.evm import Contract, account

FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def harness() -> Contract:
    """The libraries, on a chain of their own."""
    return World().evm.create(account("deployer").address, "KeyHarness")


@pytest.mark.parametrize(
    ("key", "plain", "cipher"),
    [  # FIPS 197, C.3; NIST SP 800-38A, F.1.5
        (
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "00112233445566778899aabbccddeeff",
            "8ea2b7ca516745bfeafc49904b496089",
        ),
        (
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            "6bc1bee22e409f96e93d7e117393172a",
            "f3eed1bdb5d2a03c064b5a7e3db181f8",
        ),
    ],
)
def test_published_vectors(harness: Contract, key: str, plain: str, cipher: str) -> None:
    assert harness.call("encrypt", bytes.fromhex(key), bytes.fromhex(plain)).hex() == cipher


@FEW
@given(key=st.binary(min_size=32, max_size=32), block=st.binary(min_size=16, max_size=16))
def test_random_blocks(harness: Contract, key: bytes, block: bytes) -> None:
    encryptor = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()
    assert harness.call("encrypt", key, block) == encryptor.update(block) + encryptor.finalize()


def test_block_n_of_a_sealed_update_is_the_counter_n_encrypted(harness: Contract) -> None:
    key, plain = bytes(range(32)), bytes(i * 7 % 256 for i in range(4000))
    data = encrypt(plain, key=key).data
    for number in (0, 1, 64, 249):
        stream = harness.call("encrypt", key, number.to_bytes(16, "big"))
        part = slice(16 * number, 16 * number + 16)
        assert bytes(a ^ b for a, b in zip(stream, data[part], strict=False)) == plain[part]


def test_one_block_costs_below_the_bar(harness: Contract) -> None:
    assert harness.call("encryptGas", bytes(range(32)), bytes(16)) < 40_000
