"""Random rounds through the judge: sealer, auditor and whoever has no key evaluate the same tape, byte by byte."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from fl_platform.errors import DocumentInvalid, EnvelopeInvalid, StoreMissing
from fl_platform.judging.bundling import bundle_of
from fl_platform.judging.judge import Judgement
from fl_platform.judging.judge_public import public_tape, rejudge_public
from fl_platform.judging.tapes import first_difference, place_in_words, told_numbers, told_tape
from fl_platform.protocol.bundle import RoundBundle, read_start
from fl_platform.protocol.operations import ROWS, Op
from fl_platform.protocol.program import Output
from fl_platform.protocol.seats import OWNER_SEAT
from fl_platform.protocol.sources import Axis, Kind
from fl_platform.rules.verdicts import Verdict
from fl_platform.updates import decode_update
from tests.support.rounds import (
    AGGREGATOR,
    STAKE,
    Round,
    address_of,
    anchored_spec,
    build_round,
    happy_round,
    ints_like,
    make_entry,
)

SEEDS = range(12)
SHAPES = ("mixed",) * 4 + ("empty", "one", "two", "no reference", "all refused")


@dataclass
class Played:
    """One judged round."""

    round: Round
    judged: Judgement
    bundle: RoundBundle


def drawn(dice: random.Random, shape: str, last: Played | None, trainers: int, rule: dict[str, object]) -> Round:
    """Draw a round: honest updates, refused, silent, missing, late, duplicate ones and strangers."""
    spec = anchored_spec() if last is None else last.round.spec
    if last is None:
        spec = replace(spec, aggregation=replace(spec.aggregation, duplicate_bps=9_500, **rule))
    seed = dice.randrange(2**31)
    reference = None if shape == "no reference" else ints_like(spec, seed)
    updates = [
        ints_like(spec, seed + 1 + k, towards=reference, share=dice.choice((0.0, 0.6, 0.8))) for k in range(trainers)
    ]
    if trainers > 2 and dice.random() < 0.4:
        updates[1] = updates[0]
    stakes = [STAKE * (1 + k % 3) for k in range(trainers)]
    if last is None:
        made = build_round(spec, updates, reference=reference, stakes=stakes)
    else:
        made = last.round.next_round(last.judged, updates, reference=reference)
        made.entries = [
            replace(entry, stake=made.context.members[entry.receipt.trainer])
            if entry.receipt.trainer in made.context.members else entry
            for entry in made.entries
        ]  # fmt: skip
    number_of = {address_of(k): k for k in range(trainers + 1)}
    for i, entry in enumerate(list(made.entries)):
        number, chance = number_of[entry.receipt.trainer], dice.random()
        if shape == "all refused" or (shape == "mixed" and chance < 0.15):
            made.data[i] = dice.choice((StoreMissing("gone"), EnvelopeInvalid("no key fits")))
        elif shape == "mixed" and chance < 0.2:
            made.entries[i] = replace(entry, keys=(), keys_signature=b"")
        elif shape == "mixed" and chance < 0.25:
            made.sign(i, number, parent=b"\x09" * 32)
        elif shape == "mixed" and chance < 0.3:
            made.sign(i, number, length=entry.receipt.length + 1)
        elif shape == "mixed" and chance < 0.35:
            stranger = make_entry(spec, made.before, 90 + i, ints_like(spec, i), stake=STAKE)
            made.entries.append(replace(stranger, forced=True))
            made.data.append(made.data[i])
        elif shape == "mixed" and chance < 0.45:
            made.entries.append(replace(entry, forced=True))
            made.data.append(made.data[i])
        elif shape == "mixed" and chance < 0.5:
            hashed = entry.receipt.struct_hash()
            made.context = replace(made.context, convicted=made.context.convicted | {hashed})
    if shape in ("empty", "one", "two"):
        count = ("empty", "one", "two").index(shape)
        kept = [i for i, e in enumerate(made.entries) if e.receipt.trainer != address_of(0)][:count]
        made.entries, made.data = [made.entries[i] for i in kept], [made.data[i] for i in kept]
    return made


@cache
def play(seed: int) -> tuple[Played, ...]:
    """Play three rounds of one task."""
    return tuple(_play(seed, 3))


def _play(seed: int, rounds: int) -> Iterator[Played]:
    dice = random.Random(seed)
    trainers = dice.choice((1, 3, 5))
    rule = dice.choice(({}, {}, {"selection": "multi-krum"}, {"directions": 2}))
    last: Played | None = None
    for _ in range(rounds):
        made = drawn(dice, dice.choice(SHAPES), last, trainers, rule)
        made.context = replace(made.context, missing=made.missing)
        judged = made.judge()
        last = Played(made, judged, bundle_of(made.spec, made.context, made.before, made.entries, judged))
        yield last


@pytest.mark.parametrize("seed", SEEDS)
def test_sealer_auditor_and_stranger_have_one_tape(seed: int) -> None:
    for played in play(seed):
        made, judged = played.round, played.judged
        bundle = RoundBundle.from_bytes(played.bundle.to_bytes())
        assert bundle == played.bundle
        assert made.judge().tape.root == judged.tape.root
        assert list(judged.tape.broken()) == []
        public = rejudge_public(
            made.spec, made.context, made.before, bundle, sums=judged.sums, models=made.parent_row
        )
        assert public.tape.root == told_tape(made.spec, bundle).root == bundle.tape
        assert (public.verdicts, public.after, public.model_bytes) == (
            judged.verdicts,
            judged.after,
            judged.model_bytes,
        )
        assert read_start(bundle.to_bytes()).scale == judged.after.scale


@pytest.mark.parametrize("seed", SEEDS)
def test_every_wei_is_allotted_and_every_sum_is_exact(seed: int) -> None:
    pots = 0
    for number, played in enumerate(play(seed)):
        made, judged, split = played.round, played.judged, played.judged.split
        pots += made.spec.money.pot
        assert split.fee + sum(split.base) + sum(split.scored) + split.dust == made.spec.money.pot
        assert judged.after.allotted == int(judged.tape.output(Output.TOTAL)) == played.bundle.claims.total == pots
        assert len(judged.after.standings) == len(made.context.seats)
        assert judged.after.standings[0].trainer == AGGREGATOR
        assert judged.after.standings[OWNER_SEAT].trainer == made.spec.owner
        assert number or judged.after.standings[OWNER_SEAT].earned == split.dust
        wanted = np.zeros(made.spec.model.size, np.int64)
        for i, verdict in enumerate(judged.verdicts):
            if verdict.weight:
                wanted += verdict.weight * decode_update(made.updates(i), model=made.spec.model, bits=8).astype(
                    np.int64
                )
        assert np.array_equal(judged.sums, wanted)


def test_what_happens_in_rounds_is_drawn() -> None:
    seen: Counter[Verdict] = Counter()
    directions = 0
    for seed in SEEDS:
        for played in play(seed):
            seen.update(Verdict(int(v)) for v in played.judged.tape.named("verdict"))
            directions = max(directions, sum(bool(root) for root in played.judged.tape.named("past")))
    assert directions == 2
    assert set(seen) >= {
        Verdict.ADMITTED, Verdict.REFERENCE, Verdict.CONVICTED, Verdict.WITHHELD, Verdict.MISSING, Verdict.STRANGER,
        Verdict.DUPLICATE, Verdict.OTHER_PARENT, Verdict.OTHER_LENGTH, Verdict.OFF_REFERENCE, Verdict.TOO_FEW,
    }  # fmt: skip


def test_the_first_cell_that_differs_is_named() -> None:
    """Any cell that a bundle tells, changed: the tape that it tells is not the one that follows, from there on."""
    made = happy_round()
    judged = made.judge()
    bundle = bundle_of(made.spec, made.context, made.before, made.entries, judged)
    program = judged.tape.program
    place = told_numbers(program).index(program.column("weight"))
    cells = (bundle.columns[place][0] + 1, *bundle.columns[place][1:])
    lie = replace(bundle, columns=(*bundle.columns[:place], cells, *bundle.columns[place + 1 :]))
    told, right = told_tape(made.spec, lie), public_tape(made.spec, made.context, made.before, lie)[0]
    assert right.root == judged.tape.root
    found = first_difference(told, right)
    assert found is not None
    who = made.entries[0].receipt.trainer.hex()
    assert (
        place_in_words(told.program, *found, [one.receipt for one in made.entries], made.context.seats)
        == f"weight (weight in the sum, 2^-16) of 0x{who}"
    )
    assert told.cell(*found) == right.cell(*found) + 1


def test_each_told_cell_counts() -> None:
    made = happy_round()
    bundle = bundle_of(made.spec, made.context, made.before, made.entries, made.judge())
    program = made.judge().tape.program
    dice = random.Random(1)
    for place, number in enumerate(told_numbers(program)):
        cells = list(bundle.columns[place])
        if not cells:
            continue
        cells[dice.randrange(len(cells))] += 1
        lie = replace(bundle, columns=(*bundle.columns[:place], tuple(cells), *bundle.columns[place + 1 :]))
        told = told_tape(made.spec, lie)
        assert told.root != bundle.tape, program.columns[number]
        if program.columns[number].op not in ROWS:
            right = public_tape(made.spec, made.context, made.before, lie)[0]
            found = first_difference(told, right)
            assert found is not None
            assert found[0] == number, program.columns[number]


def test_a_bundle_tells_no_pairs_but_their_products() -> None:
    program = happy_round().judge().tape.program
    told = [program.columns[number] for number in told_numbers(program)]
    assert {column.op for column in told if Axis.OTHER in column.axes} == {Op.DOT}
    assert Kind.SUMS in {column.kind for column in told}


def test_columns_of_another_round_are_refused() -> None:
    made = happy_round()
    bundle = bundle_of(made.spec, made.context, made.before, made.entries, made.judge())
    with pytest.raises(DocumentInvalid, match="columns are told"):
        told_tape(made.spec, replace(bundle, columns=bundle.columns[1:]))
    longest = max(range(len(bundle.columns)), key=lambda k: len(bundle.columns[k]))
    short = (*bundle.columns[:longest], bundle.columns[longest][1:], *bundle.columns[longest + 1 :])
    with pytest.raises(DocumentInvalid, match="cells, wanted"):
        told_tape(made.spec, replace(bundle, columns=short))
