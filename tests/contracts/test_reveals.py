"""What a trainer loses for a bad wrap, a bad opening or silence, and that an honest one loses nothing (A24)."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from fl_platform.judging.program import terms_of
from fl_platform.ledger.records import ContentLeafRecord
from fl_platform.ledger.reveals import ShownParty, show_model
from fl_platform.protocol.keccak import keccak256
from fl_platform.protocol.keypackage import MAX_BOXES, boxes_hash
from fl_platform.protocol.leaves import LeafTable
from fl_platform.protocol.spec import Party
from fl_platform.store import envelope
from fl_platform.task.decrypting import record_of
from fl_platform.updates.content import content_root, open_content
from tests.contracts.conftest import Reverts
from tests.support.contracts import Run, digest
from tests.support.evm import Reverted, account
from tests.support.reveals import (
    ANYONE,
    BITS,
    CHALLENGER,
    KEY,
    SIZES,
    Scene,
    garbled,
    reveal_key,
)
from zk.commitment import dleq
from zk.curve import bn254
from zk.curve.bn254 import FIELD, GENERATOR

SIZE = sum(SIZES)
SILENCE_BPS, CHALLENGER_BPS = 2_000, 3_000
GAS_BAR = 200_000
OPENING_BAR = 270_000  # ends a tenure where it takes a stake; shows the specification, too: 16 gas a byte
NOBODY = bytes(20)


def lost_everything(scene: Scene, stake: int) -> None:
    """Hold the books after a whole stake was taken."""
    assert scene.stake == 0
    assert scene.run.member(CHALLENGER)[1] == stake * CHALLENGER_BPS // 10_000
    assert scene.world.views.call("bonus", scene.run.task) == stake - stake * CHALLENGER_BPS // 10_000


# --- bad wraps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1])
def test_a_box_with_another_key_costs_the_whole_stake(number: int) -> None:
    scene = Scene.start()
    stake = scene.stake
    bad = garbled(scene.keys(), number, ciphertext=bytes(32))
    done = scene.accuse_wrap(bad, number)
    told = done.event("BadWrapProved")
    assert (told["recipient"], told["slashed"], told["challenger"]) == (
        bad[number].recipient, stake, CHALLENGER.address,
    )  # fmt: skip
    lost_everything(scene, stake)
    assert done.gas <= GAS_BAR


def test_a_wrong_key_wrapped_with_care_is_a_bad_wrap_too() -> None:
    scene = Scene.start()
    scene.accuse_wrap(scene.keys(key=bytes(32)))
    assert scene.stake == 0


@pytest.mark.parametrize("ephemeral", [bytes(64), b"\x00" * 63 + b"\x01", bn254.encode(GENERATOR)[:32] + b"\xff" * 32])
def test_a_box_on_no_point_of_the_curve_needs_no_proof(ephemeral: bytes) -> None:
    scene = Scene.start()
    bad = garbled(scene.keys(), 0, ephemeral=ephemeral)
    nothing = bn254.Point(0, 0), dleq.DleqProof(0, 0)
    scene.accuse_wrap(bad, shared=nothing)
    assert scene.stake == 0


@pytest.mark.parametrize("number", [0, 1])
def test_an_honest_box_convicts_nobody(number: int, reverts: Reverts) -> None:
    scene = Scene.start()
    keys = scene.keys()
    with reverts("Reveals_WrapIsGood", scene.run.task, 0, scene.trainer.address, keys[number].recipient):
        scene.accuse_wrap(keys, number)
    # a recipient that lies about S, about its key, or about whose box it is
    shared, proof = scene.shared(number, keys)
    for lie in (bn254.add(shared, GENERATOR), GENERATOR):
        with reverts("Dleq_NotProved"):
            scene.accuse_wrap(keys, number, shared=(lie, proof))
    own = dleq.prove(5, base=bn254.decode(keys[number].ephemeral), context=keccak256(b"elsewhere"))
    with reverts("Dleq_NotProved"):
        scene.accuse_wrap(keys, number, shared=own)
    # or about the public key that the trainer wrapped for
    boxes, signature = scene.wire(scene.package(keys))
    foreign = reveal_key(2)
    swapped = tuple(replace(box, key=(foreign.public.x, foreign.public.y)) for box in boxes)
    with pytest.raises(Reverted, match="Reveals_PackageSignatureInvalid"):
        scene.accuse_wrap(keys, number, boxes=(swapped, signature))
    assert scene.stake == scene.run.params.stake


def test_boxes_that_the_trainer_did_not_sign_prove_nothing(reverts: Reverts) -> None:
    scene = Scene.start()
    keys = scene.keys()
    bad = garbled(keys, 0, ciphertext=bytes(32))
    trainer, aggregator = scene.trainer.address, scene.world.aggregators[0]
    with reverts("Reveals_PackageSignatureInvalid", trainer, aggregator.address):
        scene.accuse_wrap(bad, package=scene.package(bad, who=aggregator))
    with pytest.raises(Reverted, match="Reveals_PackageSignatureInvalid"):
        scene.accuse_wrap(bad, package=(bad, scene.package(keys)[1]))
    with reverts("Reveals_PackageSignatureInvalid", trainer, NOBODY):
        scene.accuse_wrap(bad, package=(bad, bytes(65)))
    other = scene.receipt(salt=digest("another"))
    with pytest.raises(Reverted, match="Reveals_PackageSignatureInvalid"):
        scene.accuse_wrap(bad, package=scene.package(bad, other))
    with reverts("RoundLedger_ReceiptSignatureInvalid", trainer, aggregator.address):
        scene.accuse_wrap(bad, signed=scene.signed(who=aggregator))
    many = keys[:1] * (MAX_BOXES + 1)
    with reverts("Reveals_TooManyBoxes", MAX_BOXES + 1, MAX_BOXES):
        scene.accuse_wrap(bad, package=(many, bytes(65)))
    with reverts("Reveals_NoSuchBox", 2, 2):
        scene.accuse_wrap(bad, index=2)


def test_a_receipt_is_convicted_once_also_where_nothing_is_left_to_take(reverts: Reverts) -> None:
    scene = Scene.start()
    bad = garbled(scene.keys(), 0, ciphertext=bytes(32))
    scene.accuse_wrap(bad)
    hashed = scene.receipt().struct_hash()
    convicted = scene.world.evm.now
    assert scene.world.reveals.call("convictedAt", hashed) == convicted
    scene.world.wait(convicted + 5)
    with reverts("Reveals_AlreadySlashed", hashed):
        scene.accuse_wrap(bad)
    with reverts("Reveals_AlreadySlashed", hashed):
        scene.accuse_wrap(garbled(scene.keys(), 1, ciphertext=bytes(32)), 1)
    second = scene.receipt(salt=digest("second"))
    done = scene.accuse_wrap(garbled(scene.keys(second), 0, ciphertext=bytes(32)), receipt=second)
    assert done.event("BadWrapProved")["slashed"] == 0
    assert scene.world.reveals.call("convictedAt", second.struct_hash()) == convicted + 5
    assert scene.world.reveals.call("convictedAt", hashed) == convicted


def test_a_trainer_that_asked_for_its_stake_can_still_lose_it() -> None:
    scene = Scene.start()
    scene.world.registry.send(scene.trainer, "leaveTask", scene.run.task)
    scene.accuse_wrap(garbled(scene.keys(), 0, ciphertext=bytes(32)))
    assert scene.stake == 0


def test_an_aggregators_bond_is_not_a_trainers_stake() -> None:
    """Else it could have its bond burnt by a friend before it lies."""
    scene = Scene.start()
    aggregator = scene.world.aggregators[0]
    receipt = scene.receipt(trainer=aggregator.address)
    bad = garbled(scene.keys(receipt), 0, ciphertext=bytes(32))
    before = scene.run.member(aggregator)
    done = scene.accuse_wrap(
        bad, receipt=receipt, signed=scene.signed(receipt, aggregator), package=scene.package(bad, receipt, aggregator)
    )
    assert done.event("BadWrapProved")["slashed"] == 0
    assert scene.run.member(aggregator) == before


# --- bad openings -----------------------------------------------------------------------------------------------------


# the first and last integers of tensors and leaves, and some between; odd ones share a byte at 4 bits
SPOTS = [0, 1, 127, 128, 999, 1_000, 1_001, 1_036, 1_037, 1_500, SIZE - 1]


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize("at", SPOTS)
def test_one_coordinate_that_the_ciphertext_does_not_hold_costs_the_whole_stake(
    at: int, bits: int, reverts: Reverts
) -> None:
    scene = Scene.start(bits=bits)
    stake, other = scene.stake, scene.changed(at)
    receipt = scene.receipt(content_root=scene.root(other))
    index, place = scene.table.place_of(at)
    for wrong in {0, place ^ 1, 127} - {place}:
        with reverts("Reveals_OpeningIsGood", scene.run.task, 0, scene.trainer.address):
            scene.accuse_opening(index, wrong, receipt=receipt, content=scene.content(index, other))
    done = scene.accuse_opening(index, place, receipt=receipt, content=scene.content(index, other))
    assert done.event("BadOpeningProved")["slashed"] == stake
    lost_everything(scene, stake)
    assert done.gas <= OPENING_BAR


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_an_honest_opening_convicts_nobody(bits: int, reverts: Reverts) -> None:
    scene = Scene.start(bits=bits)
    last = scene.table.count - 1
    for index, place in itertools.product((0, 7, 8, 9, last), (0, 1, 36, 37, 103, 104, 127)):
        with reverts("Reveals_OpeningIsGood", scene.run.task, 0, scene.trainer.address):
            scene.accuse_opening(index, place)
    with reverts("Reveals_NoSuchLeaf", 128, bits):
        scene.accuse_opening(0, 128, cipher=scene.cipher(0))
    with reverts("Reveals_NoSuchLeaf", last + 1, last + 1):
        scene.accuse_opening(last + 1, 0, content=scene.content(last), cipher=scene.cipher(0))
    with reverts("Reveals_KeyMismatch", keccak256(bytes(32)), keccak256(KEY)):
        scene.accuse_opening(0, 0, key=bytes(32))


def test_leaves_of_other_trees_or_places_are_refused(reverts: Reverts) -> None:
    scene = Scene.start()
    other = scene.changed(0)
    with pytest.raises(Reverted, match="Contents_LeafMismatch"):
        scene.accuse_opening(0, 0, content=scene.content(0, other))
    with pytest.raises(Reverted, match="Contents_LeafMismatch"):
        scene.accuse_opening(0, 0, content=scene.content(1))
    leaf = scene.content(0)
    for body in (leaf.body[:64], leaf.body * 2):
        with pytest.raises(Reverted, match="Contents_Leaf"):
            scene.accuse_opening(0, 0, content=replace(leaf, body=body))
    for body in (b"", leaf.body * 3):
        with reverts("Reveals_NoSuchLeaf", 0, len(body) // 16):
            scene.accuse_opening(0, 0, content=replace(leaf, body=body))
    foreign = envelope.encrypt(other, key=KEY).data
    with pytest.raises(Reverted, match="CipherLeaves_LeafMismatch"):
        scene.accuse_opening(0, 0, cipher=scene.cipher(0, foreign))
    with pytest.raises(Reverted, match="CipherLeaves_LeafMismatch"):
        scene.accuse_opening(0, 0, cipher=scene.cipher(64))
    cipher = scene.cipher(0)
    with reverts("CipherLeaves_LeafShape", 0, 1_023, 2):
        scene.accuse_opening(0, 0, cipher=replace(cipher, body=cipher.body[1:]))
    with reverts("CipherLeaves_LeafShape", 0, 1_024, 1):
        scene.accuse_opening(0, 0, cipher=replace(cipher, siblings=cipher.siblings[1:]))


@pytest.mark.parametrize("index", [7, 8, 20])
def test_content_behind_a_tensors_end_is_a_bad_opening(index: int) -> None:
    """The last leaf of a tensor is filled up with zeros; anything else there is no update's."""
    scene = Scene.start()
    bodies = [bytearray(scene.content(k).body) for k in range(scene.table.count)]
    bodies[index][127] = 5
    whole = b"".join(bodies)
    table = LeafTable((len(whole),))
    receipt = scene.receipt(content_root=content_root(whole, table=table, bits=BITS, key=KEY))
    leaf = record_of(open_content(whole, index, table=table, bits=BITS, key=KEY))
    with pytest.raises(Reverted, match="Reveals_OpeningIsGood"):
        scene.accuse_opening(index, 126, receipt=receipt, content=leaf)
    scene.accuse_opening(index, 127, receipt=receipt, content=leaf)
    assert scene.stake == 0


