"""Layer P in a round: no update is refused for its commitment. What is wrong with one is found, by anybody or by who
has the key, and made again; the sums must be those of the commitments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fl_platform.errors import (
    CommitmentMismatch,
    ConfigError,
    DocumentInvalid,
    EnvelopeInvalid,
    FLError,
    PointInvalid,
    ProofInvalid,
    StoreMissing,
    UpdateLengthMismatch,
    UpdatesNotOpened,
)
from fl_platform.judging import commitments
from fl_platform.judging.admit import OpenedUpdates, admit_entries
from fl_platform.judging.commitments import check_round_sum, check_weighted_sum, fits, unpromised
from fl_platform.protocol.bundle import Entry
from fl_platform.protocol.commitment_opening import NOTHING_SHOWN, PEDERSEN, CommitmentOpening
from fl_platform.protocol.model_spec import ModelSpec, ScaleSpec, TensorSpec
from fl_platform.protocol.receipt import sign_receipt
from fl_platform.protocol.spec import CodecRule
from fl_platform.updates import pack_update
from tests.support.commitments import slow_generators
from tests.support.committed import (
    codes,
    commit_entry,
    commit_round,
    committed_round,
    hide,
    layer_of,
    mended,
    not_opening,
    number_of,
    sealed,
    show,
    shown_faults,
    update_key,
)
from tests.support.rounds import DOMAIN, Round, anchored_spec, build_round, happy_round, place_of, private_key
from zk.commitment import pedersen
from zk.commitment.generators import CHUNK, count_for
from zk.curve import bn254

HONEST = ["admitted"] * 4


@pytest.mark.parametrize("strictness", ["standard", "strict"])
def test_an_honest_round_is_admitted_and_anybody_can_check_its_sum(strictness: str) -> None:
    round_ = committed_round(strictness=strictness)
    assert codes(round_) == HONEST
    bundle, sums = sealed(round_)
    assert check_round_sum(round_.spec, bundle, sums) == 4
    assert (shown_faults(round_), not_opening(round_), unpromised(round_.spec, bundle)) == ({}, set(), ())
    assert mended(round_, bundle) == bundle
    proofs = {len(entry.shown.proof) for entry in bundle.entries if entry.stake}
    assert (0 in proofs) == (strictness == "strict")


@pytest.mark.parametrize("place", [0, -1])
def test_one_changed_coordinate_of_the_sums_is_caught(place: int) -> None:
    bundle, sums = sealed(committed_round())
    lie = sums.copy()
    lie[place] += 1
    with pytest.raises(CommitmentMismatch, match="weighted sum"):
        check_round_sum(committed_round().spec, bundle, lie)


def test_one_changed_weight_or_blinding_sum_is_caught() -> None:
    round_ = committed_round()
    bundle, sums = sealed(round_)
    index = place_of(round_, 2)
    verdict = replace(bundle.verdicts[index], weight=bundle.verdicts[index].weight - 1)
    for told in (
        replace(bundle, verdicts=(*bundle.verdicts[:index], verdict, *bundle.verdicts[index + 1 :])),
        replace(bundle, blindings=(bundle.blindings[0] ^ 1, *bundle.blindings[1:])),
        replace(bundle, aggregator=b"\x01" * 20, blindings=bundle.blindings[:-1]),
        replace(bundle, round=bundle.round + 1),  # the proofs belong to another round
    ):
        with pytest.raises((CommitmentMismatch, ProofInvalid)):
            check_round_sum(round_.spec, told, sums)


def test_wrong_shapes_of_the_sums_are_refused() -> None:
    round_ = committed_round()
    bundle, sums = sealed(round_)
    for told in (sums[:-1], sums.reshape(1, -1), np.zeros(0, np.int32)):
        with pytest.raises(CommitmentMismatch):
            check_round_sum(round_.spec, bundle, told)


def other_salt(round_: Round) -> None:
    """A salt that hashes, but does not follow from the key."""
    entry = round_.entries[place_of(round_, 2)]
    commitment = pedersen.Commitment(entry.shown.points, round_.spec.model.size)
    hide(round_, 2, pedersen.roster_commitment(commitment.root, b"\x07" * 32))
    show(round_, 2, salt=b"\x07" * 32)


def off_the_curve(round_: Round) -> None:
    """A point that no curve has, under a receipt that promises it."""
    points = (b"\x01" * 64) * layer_of(round_).chunks
    salt = layer_of(round_).secrets(update_key(2), round_.entries[place_of(round_, 2)].receipt.trainer).salt
    root = pedersen.Commitment(points, round_.spec.model.size).root
    hide(round_, 2, pedersen.roster_commitment(root, salt))
    show(round_, 2, points=points)


def to_other_integers(round_: Round) -> None:
    """A sound commitment with its proof, to another update than the sealed one."""
    size = round_.spec.model.size
    commit_entry(round_, 2, pack_update(np.full(size, 3, np.int8), model=round_.spec.model, bits=8))


def others_proof(round_: Round) -> None:
    """The proof of somebody else."""
    show(round_, 2, proof=round_.entries[place_of(round_, 1)].shown.proof)


@dataclass(frozen=True)
class Fault:
    """One thing wrong with what trainer 2 shows, and who finds it."""

    change: Callable[[Round], None]
    public: type[FLError] | None = None  # what anybody finds wrong, in a standard round
    closed: bool = False  # does not open to its update with its key
    promised: bool = True  # the receipt promises what is shown
    mends: bool = True  # the receipt promises what its key makes
    sum_alone: bool = True  # nothing is wrong with the weighted sum of the points


NO_POINTS = Fault(lambda r: show(r, 2, points=b"", salt=b"", proof=b""), CommitmentMismatch, sum_alone=False)
FAULTS: dict[str, Fault] = {
    "nothing shown": NO_POINTS,
    "one byte too few": replace(
        NO_POINTS, change=lambda r: show(r, 2, points=r.entries[place_of(r, 2)].shown.points[:-1])
    ),
    "too many points": replace(NO_POINTS, change=lambda r: show(r, 2, points=r.entries[0].shown.points + bytes(6400))),
    "half a proof": replace(NO_POINTS, change=lambda r: show(r, 2, proof=bytes(64)), sum_alone=True),
    "another salt": Fault(lambda r: show(r, 2, salt=b"\x01" * 32), closed=True, promised=False),
    "another receipt": Fault(lambda r: hide(r, 2, b"\x01" * 32), promised=False, mends=False),
    "salt of no key": Fault(other_salt, closed=True, mends=False),
    "points off the curve": Fault(off_the_curve, PointInvalid, mends=False, sum_alone=False),
    "other integers": Fault(to_other_integers, closed=True, mends=False, sum_alone=False),
    "no proof": Fault(lambda r: show(r, 2, proof=b""), ProofInvalid),
    "somebody else's proof": Fault(others_proof, ProofInvalid),
    "zeros for a proof": Fault(
        lambda r: show(r, 2, proof=bytes(len(r.entries[place_of(r, 2)].shown.proof))), PointInvalid
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_each_fault_is_found_refuses_nobody_and_is_made_good_by_who_seals(fault: Fault) -> None:
    round_, honest = committed_round(), committed_round()
    fault.change(round_)
    mine = place_of(round_, 2)
    assert codes(round_) == HONEST
    bundle, sums = sealed(round_)
    wanted, exact = sealed(honest)
    assert (bundle.tape, bundle.verdicts, bundle.blindings) == (wanted.tape, wanted.verdicts, wanted.blindings)
    assert np.array_equal(sums, exact)
    # what anybody finds, of this one alone
    assert shown_faults(round_) == ({} if fault.public is None else {2: fault.public.__name__})
    if fault.public is not None:
        with pytest.raises(fault.public):
            check_round_sum(round_.spec, bundle, sums)
    else:  # what only the key shows
        assert not_opening(round_) == ({2} if fault.closed else set())
        assert (mine in unpromised(round_.spec, bundle)) == (not fault.promised)
    if fault.sum_alone:
        assert check_weighted_sum(round_.spec, bundle, sums) == 4
    else:
        with pytest.raises((CommitmentMismatch, PointInvalid)):
            check_weighted_sum(round_.spec, bundle, sums)
    # whoever seals shows what its key makes, and says of nobody else anything new
    told = mended(round_, bundle)
    assert [entry.shown for entry in told.entries] == [entry.shown for entry in honest.entries]
    assert [entry.receipt for entry in told.entries] == [entry.receipt for entry in round_.entries]
    assert check_round_sum(round_.spec, told, sums) == 4
    assert unpromised(round_.spec, told) == (() if fault.mends else (mine,))


@pytest.mark.parametrize("change", [lambda r: hide(r, 2, b"\x01" * 32), other_salt, to_other_integers])
def test_what_no_receipt_promised_is_proved_in_a_strict_round_too(change: Callable[[Round], None]) -> None:
    """On a strict roster what is promised needs no proof. What is not was made when others' points could be seen."""
    round_ = committed_round(strictness="strict")
    change(round_)
    assert codes(round_) == HONEST
    bundle, sums = sealed(round_)
    mine = place_of(round_, 2)
    layer, entry = layer_of(round_), round_.entries[mine]
    assert layer.needs_proof(entry) != layer.is_promised(entry.receipt, entry.shown)
    assert shown_faults(round_) == ({2: "ProofInvalid"} if layer.needs_proof(entry) else {})
    told = mended(round_, bundle)
    assert [bool(one.shown.proof) for one in told.entries] == [i == mine for i in range(5)]
    assert check_round_sum(round_.spec, told, sums) == 4
    assert unpromised(round_.spec, told) == (mine,)
    unproved = replace(told.entries[mine], shown=replace(told.entries[mine].shown, proof=b""))
    lie = replace(told, entries=(*told.entries[:mine], unproved, *told.entries[mine + 1 :]))
    with pytest.raises(ProofInvalid):
        check_round_sum(round_.spec, lie, sums)


