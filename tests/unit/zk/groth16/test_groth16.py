"""The prover's parts against plain arithmetic, a proof from constraints to verdict, and damaged files and keys."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fl_platform.errors import DocumentInvalid, PointInvalid, StoreMissing
from fl_platform.rules.compose import compose
from tests.support.settlements import SMALLEST, context, proof, provable
from zk.circuits.plan import Shape
from zk.circuits.system import System
from zk.curve import mcl
from zk.curve.bn254 import FIELD, GENERATOR, ORDER, Point, multiply
from zk.groth16 import arithmetic, files, keys, points, prover, toy_setup, verifier
from zk.settlement.binding import public_inputs, rho_of
from zk.settlement.circuit import Circuit


def tiny_r1cs() -> bytes:
    """x * y = z with z public: signals (1, z, x, y)."""

    def side(*terms: tuple[int, int]) -> bytes:
        return struct.pack("<I", len(terms)) + b"".join(
            struct.pack("<I", signal) + value.to_bytes(32, "little") for signal, value in terms
        )

    head = struct.pack("<I", 32) + ORDER.to_bytes(32, "little") + struct.pack("<IIIIQI", 4, 1, 0, 2, 4, 1)
    body = side((2, 1)) + side((3, 1)) + side((1, 1))
    return (
        b"r1cs"
        + struct.pack("<II", 1, 2)
        + b"".join(struct.pack("<IQ", number, len(part)) + part for number, part in ((2, body), (1, head)))
    )


def plain(*values: int) -> files.Words:
    raw = b"".join((value % ORDER).to_bytes(32, "little") for value in values)
    return np.frombuffer(raw, np.uint64).reshape(-1, 4)


@pytest.fixture(scope="module")
def tiny() -> files.ProvingKey:
    data = tiny_r1cs()
    return toy_setup.development_key(files.read_r1cs(data), hashlib.sha256(data).digest())


def test_a_product_is_proved_and_a_wrong_one_is_not(tiny: files.ProvingKey) -> None:
    key = prover.verifying_key(tiny)
    proved = prover.prove(tiny, plain(1, 35, 5, 7))
    assert proved.public == (35,)
    assert verifier.verify(key, (35,), proved.proof)
    assert not verifier.verify(key, (36,), proved.proof)
    assert not verifier.verify(key, (36,), prover.prove(tiny, plain(1, 36, 5, 7)).proof)
    again = prover.prove(tiny, plain(1, 35, 5, 7)).proof
    assert again != proved.proof  # randomised: a proof is no identifier
    fixed = [prover.prove(tiny, plain(1, 35, 5, 7), randomness=lambda: 9).proof for _ in range(2)]
    assert fixed[0] == fixed[1]


def test_keys_and_proofs_survive_their_files(tiny: files.ProvingKey) -> None:
    again = files.read_zkey(files.write_zkey(tiny))
    key = prover.verifying_key(again)
    assert key == prover.verifying_key(tiny)
    assert verifier.VerifyingKey.from_bytes(key.to_bytes()) == key
    assert key.development
    proof = prover.prove(again, plain(1, 6, 2, 3)).proof
    assert verifier.parse_proof(json.dumps(proof.to_json())) == proof


@pytest.mark.parametrize("place", [4, 40, 100, -40, -1])
def test_a_cut_key_is_refused(tiny: files.ProvingKey, place: int) -> None:
    with pytest.raises(DocumentInvalid):
        files.read_zkey(files.write_zkey(tiny)[:place])


def test_foreign_files_are_refused(tiny: files.ProvingKey) -> None:
    with pytest.raises(DocumentInvalid, match="no r1cs"):
        files.read_r1cs(files.write_zkey(tiny))
    other_field = tiny_r1cs().replace(ORDER.to_bytes(32, "little"), (ORDER - 2).to_bytes(32, "little"))
    with pytest.raises(DocumentInvalid, match="another field"):
        files.read_r1cs(other_field)
    lying = tiny_r1cs()[:-4] + struct.pack("<I", 9)  # more constraints than there are
    with pytest.raises(DocumentInvalid, match="too early"):
        files.read_r1cs(lying)
    with pytest.raises(DocumentInvalid, match="signals"):
        prover.prove(tiny, plain(1, 2))


def test_keys_with_infinity_or_foreign_points_are_refused(tiny: files.ProvingKey) -> None:
    key = prover.verifying_key(tiny)
    infinity = Point(0, 0)
    for bad in (
        replace(key, ic=(key.ic[0], infinity)),
        replace(key, alpha=infinity),
        replace(key, delta=verifier.Point2((0, 0), (0, 0))),
        replace(key, gamma=verifier.Point2((1, 2), (3, 4))),
        replace(key, alpha=Point(1, 3)),
    ):
        with pytest.raises(PointInvalid):
            verifier.check_key(bad)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pi_a": ["1", "2", "0"], "pi_b": [], "pi_c": []}'])
def test_what_is_no_proof_is_refused(text: str) -> None:
    with pytest.raises(DocumentInvalid, match="no Groth16 proof"):
        verifier.parse_proof(text)


def test_transforms_are_evaluations() -> None:
    rng = random.Random(3)
    size, coefficients = 16, [rng.randrange(ORDER) for _ in range(16)]
    root = prover.root_of_unity(size)
    values = mcl.scalars_from_ints(coefficients)
    arithmetic.transform(values, prover._roots(size, False))
    expected = [sum(c * pow(root, i * k, ORDER) for i, c in enumerate(coefficients)) % ORDER for k in range(size)]
    assert mcl.scalars_to_ints(values) == expected
    prover._to_odd_points(values)
    odd = prover.root_of_unity(2 * size)
    assert mcl.scalars_to_ints(values) == [
        sum(c * pow(odd, i * (2 * k + 1), ORDER) for i, c in enumerate(coefficients)) % ORDER for k in range(size)
    ]
    numbers = [rng.randrange(1, ORDER) for _ in range(5)]
    inverses = mcl.scalars_from_ints(numbers)
    arithmetic.invert(inverses)
    assert mcl.scalars_to_ints(inverses) == [pow(number, -1, ORDER) for number in numbers]


def test_multiples_and_sums_are_those_of_the_curve() -> None:
    rng = random.Random(5)
    scalars = [0, 1, 2, 255, 256, ORDER - 1, *(rng.randrange(ORDER) for _ in range(6))]
    found = toy_setup._multiples(mcl.scalars_from_ints(scalars))
    engine = mcl.load()
    assert [engine.to_point(point) for point in found] == [multiply(GENERATOR, scalar) for scalar in scalars]
    weights = [1, 1, 0, 1, 5, 1, 1, ORDER - 3, 0, 1, 2, 1]
    total = points.sum_g1(found, points.sort_witness(plain(*weights)))
    wanted = sum(w * s for w, s in zip(weights, scalars, strict=True))
    assert engine.to_point(total) == multiply(GENERATOR, wanted)
    twice = np.repeat(found[3:4], 4, axis=0)  # equal points among the ones
    total = points.sum_g1(twice, points.sort_witness(plain(1, 1, 1, 1)))
    assert engine.to_point(total) == multiply(GENERATOR, 4 * 255)


def test_a_settlement_from_round_to_verdict() -> None:
    made, place = provable(), context()
    settled = made.circuit.settle(made.tape, lambda commitment, values: rho_of(place, commitment, values))
    proved = prover.prove(made.parameters, settled.witness)
    assert proved.public == public_inputs(place, settled.commitment, settled.values)
    assert verifier.verify(made.key, proved.public, proved.proof)
    assert (proof().commitment, proof().values) == (settled.commitment, settled.values)
    lying = settled.witness.copy()
    lying[2, 0] ^= 1  # another value at rho than the circuit's
    forged = prover.prove(made.parameters, lying)
    assert not verifier.verify(made.key, forged.public, forged.proof)


# --- constraints as files ---------------------------------------------------------------------------------------------


def product_system() -> System:
    """x * y = z with z public, and a bit that is x."""
    system = System(concrete=False)
    z, x, y = (system.hint(lambda: 0) for _ in range(3))
    bit = system.boolean(lambda: 0)
    system.require(x, y, z)
    system.require(x - bit, 1, 0)
    return system


def test_constraints_are_written_as_circom_writes_them() -> None:
    system = product_system()
    data = files.write_r1cs(system.signals, 1, system.rows, system.booleans)
    found = files.read_r1cs(data)
    assert (found.signals, found.public, found.constraints) == (5, 1, 3)
    entries = found.entries
    one, minus = (pow(2, 256) * factor % ORDER for factor in (1, -1))
    values = [int.from_bytes(row.tobytes(), "little") for row in entries.value]
    places = zip(entries.matrix.tolist(), entries.constraint.tolist(), entries.signal.tolist(), strict=True)
    cells = dict(zip(places, values, strict=True))
    assert cells == {
        (0, 0, 2): one, (1, 0, 3): one, (2, 0, 1): one,  # x * y = z
        (0, 1, 2): one, (0, 1, 4): minus, (1, 1, 0): one,  # (x - bit) * 1 = 0
        (0, 2, 4): one, (1, 2, 0): minus, (1, 2, 4): one,  # bit * (bit - 1) = 0
    }  # fmt: skip
    assert set(files.sections(data, b"r1cs")) == {1, 2, 3}


def test_written_constraints_are_those_that_a_key_holds_a_witness_to() -> None:
    system = product_system()
    data = files.write_r1cs(system.signals, 1, system.rows, system.booleans)
    made = toy_setup.development_key(files.read_r1cs(data), hashlib.sha256(data).digest())
    key = prover.verifying_key(made)
    holds = prover.prove(made, plain(1, 7, 1, 7, 1))
    assert verifier.verify(key, (7,), holds.proof)
    for witness in ((1, 8, 1, 7, 1), (1, 35, 5, 7, 5), (1, 7, 1, 7, 0)):  # no product, no bit, no copy
        proved = prover.prove(made, plain(*witness))
        assert not verifier.verify(key, proved.public, proved.proof)


def test_the_same_program_and_shape_give_the_same_file() -> None:
    circuit = provable().circuit
    again = Circuit(compose(SMALLEST), circuit.shape)
    assert again.r1cs() == circuit.r1cs()
    other = Circuit(compose(SMALLEST), Shape(2, 0, circuit.shape.aggregators))
    assert other.r1cs() != circuit.r1cs()


# --- where keys come from ---------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FL_PLATFORM_ZK", str(tmp_path / "zk"))
    return tmp_path / "zk"


def same(one: files.ProvingKey, other: files.ProvingKey) -> bool:
    return files.write_zkey(one) == files.write_zkey(other)


def test_a_development_key_is_made_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = keys.development_key(tiny_r1cs())
    (kept,) = cache.iterdir()
    assert kept.name == f"development-{hashlib.sha256(tiny_r1cs()).hexdigest()[:32]}.zkey"
    monkeypatch.setattr(toy_setup, "development_key", lambda *_: pytest.fail("it was made again"))
    assert same(keys.development_key(tiny_r1cs()), made)


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda _: b"zkey of another", lambda _: b""])
def test_a_damaged_file_in_the_cache_is_made_again(
    cache: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    made = keys.development_key(tiny_r1cs())
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    assert same(keys.development_key(tiny_r1cs()), made)
    assert "is made again" in caplog.text
    assert kept.read_bytes() == whole


def test_a_key_that_cannot_be_kept_is_still_made(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache.write_text("a file where the folder should be")
    assert keys.development_key(tiny_r1cs()).signals == 4
    assert "could not be cached" in caplog.text


def test_another_circuits_key_in_the_cache_is_not_used_for_a_task(cache: Path) -> None:
    wanted = prover.verifying_key(keys.development_key(tiny_r1cs()))
    (kept,) = cache.iterdir()
    other = toy_setup.development_key(files.read_r1cs(tiny_r1cs()), bytes(32))  # a whole key, of other secrets
    kept.write_bytes(files.write_zkey(other))
    with pytest.raises(DocumentInvalid, match="belongs to the verifying key"):
        keys.proving_key(tiny_r1cs(), wanted, None)


def test_a_task_is_proved_by_its_own_key_alone(cache: Path, tmp_path: Path, tiny: files.ProvingKey) -> None:
    wanted = prover.verifying_key(tiny)
    assert same(keys.proving_key(tiny_r1cs(), wanted, None), tiny)
    other = toy_setup.development_key(files.read_r1cs(tiny_r1cs()), bytes(32))
    file = tmp_path / "other.zkey"
    file.write_bytes(files.write_zkey(other))
    with pytest.raises(DocumentInvalid, match=f"the task's is {wanted.digest.hex()[:16]}"):
        keys.proving_key(tiny_r1cs(), wanted, file)
    file.write_bytes(b"something else")
    with pytest.raises(DocumentInvalid, match="no zkey"):
        keys.proving_key(tiny_r1cs(), wanted, file)


def with_contributions(data: bytes, count: int) -> bytes:
    """A .zkey as a ceremony leaves it: so many contributions after the circuit's hash."""
    raw = bytes(64) + struct.pack("<I", count) + b"contribution " * count
    head, _, _ = data.rpartition(struct.pack("<IQ", 10, 68))
    assert head
    return head + struct.pack("<IQ", 10, len(raw)) + raw


