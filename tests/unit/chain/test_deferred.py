"""The curve that nothing here uses is not computed at import, and works all the same when somebody asks for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.cli import ROOT

HEAVY = ("py_ecc.optimized_bls12_381", "py_ecc.bls12_381.bls12_381_pairing", "py_ecc.bls.ciphersuites")


def printed(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("module", ["fl_platform.chain.embedded", "fl_platform.chain.wallets, eth_keyfile"])
def test_no_table_is_computed_to_open_a_chain_or_a_wallet(module: str) -> None:
    code = f"import sys, {module}\nprint(sorted(set({HEAVY!r}) & set(sys.modules)))"
    assert printed(code) == ["[]"]


def test_the_constant_is_the_librarys() -> None:
    code = """
import sys
from fl_platform.chain.deferred import CONSTANTS, NAMES
for name in NAMES:
    del sys.modules[name]
import importlib
for name, values in CONSTANTS.items():
    print(name, values == {key: getattr(importlib.import_module(name), key) for key in values})
"""
    assert printed(code) == ["py_ecc.bls12_381 True"]


def test_a_precompile_of_the_curve_gives_what_py_evm_gives() -> None:
    """The generator plus itself, by the stand-in and by the package itself (EIP-2537)."""
    code = """
import sys
{before}
import eth.precompiles
from py_ecc.optimized_bls12_381 import G1, normalize
class Message:
    data_as_bytes = data = b"".join(int(v).to_bytes(64, "big") for v in normalize(G1)) * 2
class Computation:
    msg, output = Message, b""
    def consume_gas(self, *_, **__): pass
computation = Computation()
eth.precompiles.bls12_g1_add(computation)
print(computation.output.hex())
"""
    deferred = printed(code.format(before="import fl_platform.chain"))
    assert deferred == printed(code.format(before=""))
    assert len(deferred[0]) == 256


def test_a_keystore_of_the_other_kind_has_the_same_public_key() -> None:
    code = """
import {first}eth_keyfile
made = eth_keyfile.create_keyfile_json(b"p" * 32, b"\\x01" * 32, version=4, kdf="pbkdf2", iterations=1)
print(made["pubkey"])
"""
    deferred = printed(code.format(first="fl_platform.chain, "))
    assert deferred == printed(code.format(first=""))
    assert len(deferred[0]) == 96


@pytest.mark.parametrize("name", ["py_ecc.bls.hash_to_curve", "py_ecc.bls12_381.bls12_381_curve"])
def test_what_lies_below_a_stand_in_is_found(name: str) -> None:
    assert printed(f"import fl_platform.chain, importlib\nprint(importlib.import_module({name!r}).__name__)") == [name]


def test_a_stand_in_is_found_unpacked_and_inherited_from_like_the_package() -> None:
    code = """
import fl_platform.chain, importlib.util
print(importlib.util.find_spec("py_ecc.bls").name)
from py_ecc.bls import G2ProofOfPossession
class Mine(G2ProofOfPossession): pass
print(Mine.__mro__[1].__name__)
import sys
names = {}
exec("from py_ecc.bls12_381 import *", names)
print("G1" in names, "curve_order" in names)
"""
    assert printed(code) == ["py_ecc.bls", "G2ProofOfPossession", "True True"]