def test_a_strict_receipt_whose_points_were_garbled_on_the_way_needs_no_proof_once_mended() -> None:
    round_, honest = committed_round(strictness="strict"), committed_round(strictness="strict")
    show(round_, 2, points=round_.entries[place_of(round_, 1)].shown.points)
    bundle, sums = sealed(round_)
    with pytest.raises(ProofInvalid):
        check_round_sum(round_.spec, bundle, sums)
    told = mended(round_, bundle)
    assert told.entries == tuple(honest.entries)
    assert check_round_sum(round_.spec, told, sums) == 4
    assert unpromised(round_.spec, told) == ()


def test_two_commitments_to_other_integers_are_both_named() -> None:
    round_ = committed_round()
    to_other_integers(round_)
    commit_entry(round_, 4, pack_update(np.full(round_.spec.model.size, -5, np.int8), model=round_.spec.model, bits=8))
    assert codes(round_) == HONEST
    assert shown_faults(round_) == {}
    assert not_opening(round_) == {2, 4}
    bundle, sums = sealed(round_)
    with pytest.raises(CommitmentMismatch, match="weighted sum"):
        check_round_sum(round_.spec, bundle, sums)
    told = mended(round_, bundle)
    assert check_round_sum(round_.spec, told, sums) == 4
    assert sorted(unpromised(round_.spec, told)) == sorted((place_of(round_, 2), place_of(round_, 4)))


