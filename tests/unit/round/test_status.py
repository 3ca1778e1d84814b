"""What is to be done now: pure, from histories made by hand; each phase, each role, each missed deadline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fl_platform.chain.types import Admission, BlockRef, Phase
from fl_platform.dispute.rosters import Rosters, standing
from fl_platform.ledger import events as ev
from fl_platform.ledger.complaints import Complaints
from fl_platform.ledger.history import OpenedTask, RoundHistory, TaskHistory
from fl_platform.ledger.records import ClosedBooks, Head, Member, MemberFlag, RosterRecord, SealRecord
from fl_platform.protocol.spec import Windows
from fl_platform.round.account_view import Demanded, Known, is_named, look
from fl_platform.round.status import Move, moves, roles, span
from fl_platform.round.transport import LocalTransport
from tests.support.rehearsal import rehearsal, small_settings

TOKEN = 10**18
OWNER, AGGREGATOR, SUCCESSOR, TRAINER = (bytes([n]) * 20 for n in (1, 2, 3, 4))
WINDOWS = Windows(min_round=60, roster=600, force=100, reveal=200, seal=600, challenge=1000, takeover=400,
                  unbonding=5000)  # fmt: skip
NOW = 10_000
PLACE = ev.Place(1, 0, bytes(32), bytes(32))
OPENED = OpenedTask(
    owner=OWNER, token=bytes(20), pot=10 * TOKEN, rounds=3, stake=TOKEN, bond=20 * TOKEN, fee_bps=500,
    admission=Admission.OPEN, allow_root=bytes(32), spec=bytes(32), program=bytes(32),
    rules=bytes(32), windows=WINDOWS,
    aggregators=(AGGREGATOR, SUCCESSOR), opened_at=NOW - 100, place=PLACE,
)  # fmt: skip
HEAD = Head(AGGREGATOR, NOW - 100, 0, 3, 0, Phase.OPEN, True, False, False, False, False, False, 0)
HISTORY = TaskHistory(
    task=7, block=BlockRef(1, bytes(32), bytes(32), NOW), opened=OPENED, head=HEAD,
    rounds=(RoundHistory(0, NOW - 100),),
    members={TRAINER: TOKEN}, seats={TRAINER: 9}, bindings={}, leaving=frozenset(),
    bonded=frozenset({AGGREGATOR, SUCCESSOR}),
    stakes={TRAINER: TOKEN, AGGREGATOR: 20 * TOKEN, SUCCESSOR: 20 * TOKEN}, bonus=0, voids=0, replacements=(),
    claimed={}, withdrawn={}, released={}, reputation_rounds=(), closed=None, ended=False, events=(),
)  # fmt: skip
SEAL = SealRecord(*([bytes(32)] * 4), NOW - 301, 0, bytes(32), 10 * TOKEN, 1, NOW - 300, AGGREGATOR)
ROSTER = RosterRecord(bytes(32), 1, TOKEN, 10, NOW - 50, AGGREGATOR, 0)


def at(account: bytes, *, head: dict[str, Any] | None = None, history: dict[str, Any] | None = None,
       **known: Any) -> Known:  # fmt: skip
    """Return what is known of an account: the open round, some values changed."""
    changed = replace(HISTORY, head=replace(HEAD, **(head or {})), **(history or {}))
    flags = MemberFlag.TRAINER if account == TRAINER else MemberFlag.AGGREGATOR
    stake = changed.stakes.get(account, 0)
    first = Known("me", account, changed, NOW, (NOW - 40, NOW + 500), Member(stake, 0, 0, flags if stake else 0), 0)
    return replace(first, **known)


def only(known: Known) -> Move:
    """Return the one move there is."""
    found = moves(known)
    assert len(found) == 1, found
    return found[0]


ROSTERED = {"phase": Phase.ROSTERED, "time": NOW - 50}


def test_an_aggregator_rosters_and_seals_in_its_window_or_pays() -> None:
    move = only(at(AGGREGATOR))
    assert move.must
    assert move.words(NOW) == (
        "now: collect updates and put the roster on chain for round 0, or lose 1 tokens "
        "(`fl-platform aggregator run 7 --wallet me`), at the latest in 8 min 20 s"
    )
    move = only(at(AGGREGATOR, head=ROSTERED, window=(NOW + 250, NOW + 850)))
    assert move.words(NOW).startswith("in 4 min 10 s: judge and seal round 0, or lose 1 tokens (`")
    assert move.words(NOW).endswith(", at the latest in 14 min 10 s")


@pytest.mark.parametrize(
    ("account", "stays", "said"),
    [
        (AGGREGATOR, "up aggregator 7 -o hospital.toml", "fl-platform up aggregator 7 -o hospital.toml --wallet me"),
        (TRAINER, "up trainer 7 --data module:NAME", "fl-platform up trainer 7 --data module:NAME --wallet me"),
    ],
)
def test_whose_parties_are_on_other_machines_is_told_what_does_all_of_its_work(
    account: bytes, stays: str, said: str
) -> None:
    """`trainer run` alone waits for ever there: no node brings it orders."""
    assert only(at(account, stays=stays)).command == said


def test_on_a_chain_that_one_process_holds_nobody_is_told_to_stay_there() -> None:
    """A `trainer run` that stays keeps everybody else from the embedded chain."""
    assert only(at(AGGREGATOR, alone=True)).command == "fl-platform aggregator run 7 --local --wallet me"
    told = only(at(TRAINER, alone=True, sealer="judge"))
    assert (told.command, "`fl-platform aggregator run 7 --local --wallet judge`" in told.text) == ("", True)


def test_an_aggregator_asks_for_its_bond_and_a_trainer_for_its_stake() -> None:
    over = {"phase": Phase.DONE, "round": 3, "closed": True}
    assert "of bond back" in only(at(AGGREGATOR, head=over)).text
    assert "of stake back" in only(at(TRAINER, head=over)).text


def test_an_aggregator_without_a_bond_is_told_first() -> None:
    found = moves(at(AGGREGATOR, history={"bonded": frozenset()}))
    assert [move.command.split()[2] for move in found] == ["bond", "run"]
    assert all(move.must for move in found)
    assert "lose" not in found[1].text


def test_a_later_aggregator_may_lock_its_bond() -> None:
    move = only(at(SUCCESSOR, history={"bonded": frozenset({AGGREGATOR}), "stakes": {}}))
    assert (move.command, move.must) == ("fl-platform aggregator bond 7 --wallet me", False)
    assert moves(at(SUCCESSOR)) == ()


@pytest.mark.parametrize(("phase", "step"), [(Phase.OPEN, "put the roster of"), (Phase.ROSTERED, "seal")])
def test_after_a_missed_deadline_everybody_is_told_who_takes_over(phase: Phase, step: str) -> None:
    for account in (TRAINER, OWNER, AGGREGATOR):
        move = only(at(account, head={"phase": phase}, window=(NOW - 700, NOW - 125)))
        assert move.command == "fl-platform aggregator advance 7 --wallet me"
        assert f"did not {step} round 0 in time (2 min 5 s ago)" in move.text
        assert f"let 0x{SUCCESSOR.hex()} take over" in move.text
        assert ("it costs you 1 tokens" in move.text) == (account == AGGREGATOR)
        assert not move.must
    move = only(at(SUCCESSOR, head={"phase": phase}, window=(NOW - 700, NOW)))
    assert move.must
    assert "take over, then go on with `fl-platform aggregator run`" in move.text


@pytest.mark.parametrize(("phase", "says"), [(Phase.OPEN, "go back to the owner"), (Phase.ROSTERED, "compensation")])
def test_after_the_last_deadline_the_money_goes_to_whom_it_belongs(phase: Phase, says: str) -> None:
    head = {"phase": phase, "aggregator": SUCCESSOR, "index": 1}
    assert says in only(at(TRAINER, head=head, window=(NOW - 9, NOW))).text
    mine = only(at(SUCCESSOR, head=head, window=(NOW - 9, NOW))).text
    assert ("costs you 20 tokens" in mine) == (phase is Phase.ROSTERED)


def test_one_second_before_its_end_a_window_is_open() -> None:
    assert not at(AGGREGATOR, window=(NOW - 9, NOW + 1)).late
    assert at(AGGREGATOR, window=(NOW - 9, NOW)).late
    assert not at(AGGREGATOR, window=(0, 0)).late


def test_a_trainer_trains_then_may_force_its_receipt_and_keys_in() -> None:
    assert only(at(TRAINER)).command == "fl-platform trainer run 7 --wallet me"
    signed = frozenset({0})
    assert "is signed" in only(at(TRAINER, signed=signed)).text
    window = (NOW + 250, NOW + 850)
    force, reveal = moves(at(TRAINER, head=ROSTERED, window=window, signed=signed))
    assert (force.command, force.until) == ("fl-platform trainer force 7 0 --wallet me", NOW + 50)
    assert (reveal.command, reveal.until) == ("fl-platform trainer reveal 7 0 --wallet me", NOW + 250)
    assert len(moves(at(TRAINER, head=ROSTERED, window=(NOW + 200, NOW + 800), signed=signed))) == 1
    assert moves(at(TRAINER, head=ROSTERED, window=window)) == ()
    assert moves(at(TRAINER, head={**ROSTERED, "takeover": True}, window=window, signed=signed)) == ()


def test_the_reference_is_run_by_whom_the_task_names() -> None:
    assert only(at(OWNER, reference=True)).command == "fl-platform trainer run 7 --reference --wallet me"
    assert moves(at(OWNER)) == ()


def test_a_demand_comes_first_and_names_its_deadline() -> None:
    asked = (Demanded(0, NOW + 60), Demanded(1, NOW - 60))
    first, *_ = moves(at(TRAINER, demands=asked))
    assert (first.command, first.must, first.until) == ("fl-platform trainer answer 7 --wallet me", True, NOW + 60)
    assert any("passed 1 min ago" in move.text for move in moves(at(TRAINER, demands=asked)))


def test_in_a_dispute_the_sealer_defends_and_the_others_wait() -> None:
    rounds = (RoundHistory(0, NOW - 900, ROSTER, SEAL, challenged=True), RoundHistory(1, NOW - 300))
    history, head = {"rounds": rounds}, {"round": 1, "challenged": True}
    move = only(at(AGGREGATOR, head=head, history=history, window=(NOW - 99, NOW - 9)))
    assert (move.must, move.command) == (True, "fl-platform aggregator defend 7 --wallet me")
    assert "stands still" in only(at(TRAINER, head=head, history=history)).text


def test_what_is_earned_is_claimed_when_it_is_final() -> None:
    rounds = (RoundHistory(0, NOW - 900, ROSTER, SEAL), RoundHistory(1, NOW - 300))
    over = {"phase": Phase.REFUNDED, "round": 1, "closed": True}
    waiting = at(TRAINER, head=over, history={"rounds": rounds, "stakes": {}}, earned=5 * TOKEN, final=2 * TOKEN)
    now, later = moves(waiting)
    assert now.words(NOW) == "now: claim 2 tokens (`fl-platform rewards claim 7 --withdraw --wallet me`)"
    assert later.words(NOW).startswith("in 11 min 40 s: claim 3 tokens more, if the seal stands")
    done = replace(waiting, member=Member(0, 4 * TOKEN, 5 * TOKEN, 0), final=5 * TOKEN)
    assert only(done).text == "withdraw 4 tokens"


def test_an_ended_task_is_closed_and_left() -> None:
    rounds = (RoundHistory(0), RoundHistory(1), RoundHistory(2, 1, ROSTER, SEAL))
    head, history = {"phase": Phase.DONE, "round": 3}, {"rounds": rounds}
    move = only(at(OWNER, head=head, history=history))
    assert (move.command, move.opens) == ("fl-platform task close 7 --wallet me", NOW + 700)
    assert only(at(TRAINER, head=head, history=history)).command == "fl-platform trainer leave 7 --wallet me"
    leaving = at(TRAINER, head=head, history=history, ready_at=NOW + 7200)
    assert only(leaving).words(NOW).startswith("in 2 h: take your 1 tokens of stake out")
    assert only(at(AGGREGATOR, head=head, history=history)).command == "fl-platform aggregator leave 7 --wallet me"
    refunded = at(OWNER, head={"phase": Phase.REFUNDED})
    assert "go back to the owner" in only(refunded).text


def test_a_compensation_is_claimed_before_the_stake_is_taken() -> None:
    head = {"phase": Phase.COMPENSATED}
    ended = at(OWNER, head=head)
    assert only(ended).command == "fl-platform task close 7 --wallet me"
    assert only(ended).opens == ended.history.head.time + ended.history.opened.windows.takeover
    closed = {**head, "closed": True}
    first, second = moves(at(TRAINER, head=closed, settled=ClosedBooks(9, 0, NOW - 1000, 0, False, 2**16)))
    assert (first.must, first.until) == (True, NOW + 4000)
    assert "before you take your stake" in first.text
    assert second.command.startswith("fl-platform trainer leave")
    late = moves(at(TRAINER, head=closed, settled=ClosedBooks(9, 0, NOW - 5000, 0, False, 2**16)))
    assert "passed 0 s ago" in late[0].text
    paid = Member(TOKEN, 0, 0, MemberFlag.TRAINER | MemberFlag.COMPENSATED)
    assert len(moves(at(TRAINER, head=closed, settled=ClosedBooks(9, 0, NOW, 0, False, 2**16), member=paid))) == 1
    share = Member(TOKEN, 0, 0, MemberFlag.TRAINER | MemberFlag.RESIDUAL)
    swept = moves(at(TRAINER, head=closed, settled=ClosedBooks(9, 0, 1, 3 * TOKEN, True, 2**16), member=share))
    assert swept[0].text == "claim your residual share of 3 tokens"


def test_a_role_is_named() -> None:
    assert roles(at(OWNER, reference=True)) == ("owner", "reference")
    assert [roles(at(account)) for account in (AGGREGATOR, SUCCESSOR, TRAINER)] == [
        ("aggregator",), ("other aggregator",), ("trainer",)
    ]  # fmt: skip
    assert roles(at(b"\x09" * 20)) == ("former trainer",)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (0, "0 s"), (59, "59 s"), (60, "1 min"), (250, "4 min 10 s"), (900, "15 min"), (3600, "1 h"),
     (7260, "2 h 1 min"), (86_400, "1 d"), (90_000, "1 d 1 h"), (10 * 86_400 + 9999, "10 d")],
)  # fmt: skip
def test_a_span_has_two_units_at_most(seconds: int, text: str) -> None:
    assert span(seconds) == text


def test_the_maker_of_a_roster_is_told_what_is_asked_of_it(tmp_path: Path) -> None:
    known = at(AGGREGATOR, head=ROSTERED, roster_due=NOW + 90)
    move = moves(known)[0]
    assert move.must
    assert "leaves of your roster of round 0" in move.words(NOW)
    assert "`fl-platform aggregator defend 7 --wallet me`), at the latest in 1 min 30 s" in move.words(NOW)
    with rehearsal(tmp_path, small_settings(rounds=1)) as (workspace, parties):
        reader, asker, contracts = workspace.reader(parties.task), parties.wallets["auditor"], workspace.contracts()
        maker, folder = parties.wallets["aggregator"].address, workspace.role_folder("aggregator")

        def due() -> int:
            now = workspace.chain.now()
            return look(reader, contracts, wallet="a", account=maker, folder=folder, now=now).roster_due

        parties.aggregator.roster(parties.aggregator.collect(LocalTransport(parties.everybody)))
        assert due() == 0
        listed = standing(reader)
        assert listed is not None
        workspace.contracts(asker).mint(asker.address, listed.terms.ask_bond)
        Rosters(workspace.contracts(asker), asker).ask(listed, 0)
        assert due() == workspace.chain.now() + reader.spec.windows.takeover // 2


def test_a_witness_is_told_what_is_asked_of_it() -> None:
    known = at(b"\x09" * 20, head=ROSTERED, witness=True, wanted=2)
    assert roles(known) == ("witness",)
    assert only(known).command == "fl-platform witness run 7 --wallet me"
    assert "2 updates of round 0" in only(known).text
    assert not moves(replace(known, wanted=0))


def test_a_witness_sees_what_is_wanted_until_it_has_complained(tmp_path: Path) -> None:
    with rehearsal(tmp_path, small_settings(rounds=1)) as (workspace, parties):
        reader, task = workspace.reader(parties.task), parties.task
        (witness,) = reader.spec.witnesses
        (signer,) = (one for one in parties.wallets.values() if one.address == witness)
        assert is_named(reader, witness)

        def wanted() -> int:
            folder, contracts = workspace.role_folder("auditor"), workspace.contracts()
            return look(
                reader, contracts, wallet="auditor", account=witness, folder=folder, now=workspace.chain.now()
            ).wanted  # fmt: skip

        entries = parties.aggregator.collect(LocalTransport(parties.everybody))
        parties.aggregator.roster(entries)
        assert wanted() == 0
        aggregator = parties.wallets["aggregator"]
        receipts = [entry.receipt for entry in entries[:2]]
        Complaints(workspace.contracts(aggregator), aggregator).want(task, 0, receipts)
        assert wanted() == 2
        Complaints(workspace.contracts(signer), signer).complain(task, 0, receipts[:1])
        assert wanted() == 1


def test_an_auditor_of_the_rules_has_a_part_and_its_command(tmp_path: Path) -> None:
    with rehearsal(tmp_path, small_settings(rounds=1)) as (workspace, parties):
        reader, contracts = workspace.reader(parties.task), workspace.contracts()
        account = reader.spec.auditors[0].address
        assert is_named(reader, account)

        def seen() -> Known:
            folder = workspace.role_folder("auditor")
            return look(reader, contracts, wallet="auditor", account=account, folder=folder, now=workspace.chain.now())

        assert "auditor" in roles(seen())
        assert not any("audit" in move.command for move in moves(seen()))
        parties.aggregator.run(LocalTransport(parties.everybody))
        assert f"fl-platform audit {parties.task} --key auditor" in [move.command for move in moves(seen())]
