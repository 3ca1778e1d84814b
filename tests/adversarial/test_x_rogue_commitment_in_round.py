"""The rogue commitment C_e = (C(w*) - sum a_j C_j) / a_e against a real round and its judge.

Whoever sees the others' commitments before it fixes its own can make any model pass the sum's check. In a standard
round it must prove that it knows an opening, which it does not; in a strict round it had to promise a hash before it
saw anything, and what no receipt promised needs the proof. The update itself is summed all the same: nobody is refused
for a commitment. tests/zk/test_rogue_commitment.py does the same to the library alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest

from fl_platform.errors import CommitmentMismatch, ProofInvalid
from fl_platform.judging.bundling import bundle_of
from fl_platform.judging.commitments import check_round_sum, check_weighted_sum, unpromised
from fl_platform.judging.judge import Judgement
from fl_platform.judging.judge_public import rejudge_public
from fl_platform.judging.program import program_of
from fl_platform.judging.round_rows import cell_of
from fl_platform.judging.sums import Sums
from fl_platform.judging.tapes import told_numbers, told_tape
from fl_platform.protocol.bundle import RoundBundle
from fl_platform.protocol.program import Output
from fl_platform.updates.model_row import row_root
from tests.support.committed import (
    codes,
    commit_entry,
    committed_round,
    hide,
    layer_of,
    mended,
    not_opening,
    sealed,
    show,
    shown_faults,
    update_key,
)
from tests.support.rounds import Round, address_of, place_of
from zk.commitment import pedersen
from zk.commitment.knowledge import prove_knowledge
from zk.commitment.pedersen import Commitment
from zk.curve import bn254
from zk.curve.bn254 import ORDER

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
    sums = np.full(layer.length, WANTED, np.int32)
    rhos = tuple(range(5, 5 + layer.chunks))
    weights = [verdict.weight for verdict in bundle.verdicts]
    inverse, points = pow(weights[mine], -1, ORDER), []
    for k, rho in enumerate(rhos):
        row = sums[k * generators.count : (k + 1) * generators.count]
        left = generators.engine.commit_row(generators.points, row, 63, blinding=rho, blinding_base=generators.blinding)
        for index, entry in enumerate(bundle.entries):
            if weights[index] and index != mine:
                point = bn254.decode(entry.shown.points[64 * k : 64 * k + 64])
                left = bn254.add(left, bn254.multiply(point, -weights[index]))
        points.append(bn254.encode(bn254.multiply(left, inverse)))
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
    sums = cell_of(row_root(rogue.sums, round_.spec.model))
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
    assert check_weighted_sum(round_.spec, told(bundle, round_, rogue), rogue.sums) == 4


def proof_of(made: str, round_: Round, rogue: Rogue) -> bytes:
    """What the adversary shows for a proof."""
    stolen = round_.entries[place_of(round_, 1)].shown.proof
    return {"none": b"", "forged": forged_proof(round_, rogue), "stolen": stolen}[made]


def demand_caught(round_: Round, bundle: RoundBundle, rogue: Rogue) -> None:
    """Demand that anybody finds the rogue by its proof, holders by its sums, and that nobody is shut out by it."""
    assert codes(round_) == ["admitted"] * 4  # its update is summed as everybody's
    assert shown_faults(round_) == {EVIL: "ProofInvalid"}
    lie = told(bundle, round_, rogue)
    with pytest.raises(ProofInvalid):
        check_round_sum(round_.spec, lie, rogue.sums)
    # a liar that goes on with its sums is consistent: the tape alone does not tell a stranger, the proof does
    public = _rejudged(round_, lie, rogue)
    consistent = bundle_of(round_.spec, round_.context, round_.before, round_.entries, public)
    again = _rejudged(round_, consistent, rogue)
    assert again.tape.root == consistent.tape == told_tape(round_.spec, consistent).root
    assert (again.verdicts, again.after) == (consistent.verdicts, consistent.after)
    with pytest.raises(ProofInvalid):
        check_round_sum(round_.spec, consistent, rogue.sums)
    assert round_.judge().tape.root != consistent.tape  # and whoever holds the updates adds them up
    # what an honest sealer publishes of this round: the update's own commitment, and the honest sums
    honest, sums = sealed(round_)
    assert not np.array_equal(sums, rogue.sums)
    good = mended(round_, honest)
    assert check_round_sum(round_.spec, good, sums) == 4
    assert check_round_sum(round_.spec, replace(bundle, entries=good.entries), sums) == 4
    with pytest.raises(CommitmentMismatch, match="weighted sum"):
        check_round_sum(round_.spec, replace(lie, entries=good.entries), rogue.sums)


def _rejudged(round_: Round, bundle: RoundBundle, rogue: Rogue) -> Judgement:
    return rejudge_public(
        round_.spec, round_.context, round_.before, bundle, sums=rogue.sums, models=round_.parent_row
    )


@pytest.mark.parametrize("made", ["none", "forged", "stolen"])
@pytest.mark.parametrize("promised", [True, False])
def test_a_standard_round_asks_for_a_proof_that_it_has_not_promised_or_not(made: str, promised: bool) -> None:
    round_ = committed_round()
    bundle, _ = sealed(round_)
    rogue = solve(round_, bundle)
    proof = proof_of(made, round_, rogue)
    if promised:
        with_rogue(round_, rogue, proof=proof)
    else:
        show(round_, EVIL, points=rogue.points, proof=proof)
    entry = round_.entries[place_of(round_, EVIL)]
    assert layer_of(round_).is_promised(entry.receipt, entry.shown) == promised
    demand_caught(round_, bundle, rogue)
    mine = place_of(round_, EVIL)
    assert unpromised(round_.spec, mended(round_, sealed(round_)[0])) == ((mine,) if promised else ())


@pytest.mark.parametrize("made", ["none", "forged", "stolen"])
def test_in_a_strict_round_only_hashes_are_known_when_it_must_be_fixed(made: str) -> None:
    round_ = committed_round(strictness="strict")
    early = list(round_.entries)  # the roster: on chain before anybody shows a point
    hashes = {entry.receipt.commitment for entry in early if entry.stake}
    assert len(hashes) == 4
    bundle, honest = sealed(round_)
    rogue = solve(round_, bundle)  # possible only now that all points are shown
    stolen = committed_round()  # of the same updates, with proofs: somebody shows one though nobody asks
    proof = stolen.entries[place_of(stolen, 1)].shown.proof if made == "stolen" else proof_of(made, round_, rogue)
    late = with_rogue(round_, rogue, proof=proof)
    mine = place_of(round_, EVIL)
    assert round_.entries[mine].receipt.struct_hash() != early[mine].receipt.struct_hash()  # not what is on the roster
    round_.entries[mine] = replace(early[mine], shown=round_.entries[mine].shown)
    assert late == early[mine].shown.salt
    demand_caught(round_, bundle, rogue)
    assert mended(round_, sealed(round_)[0]).entries == tuple(early)  # its own, which its receipt promises
    with pytest.raises(CommitmentMismatch, match="weighted sum"):
        check_round_sum(round_.spec, replace(bundle, blindings=rogue.blindings), rogue.sums)
    assert check_round_sum(round_.spec, bundle, honest) == 4
    assert unpromised(round_.spec, bundle) == ()


def test_a_rostered_hash_of_ones_own_choice_buys_nothing_once_points_are_shown() -> None:
    """It may promise any hash, but the points that it would need are not known yet: what it shows needs the proof."""
    round_ = committed_round(strictness="strict")
    hide(round_, EVIL, b"\x05" * 32)
    bundle, _ = sealed(round_)
    rogue = solve(round_, bundle)
    show(round_, EVIL, points=rogue.points)
    demand_caught(round_, bundle, rogue)
    assert unpromised(round_.spec, mended(round_, sealed(round_)[0])) == (place_of(round_, EVIL),)


@pytest.mark.parametrize("made", ["none", "forged"])
def test_forced_in_late_it_has_seen_the_others_and_must_prove_even_in_a_strict_round(made: str) -> None:
    """The window for forced receipts is open while keys are revealed: the roster hides nothing from who comes then."""
    round_ = committed_round(strictness="strict")
    bundle, _ = sealed(round_)
    rogue = solve(round_, bundle)
    with_rogue(round_, rogue, proof=proof_of(made, round_, rogue))
    mine = place_of(round_, EVIL)
    round_.entries[mine] = replace(round_.entries[mine], forced=True)
    entry = round_.entries[mine]
    assert layer_of(round_).is_promised(entry.receipt, entry.shown)  # and proves nothing by that
    demand_caught(round_, bundle, rogue)


@pytest.mark.parametrize("promised", [True, False])
def test_a_copy_of_anothers_commitment_is_no_way_around_the_proof(promised: bool) -> None:
    """Points of a victim plus known ones: the adversary knows the difference only."""
    round_ = committed_round()
    victim = round_.entries[place_of(round_, 1)].shown
    copied = Rogue(victim.points, np.zeros(0, np.int32), ())
    if promised:
        with_rogue(round_, copied, proof=victim.proof)
    else:
        show(round_, EVIL, points=victim.points, proof=victim.proof)
    assert codes(round_) == ["admitted"] * 4
    assert shown_faults(round_) == {EVIL: "ProofInvalid"}
    bundle, sums = sealed(round_)
    with pytest.raises(ProofInvalid):
        check_round_sum(round_.spec, bundle, sums)
    assert check_round_sum(round_.spec, mended(round_, bundle), sums) == 4


def test_whoever_holds_the_key_sees_it_even_if_the_proof_were_sound() -> None:
    """The proof keeps strangers safe; holders of the update compare the opening itself."""
    round_ = committed_round()
    data = [round_.data[place_of(round_, number)] for number in (1, EVIL)]
    assert all(first != second for first, second in pairwise(data))
    commit_entry(round_, EVIL, data[0] if isinstance(data[0], bytes) else b"")
    assert codes(round_) == ["admitted"] * 4
    assert shown_faults(round_) == {}
    assert not_opening(round_) == {EVIL}
    bundle, sums = sealed(round_)
    with pytest.raises(CommitmentMismatch, match="weighted sum"):
        check_round_sum(round_.spec, bundle, sums)
    good = mended(round_, bundle)
    assert check_round_sum(round_.spec, good, sums) == 4
    assert unpromised(round_.spec, good) == (place_of(round_, EVIL),)
