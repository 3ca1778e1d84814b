"""The rogue commitment C_e = (C(w*) - sum a_j C_j) / a_e against a real round and its judge.

Whoever sees the others' commitments before it fixes its own can make any model pass the sum's check. In a standard
round it must prove that it knows an opening, which it does not; in a strict round it had to promise a hash before it
saw anything. tests/zk/test_rogue_commitment.py does the same to the library alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest

from fl_platform.aggregation.commitments import check_round_sum
from fl_platform.aggregation.round_rows import cell_of, sums_root
from fl_platform.aggregation.sums import Sums
from fl_platform.contribution.program import program_of
from fl_platform.contribution.rejudge import rejudge_public
from fl_platform.contribution.tapes import told_numbers, told_tape
from fl_platform.errors import CommitmentMismatch, ProofInvalid
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.program import Output
from tests.support.committed import codes, commit_entry, committed_round, hide, layer_of, sealed, show, update_key
from tests.support.rounds import Round, address_of, place_of
from zk import curve, pedersen
from zk.curve import ORDER
from zk.knowledge import prove_knowledge
from zk.pedersen import Commitment

EVIL = 4  # the adversary's key number: a trainer that works with the aggregator
WANTED = 4_242  # every coordinate of the model of its choice


@dataclass(frozen=True)
class Rogue:
    """What the adversary makes of an honest round: points that make `sums` the weighted sum of all commitments."""

    points: bytes
    sums: Sums
    blindings: tuple[int, ...]


def solve(round_: Round, bundle: RoundBundle) -> Rogue:
    """Fix w* and the blinding sums first, then solve for one's own points."""
    layer, mine = layer_of(round_), place_of(round_, EVIL)
    generators = layer.generators
    sums = np.full(layer.length, WANTED, np.int64)
    rhos = tuple(range(5, 5 + layer.chunks))
    weights = [verdict.weight for verdict in bundle.verdicts]
    inverse, points = pow(weights[mine], -1, ORDER), []
    for k, rho in enumerate(rhos):
        row = sums[k * generators.count : (k + 1) * generators.count]
        left = generators.engine.commit_row(generators.points, row, 63, blinding=rho, blinding_base=generators.blinding)
        for index, entry in enumerate(bundle.entries):
            if weights[index] and index != mine:
                point = curve.decode(entry.shown.points[64 * k : 64 * k + 64])
                left = curve.add(left, curve.multiply(point, -weights[index]))
        points.append(curve.encode(curve.multiply(left, inverse)))
    return Rogue(b"".join(points), sums, rhos)


def with_rogue(round_: Round, rogue: Rogue, *, proof: bytes = b"") -> bytes:
    """Let the adversary show its points under a receipt that it signs for them; return the salt."""
    salt = layer_of(round_).secrets(update_key(EVIL), address_of(EVIL)).salt
    root = Commitment(rogue.points, layer_of(round_).length).root
    hide(round_, EVIL, pedersen.roster_commitment(root, salt))
    show(round_, EVIL, points=rogue.points, salt=salt, proof=proof)
    return salt


def forged_proof(round_: Round, rogue: Rogue) -> bytes:
    """What an honest prover's run gives with a vector that is not the opening."""
    layer = layer_of(round_)
    commitment = Commitment(rogue.points, layer.length)
    return prove_knowledge(
        rogue.sums, layer.secrets(update_key(EVIL), address_of(EVIL)).seed, commitment=commitment,
        binding=layer.binding(address_of(EVIL)), generators=layer.generators,
    ).encode()  # fmt: skip


def told(bundle: RoundBundle, round_: Round, rogue: Rogue) -> RoundBundle:
    """The colluding aggregator's bundle: all as judged honestly, but the sum of its choice."""
    numbers = told_numbers(program_of(round_.spec))
    sums = cell_of(sums_root(round_.spec.model, rogue.sums.astype(np.int32)))
    place = numbers.index(program_of(round_.spec).outputs[Output.SUMS])
    columns = (*bundle.columns[:place], (sums,), *bundle.columns[place + 1 :])
    return replace(bundle, entries=tuple(round_.entries), blindings=rogue.blindings, columns=columns)


