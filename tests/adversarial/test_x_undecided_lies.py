"""Words of a seal that no contract decided once: a length bound, a stake, earlier sums left out. Each is a cell now,
and falls. What stays the sealer's word, until its trainer speaks on chain, is that a key did not come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fl_platform.attacks.lying import Lied, false_tape
from fl_platform.chain.reveals import boxes_of
from fl_platform.contribution.judge import Judgement
from fl_platform.dispute.claims import CellClaim
from fl_platform.protocol.openings import refutation_of
from fl_platform.protocol.operations import Op
from fl_platform.protocol.sources import Refused, Source
from fl_platform.protocol.tape import Tape
from tests.support.judged_rounds import JudgedTask, person
from tests.support.rounds import STAKE, Round, anchored_spec, ints_like, place_of
from tests.support.specs import small_spec

FRIEND = 5
FIVE = dict.fromkeys(range(1, 6), STAKE)


def open_task() -> JudgedTask:
    return JudgedTask.open(anchored_spec(), trainers=FIVE)


def drawn(task: JudgedTask) -> Round:
    way = ints_like(task.spec, 0)
    return task.draw([ints_like(task.spec, k, towards=way, share=0.7) for k in range(1, 6)], reference=way)


def column_of(tape: Tape, source: Source) -> int:
    columns = tape.program.columns
    return next(n for n, c in enumerate(columns) if c.op is Op.SOURCE and c.immediate & 0xFF == source)


def changed(tape: Tape, number: int, change: Callable[[np.ndarray], None]) -> Tape:
    cells = tape.columns[number].astype(object).copy()
    change(cells)
    return false_tape(tape, Lied(number, cells))


def inflated_stake(made: Round, judged: Judgement) -> Tape:
    place = place_of(made, FRIEND)
    return changed(judged.tape, column_of(judged.tape, Source.STAKE), lambda cells: cells.__setitem__(place, 10**24))


def false_verdict(made: Round, judged: Judgement) -> Tape:
    """All but the friend are too long, whatever the bound says."""
    place, number = place_of(made, FRIEND), judged.tape.program.column("verdict")

    def refuse(cells: np.ndarray) -> None:
        for i in range(len(cells)):
            cells[i] = cells[i] if i == place or cells[i] == 1 else 10

    return changed(judged.tape, number, refuse)


@pytest.mark.parametrize("lie", [inflated_stake, false_verdict])
def test_a_false_stake_and_a_false_length_bound_fall(lie: Callable[[Round, Judgement], Tape]) -> None:
    task = open_task()
    one = task.seal(drawn(task), lie=lie)
    assert list(task.differences(one))
    if lie is inflated_stake:
        assert next(task.against(one, whole=True)).startswith("stake")
    else:
        number = one.sealed.program.column("verdict")
        other = int(np.argmax(one.sealed.columns[number] != one.judged.tape.columns[number]))
        assert task.refutes(one, CellClaim(refutation_of(one.sealed, number, (other,))))
    assert task.bond() == 0


def test_earlier_sums_left_out_fall() -> None:
    task = open_task()
    task.seal(drawn(task))

    def forgetful(_: Round, judged: Judgement) -> Tape:
        columns = judged.tape.program.columns
        number = next(n for n, c in enumerate(columns) if c.op is Op.PREV and c.name == "past")
        assert any(judged.tape.columns[number])
        return changed(judged.tape, number, lambda cells: cells.fill(0))

    one = task.seal(drawn(task), lie=forgetful)
    assert next(task.against(one, whole=True)).startswith("past")
    assert task.bond() == 0


def silencing(made: Round, judged: Judgement) -> Tape:
    """All but the friend and the owner revealed nothing, the sealer says."""
    kept = place_of(made, FRIEND), place_of(made, 0)
    silent = replace(made, entries=[
        entry if i in kept else replace(entry, keys=(), keys_signature=b"") for i, entry in enumerate(made.entries)
    ])  # fmt: skip
    return silent.judge().tape


def test_that_a_key_did_not_come_is_the_sealers_word_and_every_audit_tells_it() -> None:
    """No contract knows better until the trainer puts its keys on chain (`forceReveal`); see SECURITY.md."""
    task = open_task()
    one = task.seal(drawn(task), lie=silencing)
    told = one.sealed.columns[column_of(one.sealed, Source.REFUSED)].tolist()
    assert told.count(int(Refused.WITHHELD)) == 4
    assert list(task.against(one)) == []
    assert one.sealed.root != one.judged.tape.root


def test_that_a_key_did_not_come_falls_where_its_trainer_has_put_it_on_chain() -> None:
    task = open_task()
    made = drawn(task)
    entry = made.entries[place_of(made, 1)]

    def revealed() -> None:
        task.world.wait(task.world.evm.now + 1)
        package = boxes_of(entry.keys, small_spec()), entry.keys_signature
        task.world.reveals.send(person(1), "forceReveal", entry.signed, package)

    one = task.seal(made, lie=silencing, rostered=revealed)
    assert next(task.against(one, whole=True)) == f"refused at ({place_of(made, 1)},) is {int(Refused.WITHHELD)}"
    assert task.bond() == 0