# --- forced reveals ---------------------------------------------------------------------------------------------------


def test_a_forced_package_is_told_until_the_seals_first_second(reverts: Reverts) -> None:
    scene = Scene.start()
    start = scene.run.window()[0] - 1
    scene.world.wait(start - 1)
    done = scene.force()
    hashed = scene.receipt().struct_hash()
    assert scene.world.reveals.call("revealed", hashed) == boxes_hash(scene.keys(), scene.spec)
    told = done.event("RevealForced")
    assert told["receipt"] == scene.receipt().struct_hash()
    assert len(told["boxes"]) == 2
    assert done.gas <= GAS_BAR
    scene.world.wait(start)
    with reverts("Reveals_NotForceable", scene.run.task, 0, start):
        scene.force()


def test_nothing_is_forced_before_the_roster_for_another_round_or_in_a_takeover(reverts: Reverts) -> None:
    scene = Scene.start(rostered=False)
    wait = scene.run.params.windows.force + scene.run.params.windows.reveal
    with reverts("Reveals_NotForceable", scene.run.task, 0, scene.run.head[1] + wait):
        scene.force()
    scene.run.roster()
    for number in (1, 2**63):
        receipt = scene.receipt(round=number)
        with reverts("Reveals_NotForceable", scene.run.task, number, scene.run.head[1] + wait):
            scene.force(scene.package(receipt=receipt), scene.signed(receipt))
    scene.run.advance()
    with reverts("Reveals_NotForceable", scene.run.task, 0, scene.world.evm.now):
        scene.force()


