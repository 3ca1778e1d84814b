"""Who is paid for evidence: who committed to it a block before. Copied from a call that waits, it earns nothing."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from fl_platform.dispute.known import KnownRound
from fl_platform.dispute.next_moves import Refute, next_moves
from fl_platform.ledger.evidence import commitment_of
from fl_platform.protocol.tape import Tape
from tests.support.bound_rounds import CHALLENGER, BoundTask, Sealed, referee_world
from tests.support.contracts import CHALLENGER_BPS
from tests.support.evm import account
from tests.support.referee import lie

COPIER = account("copier")
BLOCKS = 50


def _lie(known: KnownRound, honest: Tape) -> Tape:
    number = known.program.column("weight")
    return lie(known, honest, number, (0,), honest.cell(number, (0,)) + 1)


class Race:
    """A lie, and a call that refutes it."""

    def __init__(self) -> None:
        self.world = referee_world()
        self.task = BoundTask(random.Random(3), self.world)
        self.sealed: Sealed = self.task.play(_lie)
        (move,) = next_moves(self.sealed.known, self.sealed.sealed.root, published=self.sealed.sealed, shown={})
        assert isinstance(move, Refute)
        call = move.claim.function, self.sealed.target.encoded(), *move.claim.encoded()
        self.data = self.world.disputes.abi.encode(*call) + b"\x07" * 32

    def commit(self, data: bytes | None = None, *, sent_by: bytes = CHALLENGER.address) -> None:
        made = commitment_of(CHALLENGER.address, self.data if data is None else data)
        self.world.disputes.send(sent_by, "commit", made)

    def refute(self, who: bytes = CHALLENGER.address) -> None:
        self.world.evm.transact(who, self.world.disputes.address, self.data)

    def credit(self, who: bytes = CHALLENGER.address) -> int:
        return int(self.world.escrow.call("member", self.task.run.task, who)[1])

    @property
    def bonus(self) -> int:
        """What of the lost bond went to the pot."""
        return int(self.world.views.call("bonus", self.task.run.task))

    @property
    def reward(self) -> int:
        return self.task.run.params.bond * CHALLENGER_BPS // 10_000


def test_who_committed_is_paid_and_who_copies_is_not() -> None:
    race = Race()
    race.commit()
    race.commit(sent_by=COPIER.address)  # a copier sees the commitment, and can repeat it
    race.refute()
    assert (race.credit(), race.credit(COPIER.address)) == (race.reward, 0)
    assert race.bonus == race.task.run.params.bond - race.reward


def test_who_repeats_a_commitment_and_overtakes_its_call_earns_nothing() -> None:
    race = Race()
    race.commit()
    race.commit(sent_by=COPIER.address)
    race.refute(COPIER.address)  # the call's data, salt and all, with a higher fee
    assert (race.credit(), race.credit(COPIER.address)) == (0, 0)
    assert race.bonus == race.task.run.params.bond


def test_a_copy_that_comes_first_fells_the_seal_and_earns_nothing() -> None:
    race = Race()
    race.commit()
    race.refute(COPIER.address)
    assert (race.credit(), race.credit(COPIER.address)) == (0, 0)
    assert race.bonus == race.task.run.params.bond


def _in_the_same_block(race: Race) -> None:
    race.commit()
    race.world.evm.block -= 1


def _too_early(race: Race) -> None:
    race.commit()
    race.world.evm.block += BLOCKS


def _to_other_data(race: Race) -> None:
    race.commit(race.data[:-32])


def _not_at_all(race: Race) -> None:
    """In a chain's first blocks nobody has committed either."""


@pytest.mark.parametrize("how", [_in_the_same_block, _too_early, _to_other_data, _not_at_all])
def test_no_other_commitment_counts_and_the_seal_falls_all_the_same(how: Callable[[Race], None]) -> None:
    race = Race()
    how(race)
    race.refute()
    assert race.credit() == 0
    assert race.bonus == race.task.run.params.bond


def test_a_commitment_counts_for_fifty_blocks() -> None:
    race = Race()
    race.commit()
    race.world.evm.block += BLOCKS - 1
    race.refute()
    assert race.credit() == race.reward