def test_garbage_is_garbage_and_not_its_commitments_fault() -> None:
    round_ = happy_round(commitments=PEDERSEN)
    index = place_of(round_, 2)
    round_.data[index] = b"no update"
    commit_round(round_)
    with pytest.raises(UpdatesNotOpened) as found:
        round_.judge()
    assert {i: type(reason) for i, reason in found.value.reasons.items()} == {index: UpdateLengthMismatch}
    convicted = frozenset({round_.entries[index].receipt.struct_hash()})
    round_.context = replace(round_.context, convicted=convicted)
    assert codes(round_) == ["admitted", "Convicted", "admitted", "admitted"]
    bundle, sums = sealed(round_)
    assert check_round_sum(round_.spec, bundle, sums) == 3
    assert mended(round_, bundle) == bundle  # who is in no sum shows what it likes


def test_row_0_commits_to_nothing_and_is_not_asked_to() -> None:
    round_ = committed_round()
    reference = round_.entries[place_of(round_, 0)]
    assert (reference.receipt.commitment, reference.shown) == (bytes(32), NOTHING_SHOWN)


def test_on_a_strict_roster_only_a_forced_receipt_needs_a_proof() -> None:
    round_ = committed_round(strictness="strict")
    index = place_of(round_, 2)
    entry: Entry = round_.entries.pop(index)
    data = round_.data.pop(index)
    round_.entries.append(replace(entry, forced=True))
    round_.data.append(data)
    assert codes(round_) == HONEST
    assert shown_faults(round_) == {2: "ProofInvalid"}
    bundle, sums = sealed(round_)
    with pytest.raises(ProofInvalid):
        check_round_sum(round_.spec, bundle, sums)
    told = mended(round_, bundle)
    commit_entry(round_, 2, data if isinstance(data, bytes) else b"")
    assert shown_faults(round_) == {}
    assert told == sealed(round_)[0]
    assert check_round_sum(round_.spec, told, sums) == 4
    assert unpromised(round_.spec, told) == ()