def test_a_ceremonys_key_is_told_by_its_contributions(tmp_path: Path, tiny: files.ProvingKey) -> None:
    data = files.write_zkey(tiny)
    assert files.ceremony_of(data) == bytes(32)
    one, two = (with_contributions(data, count) for count in (1, 2))
    assert len({files.ceremony_of(one), files.ceremony_of(two), bytes(32)}) == 3
    file = tmp_path / "ceremony.zkey"
    file.write_bytes(one)
    key = keys.verifying_key(file)
    assert key.ceremony == files.ceremony_of(one)
    assert not key.development
    verifier.refuse_development_key(key, chain_id=1)
    assert same(keys.proving_key(tiny_r1cs(), key, file), tiny)
    with pytest.raises(StoreMissing, match="--proving-key FILE"):
        keys.proving_key(tiny_r1cs(), key, None)
    file.write_bytes(two)
    with pytest.raises(DocumentInvalid, match="belongs to the verifying key"):
        keys.proving_key(tiny_r1cs(), key, file)
    file.write_bytes(data)
    assert keys.verifying_key(file).development
    with pytest.raises(DocumentInvalid, match="anyone can forge"):
        verifier.refuse_development_key(keys.verifying_key(file), chain_id=1)


def test_a_key_file_with_infinity_is_refused(tmp_path: Path, tiny: files.ProvingKey) -> None:
    file = tmp_path / "bad.zkey"
    file.write_bytes(files.write_zkey(replace(tiny, ic=np.zeros_like(tiny.ic))))
    with pytest.raises(PointInvalid):
        keys.verifying_key(file)
    file.write_bytes(files.write_zkey(tiny)[:-20])
    with pytest.raises(DocumentInvalid):
        keys.verifying_key(file)


