"""Words of a seal that no contract decided once: a length bound, a stake, earlier sums left out, an update that is not
to be had. Each is a cell now, and falls. What stays the sealer's word, until its trainer speaks on chain, is that a key
did not come.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fl_platform.attacks.lying import Lied, false_tape
from fl_platform.dispute.claims import CellClaim
from fl_platform.dispute.targets import source_claim
from fl_platform.errors import StoreMissing
from fl_platform.judging.judge import Judgement
from fl_platform.protocol.openings import opened, refutation_of
from fl_platform.protocol.operations import Op
from fl_platform.protocol.sources import Refused, Source
from fl_platform.protocol.tape import Tape
from tests.support.bound_rounds import CHALLENGER
from tests.support.evm import Account, Reverted, account
from tests.support.judged_rounds import WITNESSES, JudgedTask
from tests.support.rounds import STAKE, Round, anchored_spec, ints_like, place_of

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
    place = place_of(made, 1)
    made.forced_out[place] = made.entries[place].keys
    one = task.seal(made, lie=silencing)
    assert next(task.against(one, whole=True)) == f"refused at ({place},) is {int(Refused.WITHHELD)}"
    assert task.bond() == 0


@pytest.mark.parametrize("which", ["nothing", "one too few", "one twice", "another order"])
def test_what_has_no_box_for_everybody_reveals_no_key(which: str) -> None:
    """A trainer that forces out rubbish does not make a liar of who has no key, and gets no pay for it."""
    task = open_task()
    made = drawn(task)
    place = place_of(made, 1)
    keys = made.entries[place].keys
    made.forced_out[place] = {
        "nothing": (), "one too few": keys[:1], "one twice": (*keys, keys[0]), "another order": keys[::-1],
    }[which]  # fmt: skip
    made.entries[place] = replace(made.entries[place], keys=(), keys_signature=b"")
    one = task.seal(made)
    assert one.judged.verdicts[place].weight == 0
    assert list(task.against(one, whole=True)) == []
    assert list(task.differences(one)) == []


def losing(made: Round, judged: Judgement) -> Tape:
    """The updates of all but the friend and the owner are not to be had, the sealer says."""
    kept = place_of(made, FRIEND), place_of(made, 0)
    lost = [item if i in kept else StoreMissing("not there") for i, item in enumerate(made.data)]
    return replace(made, data=lost).judge().tape


@pytest.mark.parametrize(
    ("who", "late", "stands"),
    [
        ((), False, False),
        (WITNESSES[:1], False, False),
        ((WITNESSES[0], WITNESSES[0]), False, False),
        ((WITNESSES[0], account("nobody's witness")), False, False),
        (WITNESSES[1:], True, False),
        (WITNESSES[1:], False, True),
    ],
)
def test_that_an_update_is_not_to_be_had_needs_enough_witnesses_in_time(
    who: tuple[Account, ...], late: bool, stands: bool
) -> None:
    """Who seals cannot refuse anybody alone: with a friend it took a whole pot so."""
    task = open_task()
    made = drawn(task)
    kept = place_of(made, FRIEND), place_of(made, 0)
    names = [entry.receipt.struct_hash() for i, entry in enumerate(made.entries) if i not in kept]

    def complain() -> None:
        for one in who:
            task.world.complaints.send(one, "complain", task.run.task, 0, names)

    def lie(made: Round, judged: Judgement) -> Tape:
        if late:  # in the second of the seal, after that which it names
            complain()
        return losing(made, judged)

    one = task.seal(made, lie=lie, rostered=(lambda: None) if late else complain)
    found = list(itertools.islice(task.against(one, whole=True), 1))
    assert found == ([] if stands else [f"refused at ({min(set(range(6)) - set(kept))},) is {int(Refused.MISSING)}"])
    assert (task.bond() > 0) == stands


def test_without_witnesses_nothing_is_left_out_as_missing() -> None:
    task = JudgedTask.open(anchored_spec(), trainers=FIVE, witnesses=())
    made = drawn(task)
    one = task.seal(made, lie=losing)
    assert next(task.against(one, whole=True)).startswith("refused")
    assert task.bond() == 0


def test_other_witnesses_than_the_tasks_show_nothing() -> None:
    """A challenger that names none would count no complaints; the terms bind who they are."""
    task = open_task()
    made = drawn(task)
    made.data[place_of(made, 1)] = StoreMissing("not there")
    one = task.seal(made)
    number, place = column_of(one.sealed, Source.REFUSED), (place_of(made, 1),)
    assert one.sealed.cell(number, place) == Refused.MISSING
    claim = source_claim(
        one.target, number, place, opened(one.sealed, number, place), entries=one.entries, parent=one.parent
    )
    encoded = one.target.encoded()
    hidden = encoded.replace(WITNESSES[0].address, account("nobody's witness").address)
    assert hidden != encoded
    with pytest.raises(Reverted, match="Sources_Mismatch"):
        task.world.disputes.send(CHALLENGER, claim.function, hidden, *claim.encoded())
    assert not task.refutes(one, claim)