def test_a_round_with_commitments_is_not_judged_without_keys() -> None:
    round_ = committed_round()
    opened = OpenedUpdates(round_.updates, round_.spec)
    with pytest.raises(ConfigError, match="keys"):
        admit_entries(round_.entries, opened, spec=round_.spec, context=round_.context)


def test_a_key_that_is_not_to_be_had_is_a_reason_of_its_update_and_only_those_summed_need_one() -> None:
    round_ = committed_round()
    own = {place_of(round_, number) for number in (1, 2, 3, 4)}

    def keys(index: int) -> bytes:
        if index not in own:
            raise EnvelopeInvalid("no key fits")
        return update_key(number_of(round_.entries[index]))

    round_.extra = {"keys": keys}
    assert codes(round_) == HONEST  # row 0 commits to nothing
    own.remove(place_of(round_, 3))
    with pytest.raises(UpdatesNotOpened) as found:
        round_.judge()
    assert {i: type(reason) for i, reason in found.value.reasons.items()} == {place_of(round_, 3): EnvelopeInvalid}


def test_without_the_layer_nothing_is_asked_and_nothing_can_be_checked() -> None:
    round_ = happy_round()
    bundle, sums = sealed(round_)
    assert bundle.blindings == ()
    with pytest.raises(CommitmentMismatch, match="no commitments"):
        check_round_sum(round_.spec, bundle, sums)
    with pytest.raises(CommitmentMismatch, match="no commitments"):
        unpromised(round_.spec, bundle)
    assert mended(round_, bundle) == bundle
    assert not fits(CommitmentOpening(bytes(64), bytes(32), b""), round_.spec)


def test_a_round_without_anybody_has_a_sum_of_zero() -> None:
    round_ = committed_round()
    for number in (1, 2, 3, 4):
        round_.data[place_of(round_, number)] = StoreMissing("gone")
    assert codes(round_) == ["Missing"] * 4
    bundle, sums = sealed(round_)
    assert not sums.any()
    assert check_round_sum(round_.spec, bundle, sums) == 0
    sums[0] = 1
    with pytest.raises(CommitmentMismatch, match="nobody"):
        check_round_sum(round_.spec, bundle, sums)


def test_weights_beyond_the_bound_are_refused_not_wrapped() -> None:
    round_ = committed_round()
    bundle, sums = sealed(round_)
    for weight in (2**62, 2**63, 2**64 + bundle.verdicts[1].weight, bn254.ORDER + bundle.verdicts[1].weight):
        verdicts = tuple(replace(v, weight=weight) if v.weight else v for v in bundle.verdicts)
        with pytest.raises(ConfigError, match=r"2\^62"):
            check_round_sum(round_.spec, replace(bundle, verdicts=verdicts), sums)