# --- two verifiers ----------------------------------------------------------------------------------------------------

OUTSIDE = verifier.Point2(  # of the twist, and not in the group of order r
    (
        0x25D0B2BA5C369C1DBBFED41CCB191FE4DF508CF88FAF370494B4867A332815EC,
        0x0F0A87C117963381AD55AB9B17E3C4F9533EF81D16B752BE905D1A444B982519,
    ),
    (
        0x2E4585F85183195D71C90A2D1D38655CB0FF30B352FDF58D6A36D8FBB3EE84A1,
        0x01961C59A0D89A4D27FE2B87137614A142C3AD7ADA8B3FB5580462E2A5A99847,
    ),
)
Verifier = Callable[[verifier.VerifyingKey, Sequence[int], verifier.Proof], bool]


def said(verify: Verifier, key: verifier.VerifyingKey, public: Sequence[int], proof: verifier.Proof) -> str:
    """What a verifier says of a proof, or refuses it with."""
    try:
        return str(verify(key, public, proof))
    except (PointInvalid, DocumentInvalid) as error:
        return type(error).__name__


def cases(tiny: files.ProvingKey) -> dict[str, tuple[verifier.VerifyingKey, tuple[int, ...], verifier.Proof]]:
    """Proofs that hold, do not, and are none."""
    key, proof = prover.verifying_key(tiny), prover.prove(tiny, plain(1, 35, 5, 7)).proof
    zero = prover.prove(tiny, plain(1, 0, 0, 7)).proof
    nowhere, infinity = Point(1, 1), verifier.Point2((0, 0), (0, 0))
    off = verifier.Point2((1, 2), (3, 4))
    return {
        "it holds": (key, (35,), proof),
        "it holds for zero": (key, (0,), zero),
        "another input": (key, (36,), proof),
        "another proof's part": (key, (35,), replace(proof, a=zero.a)),
        "an input that is r more": (key, (35 + ORDER,), proof),
        "no input": (key, (), proof),
        "a point on no curve": (key, (35,), replace(proof, c=nowhere)),
        "infinity in G1": (key, (35,), replace(proof, a=Point(0, 0))),
        "infinity in G2": (key, (35,), replace(proof, b=infinity)),
        "a second point on no curve": (key, (35,), replace(proof, b=off)),
        "a coordinate of p or more": (key, (35,), replace(proof, b=replace(proof.b, x=(FIELD, proof.b.x[1])))),
        "a point outside the group": (key, (35,), replace(proof, b=OUTSIDE)),
        "infinity in the key": (replace(key, delta=infinity), (35,), proof),
        "a key's point outside the group": (replace(key, gamma=OUTSIDE), (35,), proof),
        "a key's point on no curve": (replace(key, ic=(nowhere, *key.ic[1:])), (35,), proof),
    }


def test_libmcl_and_py_ecc_say_the_same(tiny: files.ProvingKey) -> None:
    assert verifier._fast() is not None, "libmcl is a requirement of this project's tests"
    both = verifier.verify, verifier.verify_slowly
    found = {name: tuple(said(verify, *one) for verify in both) for name, one in cases(tiny).items()}
    assert {name: pair for name, pair in found.items() if pair[0] != pair[1]} == {}
    assert [name for name, (fast, _) in found.items() if fast == "True"] == ["it holds", "it holds for zero"]
    assert found["a point outside the group"][0] == "PointInvalid"


def test_without_libmcl_the_reference_verifies_and_says_that_it_is_slow(
    tiny: files.ProvingKey, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(verifier, "_fast", lambda: None)
    key, public, proof = cases(tiny)["it holds"]
    with caplog.at_level("INFO", logger="zk.groth16.verifier"):
        assert verifier.verify(key, public, proof)
    assert "pip install mclbn256" in caplog.text