def test_only_what_the_trainer_signed_is_told(reverts: Reverts) -> None:
    scene = Scene.start()
    with reverts("Reveals_PackageSignatureInvalid", scene.trainer.address, ANYONE.address):
        scene.force(scene.package(who=ANYONE))
    with reverts("RoundLedger_ReceiptSignatureInvalid", scene.trainer.address, ANYONE.address):
        scene.force(signed=scene.signed(who=ANYONE))


# --- demands ----------------------------------------------------------------------------------------------------------


def test_an_answered_demand_for_a_key_pays_who_answered() -> None:
    scene = Scene.start()
    made = scene.demand_key()
    assert scene.run.bond_of(CHALLENGER) == scene.bond
    done = scene.send("answerKey", made, scene.wire(scene.package()), who=ANYONE)
    told = done.event("KeyShown")
    assert (told["receipt"], told["answerer"]) == (scene.receipt().struct_hash(), ANYONE.address)
    assert (scene.run.member(CHALLENGER)[1], scene.run.bond_of(CHALLENGER)) == (0, 0)
    assert scene.run.member(ANYONE)[1] == scene.bond
    assert scene.stake == scene.run.params.stake
    assert done.gas <= GAS_BAR


def test_silence_about_a_key_costs_a_part_of_the_stake_once_for_each_recipient(reverts: Reverts) -> None:
    scene = Scene.start()
    stake, bond = scene.stake, scene.bond
    first, second = scene.demand_key(1), scene.demand_key(0)
    end = first.deadline
    assert end == scene.world.evm.now + scene.run.params.windows.takeover
    scene.world.wait(end - 1)
    with reverts("Reveals_Deadline", first.id, end):
        scene.send("expire", first)
    scene.world.wait(end)
    with reverts("Reveals_Deadline", first.id, end):
        scene.send("answerKey", first, scene.wire(scene.package()))
    done = scene.send("expire", first, who=ANYONE)
    part = -(-stake * SILENCE_BPS // 10_000)
    assert done.event("SilenceProved")["slashed"] == part
    assert (scene.stake, done.gas <= GAS_BAR) == (stake - part, True)
    assert scene.run.member(CHALLENGER)[1] == bond + part * CHALLENGER_BPS // 10_000
    with reverts("Reveals_UnknownDemand", first.id):
        scene.send("expire", first)
    scene.send("expire", second)
    rest = stake - part
    assert scene.stake == rest - -(-rest * SILENCE_BPS // 10_000)
    assert scene.run.bond_of(CHALLENGER) == 0


def test_a_part_of_a_stake_is_rounded_up() -> None:
    scene = Scene.start(stake=10**18 + 1)
    made = scene.demand_key()
    scene.world.wait(made.deadline)
    assert scene.send("expire", made).event("SilenceProved")["slashed"] == -(-(10**18 + 1) * SILENCE_BPS // 10_000)


def test_an_answer_is_a_signed_package_with_the_recipients_box(reverts: Reverts) -> None:
    scene = Scene.start()
    made = scene.demand_key(1)
    trainer = scene.trainer.address
    with reverts("Reveals_PackageSignatureInvalid", trainer, ANYONE.address):
        scene.send("answerKey", made, scene.wire(scene.package(who=ANYONE)))
    with reverts("Reveals_WrongAnswer", made.id):
        scene.send("answerKey", made, scene.wire(scene.package(scene.keys()[:1])))
    with reverts("Reveals_WrongAnswer", made.id):
        scene.send("answerContent", made, scene.receipt(), scene.content(0))
    for lie in (replace(made, bond=1), replace(made, deadline=2**40 - 1), replace(made, challenger=NOBODY)):
        with reverts("Reveals_UnknownDemand", made.id):
            scene.send("answerKey", lie, scene.wire(scene.package()))
    scene.send("answerKey", made, scene.wire(scene.package()))
    with reverts("Reveals_UnknownDemand", made.id):
        scene.send("answerKey", made, scene.wire(scene.package()))


def test_a_bad_box_in_an_answer_is_a_bad_wrap() -> None:
    scene = Scene.start()
    made = scene.demand_key(1)
    bad = scene.package(garbled(scene.keys(), 1, ciphertext=bytes(32)))
    scene.send("answerKey", made, scene.wire(bad), who=scene.trainer)
    scene.accuse_wrap(bad[0], 1, package=bad)
    assert scene.stake == 0


def test_the_same_is_asked_once(reverts: Reverts) -> None:
    scene = Scene.start()
    made = scene.demand_key(1)
    with pytest.raises(Reverted, match="Reveals_AlreadyAsked"):
        scene.demand_key(1)
    scene.send("answerKey", made, scene.wire(scene.package()))
    with pytest.raises(Reverted, match="Reveals_AlreadyAsked"):
        scene.demand_key(1)
    scene.demand_key(0)


def test_only_parties_of_the_task_may_be_asked_for(reverts: Reverts) -> None:
    scene = Scene.start()
    with reverts("Documents_KeyNotThere", scene.party(1).place):
        scene.demand_key(1, recipient=account("stranger").address)
    with pytest.raises(Reverted, match="Documents_KeyNotThere"):
        scene.demand_key(2)  # the reference
    with pytest.raises(Reverted, match="Documents_DigestMismatch"):
        scene.demand_key(1, party=replace(scene.party(1), document=b"{}"))


def test_nobody_is_asked_to_wrap_for_what_is_no_public_key(reverts: Reverts) -> None:
    """A task may list such a party behind those for whom trainers wrap; they could not answer."""
    scene = Scene.start()
    spec = replace(scene.spec, auditors=(Party(account("auditor").address, bytes(64)),))
    run = Run.start(scene.world, trainers=0, bonded=1, spec=spec.digest)
    run.join(scene.trainer)
    other = Scene(scene.world, run, spec, scene.plain)
    run.roster()
    document = spec.to_bytes()
    place = document.index(b'"address":"0x' + account("auditor").address.hex().encode())
    with reverts("Dleq_PointInvalid", 0, 0):
        other.demand_key(1, party=ShownParty(document, place, bn254.Point(0, 0)), signed=other.signed())


def test_only_a_recent_round_with_a_roster_and_a_trainer_with_a_stake(reverts: Reverts) -> None:
    scene = Scene.start(rostered=False)
    with reverts("Reveals_NotDemandable", scene.run.task, 0):
        scene.demand_key()
    stranger = account("stranger")
    scene.run.roster()
    receipt = scene.receipt(trainer=stranger.address)
    with reverts("Reveals_NotTrainer", scene.run.task, stranger.address):
        scene.demand_key(signed=scene.signed(receipt, stranger))
    with reverts("RoundLedger_ReceiptSignatureInvalid", scene.trainer.address, ANYONE.address):
        scene.demand_key(signed=scene.signed(who=ANYONE))
    kept = scene.signed()
    ring = scene.world.views.call("config", scene.run.task)[10]
    scene.run.seal()
    while scene.run.round < ring - 1:
        scene.run.play(1)
    scene.demand_key(signed=kept)
    scene.run.play(1)
    with reverts("Reveals_NotDemandable", scene.run.task, 0):
        scene.demand_key(0, signed=kept)


def test_content_that_nobody_shows_costs_the_whole_stake(reverts: Reverts) -> None:
    scene = Scene.start()
    stake, bond = scene.stake, scene.bond
    receipt = scene.receipt(content_root=digest("a root of nothing"))
    first, second = (scene.demand_content(index, receipt=receipt) for index in (3, 4))
    scene.world.wait(second.deadline)
    assert scene.send("expire", first).event("SilenceProved")["slashed"] == stake
    assert scene.send("expire", second).event("SilenceProved")["slashed"] == 0
    assert scene.stake == 0
    assert scene.run.bond_of(CHALLENGER) == 0
    assert scene.run.member(CHALLENGER)[1] == 2 * bond + stake * CHALLENGER_BPS // 10_000


def test_content_that_was_shown_can_be_held_against_the_ciphertext(reverts: Reverts) -> None:
    scene = Scene.start()
    other = scene.changed(1_500)
    receipt = scene.receipt(content_root=scene.root(other))
    index = scene.table.place_of(1_500)[0]
    made = scene.demand_content(index, receipt=receipt)
    with reverts("Reveals_WrongAnswer", made.id):
        scene.send("answerContent", made, scene.receipt(), scene.content(index))
    with pytest.raises(Reverted, match="Contents_LeafMismatch"):
        scene.send("answerContent", made, receipt, scene.content(index))
    with reverts("Reveals_WrongAnswer", made.id):
        scene.send("answerKey", made, scene.wire(scene.package()))
    done = scene.send("answerContent", made, receipt, scene.content(index, other), who=ANYONE)
    assert scene.run.member(ANYONE)[1] == scene.bond
    assert done.gas <= GAS_BAR
    shown = ContentLeafRecord(*done.event("ContentShown")["leaf"])
    scene.accuse_opening(*scene.table.place_of(1_500), receipt=receipt, content=shown)
    assert scene.stake == 0


def test_only_leaves_that_there_are_can_be_asked_for(reverts: Reverts) -> None:
    scene = Scene.start()
    count = scene.table.count
    for index in (count, 2**32, 2**255):
        with reverts("Reveals_NoSuchLeaf", index, count):
            scene.demand_content(index)
    terms = terms_of(scene.spec)
    honest, other = show_model(terms, 0), replace(terms, ask_bond=1)
    with reverts("Terms_Mismatch", 0):
        scene.demand_content(0, shown=show_model(other, 0))
    longer = list(terms.block_words(0))
    longer[1] += 1
    with reverts("Terms_Mismatch", 0):
        scene.demand_content(0, shown=replace(honest, block=(0, longer, honest.block[2])))
    for index in (terms.shape.starts[1], terms.shape.starts[2]):
        with reverts("Reveals_NoSuchLeaf", index, count):
            scene.demand_content(index, shown=honest)
    with reverts("Reveals_NoSuchLeaf", 0, count):
        scene.demand_content(0, shown=show_model(terms, terms.shape.starts[1]))
    made = scene.demand_content(count - 1)
    scene.send("answerContent", made, scene.receipt(), scene.content(count - 1))


def test_a_demand_after_the_books_are_closed_gives_the_bond_back_and_takes_nothing(reverts: Reverts) -> None:
    scene = Scene.start(rounds=1)
    made = scene.demand_key()
    scene.run.seal()
    scene.run.close()
    scene.world.wait(max(scene.world.evm.now, made.deadline))
    assert scene.send("expire", made).event("SilenceProved")["slashed"] == 0
    assert scene.run.member(CHALLENGER)[1] == scene.bond
    with reverts("Reveals_NotDemandable", scene.run.task, 0):
        scene.demand_key(0)


def test_the_package_hash_binds_every_box() -> None:
    scene = Scene.start()
    keys = scene.keys()
    assert (
        len({boxes_hash(k, scene.spec) for k in (keys, keys[::-1], keys[:1], garbled(keys, 1, ciphertext=bytes(32)))})
        == 4
    )


def test_coordinates_beyond_the_field_are_no_point() -> None:
    scene = Scene.start()
    keys = scene.keys()
    point = bn254.decode(keys[0].ephemeral)
    big = (point.x + FIELD).to_bytes(32, "big") + point.y.to_bytes(32, "big")
    scene.accuse_wrap(garbled(keys, 0, ephemeral=big), shared=(GENERATOR, dleq.DleqProof(0, 0)))
    assert scene.stake == 0


def test_demands_stay_below_the_gas_bar() -> None:
    scene = Scene.start()
    scene.demand_key()
    scene.demand_content(3)
    assert len(scene.gas) == 2
    assert max(scene.gas.values()) <= OPENING_BAR


def test_a_demand_costs_what_one_about_a_seal_costs() -> None:
    scene = Scene.start(pot=10**18 + 7)
    scene.demand_key()
    assert scene.run.bond_of(CHALLENGER) == scene.bond
    assert scene.bond == scene.world.disputes.call("bondOf", scene.run.task)
    assert scene.world.reveals.call("CHALLENGER_BPS") == scene.world.disputes.call("CHALLENGER_BPS")