def test_the_number_of_generators_follows_from_the_size_and_ends_at_a_chunk() -> None:
    assert [count_for(n) for n in (1, 15, 2_410, 1_663_370, 2**28, 2**34)] == [1, 16, 256, 8192, CHUNK, CHUNK]
    for size in (1, 2, 3, 17, 4_095, 4_096, 4_097, 10**6, 2**28):
        assert pedersen.chunk_count(size, count_for(size)) <= 4_096


def extreme_rows(draw: st.DrawFn, trainers: int, size: int, bits: int) -> list[np.ndarray]:
    largest = 2 ** (bits - 1) - 1
    ends = st.sampled_from([-largest, largest, 0, 1, -1])
    values = st.one_of(ends, st.integers(-largest, largest))
    kind = np.dtype("<i2") if bits == 16 else np.dtype("i1")
    return [np.array(draw(st.lists(values, min_size=size, max_size=size)), kind) for _ in range(trainers)]


@st.composite
def whole_rounds(draw: st.DrawFn) -> Round:
    """Rounds of any size, width, stakes and integers: equal worth, so that nobody needs a reference."""
    bits, trainers = draw(st.sampled_from([4, 8, 16])), draw(st.integers(1, 5))
    shape = draw(st.sampled_from([(1,), (7,), (16,), (65,), (40, 3)]))
    model = ModelSpec("drawn", (TensorSpec("w", shape),))
    base = anchored_spec(commitments=PEDERSEN, model=model, codec=CodecRule(bits, "nearest", ScaleSpec((-5,))))
    rule = replace(base.aggregation, floor_bps=0, reject_bps=1_000_000, clip_bps=draw(st.sampled_from([5_000, 20_000])))
    worth = replace(base.worth, kind="equal", stake_cap_bps=draw(st.sampled_from([1, 2_500, 10_000])))
    spec = replace(base, aggregation=rule, worth=worth, strictness=draw(st.sampled_from(["standard", "strict"])))
    stakes = draw(st.lists(st.integers(1, 2**79), min_size=trainers, max_size=trainers))
    rows = extreme_rows(draw, trainers, model.size, bits)
    return commit_round(build_round(spec, rows, reference=None, stakes=stakes))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(whole_rounds(), st.integers(0, 2**32))
def test_any_round_sums_up_and_no_changed_sum_does(round_: Round, where: int) -> None:
    bundle, sums = sealed(round_)
    assert (shown_faults(round_), not_opening(round_), unpromised(round_.spec, bundle)) == ({}, set(), ())
    assert mended(round_, bundle) == bundle
    assert check_round_sum(round_.spec, bundle, sums) == sum(v.weight > 0 for v in bundle.verdicts)
    lie = sums.copy()
    lie[where % lie.size] += 1 if where % 2 else -1
    with pytest.raises(CommitmentMismatch):
        check_round_sum(round_.spec, bundle, lie)


def test_a_signature_still_covers_the_commitment() -> None:
    round_ = committed_round()
    index = place_of(round_, 2)
    receipt = replace(round_.entries[index].receipt, commitment=bytes(32))
    round_.entries[index] = replace(round_.entries[index], receipt=receipt)
    with pytest.raises(DocumentInvalid, match="is signed by"):
        round_.judge()
    assert number_of(round_.entries[index]) == 2
    assert sign_receipt(receipt, DOMAIN, private_key(2)).receipt == receipt


def test_without_the_fast_engine_a_round_is_the_same_only_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = committed_round(trainers=2)
    bundle, sums = sealed(fast)
    monkeypatch.setattr(commitments, "generators_for", lambda size: slow_generators(count_for(size)))
    slow = committed_round(trainers=2)
    assert [entry.shown for entry in slow.entries] == [entry.shown for entry in fast.entries]
    assert sealed(slow)[0] == bundle
    assert check_round_sum(slow.spec, bundle, sums) == 2
    lie = sums.copy()
    lie[3] -= 1
    with pytest.raises(CommitmentMismatch):
        check_round_sum(slow.spec, bundle, lie)