@pytest.fixture(params=["standard", "strict"])
def strictness(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_attack_is_real_the_sum_alone_cannot_tell(strictness: str) -> None:
    round_ = committed_round(strictness=strictness)
    bundle, honest = sealed(round_)
    rogue = solve(round_, bundle)
    with_rogue(round_, rogue)
    assert not np.array_equal(rogue.sums, honest)
    assert check_round_sum(round_.spec, told(bundle, round_, rogue), rogue.sums, shown=False) == 4


@pytest.mark.parametrize("made", ["none", "forged", "stolen"])
def test_a_standard_round_refuses_it_with_or_without_a_key(made: str) -> None:
    round_ = committed_round()
    bundle, _ = sealed(round_)
    rogue = solve(round_, bundle)
    stolen = round_.entries[place_of(round_, 1)].shown.proof
    proof = {"none": b"", "forged": forged_proof(round_, rogue), "stolen": stolen}[made]
    with_rogue(round_, rogue, proof=proof)
    assert codes(round_) == ["admitted", "admitted", "admitted", "ProofInvalid"]
    with pytest.raises(ProofInvalid):
        check_round_sum(round_.spec, told(bundle, round_, rogue), rogue.sums)
    # a stranger's recomputation refuses the entry, so its tape is not the one that the bundle tells of
    lie = told(bundle, round_, rogue)
    public = rejudge_public(
        round_.spec, round_.context, round_.before, lie, sums=rogue.sums.astype(np.int32),
        models=round_.models.__getitem__,
    )  # fmt: skip
    mine = place_of(round_, EVIL)
    assert (public.verdicts[mine].code, public.verdicts[mine].weight) == ("ProofInvalid", 0)
    assert lie.verdicts[mine].weight > 0
    assert public.tape.root != told_tape(round_.spec, lie).root


def test_in_a_strict_round_only_hashes_are_known_when_it_must_be_fixed() -> None:
    round_ = committed_round(strictness="strict")
    early = list(round_.entries)  # the roster: on chain before anybody shows a point
    hashes = {entry.receipt.commitment for entry in early if entry.stake}
    assert len(hashes) == 4
    bundle, honest = sealed(round_)
    rogue = solve(round_, bundle)  # possible only now that all points are shown
    late = with_rogue(round_, rogue)
    mine = place_of(round_, EVIL)
    assert round_.entries[mine].receipt.struct_hash() != early[mine].receipt.struct_hash()  # not what is on the roster
    round_.entries[mine] = replace(early[mine], shown=round_.entries[mine].shown)
    assert late == early[mine].shown.salt
    assert codes(round_)[EVIL - 1] == "CommitmentMismatch"
    with pytest.raises(CommitmentMismatch, match="hash"):
        check_round_sum(round_.spec, told(bundle, round_, rogue), rogue.sums)
    with pytest.raises(CommitmentMismatch, match="weighted sum"):
        check_round_sum(round_.spec, replace(bundle, blindings=rogue.blindings), rogue.sums)
    assert check_round_sum(round_.spec, bundle, honest) == 4


def test_forced_in_late_it_has_seen_the_others_and_must_prove_even_in_a_strict_round() -> None:
    """The window for forced receipts is open while keys are revealed: the roster hides nothing from who comes then."""
    round_ = committed_round(strictness="strict")
    bundle, _ = sealed(round_)
    rogue = solve(round_, bundle)
    with_rogue(round_, rogue)
    mine = place_of(round_, EVIL)
    round_.entries[mine] = replace(round_.entries[mine], forced=True)
    assert codes(round_)[EVIL - 1] == "ProofInvalid"
    with pytest.raises(ProofInvalid):
        check_round_sum(round_.spec, told(bundle, round_, rogue), rogue.sums)


def test_a_copy_of_anothers_commitment_is_no_way_around_the_proof() -> None:
    """Points of a victim plus known ones: the adversary knows the difference only."""
    round_ = committed_round()
    victim = round_.entries[place_of(round_, 1)].shown
    copied = Rogue(victim.points, np.zeros(0, np.int64), ())
    with_rogue(round_, copied, proof=victim.proof)
    assert codes(round_) == ["admitted", "admitted", "admitted", "ProofInvalid"]


def test_whoever_holds_the_key_sees_it_even_if_the_proof_were_sound() -> None:
    """The proof keeps strangers safe; holders of the update compare the opening itself."""
    round_ = committed_round()
    data = [round_.data[place_of(round_, number)] for number in (1, EVIL)]
    assert all(first != second for first, second in pairwise(data))
    commit_entry(round_, EVIL, data[0] if isinstance(data[0], bytes) else b"")
    assert codes(round_)[EVIL - 1] == "CommitmentMismatch"
